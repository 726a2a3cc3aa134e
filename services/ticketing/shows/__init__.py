"""Shows, their price zones, sale and seats (TKT-7..17, TKT-25)."""
