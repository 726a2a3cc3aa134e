"""Customers: one per person and organisation (section 8)."""
