"""Holds: seats that a buyer has for a limited time (TKT-15, TKT-20, TKT-21)."""
