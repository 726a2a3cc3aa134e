"""The front door: who is calling, which service answers, and how much of it they may ask for."""
