"""Who may do what in ticketing (section 11.1)."""

from __future__ import annotations

from chassis.edge import staff
from contracts.accounts import Role

EDITORS = staff(Role.ORGANIZER, Role.TICKET_ORGANIZER)
"""Of halls and shows."""
READERS = staff(
    Role.ORGANIZER, Role.TICKET_ORGANIZER, Role.TICKET_DESK, Role.SALES_HEAD, Role.SALES_MANAGER, Role.PROJECT_HEAD
)
"""Of tickets and statistics."""
