"""Payments of orders: the provider interface, what is known of each payment, and the jobs that keep it true."""
