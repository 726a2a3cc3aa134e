"""Reporting has nothing of a person: its archive leaves them out."""

from __future__ import annotations

from chassis.persons import Service

PERSONS = Service()
