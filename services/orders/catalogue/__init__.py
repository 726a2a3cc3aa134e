"""Courses and goods that orders are tied to."""
