"""Checks of the repository itself, called by `make check`: contracts, migrations, requirement marks, host names."""
