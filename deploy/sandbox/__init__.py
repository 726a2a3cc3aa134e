"""A card provider of our own for local use, tests and demos: the outside world, on one port.

It stands for a bank's hosted card page and shares no code with the platform. It takes no money and no real cards.
"""
