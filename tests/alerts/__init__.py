"""Alerts: each is proved by promtool, and by a real Prometheus while the fault is made."""
