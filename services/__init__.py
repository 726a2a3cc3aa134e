"""The six services: each owns its data and knows the others only from their events."""
