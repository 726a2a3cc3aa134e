"""The mechanism every service stands on: no domain, one guarantee per module (design of each in its docstring)."""
