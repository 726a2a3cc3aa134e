"""Events of CRM: one customer per person and organisation (CUS-1..12)."""

from __future__ import annotations

from uuid import UUID

from contracts.envelope import EventData


class CustomerState(EventData):
    customer_id: UUID
    name: str
    emails: tuple[str, ...]
    """Normalised, oldest first."""
    phones: tuple[str, ...]
    """E.164, oldest first."""
    blacklisted: bool = False
    account_id: UUID | None = None

    def key(self) -> UUID:
        return self.customer_id


class CustomerRegistered(CustomerState, type="crm.customer.registered.v1"):
    """A person is known to the organisation for the first time."""


class CustomerChanged(CustomerState, type="crm.customer.changed.v1"):
    """Something of a customer was added or changed."""
