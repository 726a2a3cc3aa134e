"""Halls and their seating plans (TKT-6)."""
