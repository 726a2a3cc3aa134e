"""Tickets, their documents, and the registrations they stand for (REG-1..10, DOC-1)."""
