"""Ticketing: halls, shows, holds of seats and tickets."""
