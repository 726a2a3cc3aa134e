"""Read models built only from events: totals of orders, money and tickets (section 10)."""
