"""Plugins of every test run."""

pytest_plugins = ["deploy.checks.shown", "pytester"]
