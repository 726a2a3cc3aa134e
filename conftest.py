"""Plugins and settings of every test run."""

from hypothesis import settings

pytest_plugins = ["deploy.checks.shown", "pytester"]

# A deadline would measure the machine, not the code.
settings.register_profile("footlights", deadline=None)
settings.load_profile("footlights")
