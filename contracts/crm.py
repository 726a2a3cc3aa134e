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


class CustomerMerged(EventData, type="crm.customer.merged.v1"):
    """Staff found that a customer is the same person as another one: from now on it is counted as that one.

    Whatever names `customer_id` belongs to `into_id`, until `crm.customer.split` takes it back. The new state of the
    other one follows as `crm.customer.changed`.
    """

    customer_id: UUID
    into_id: UUID

    def key(self) -> UUID:
        return self.customer_id


class CustomerSplit(EventData, type="crm.customer.split.v1"):
    """Staff found that a customer is another person than `from_id`. The state of both is told as well."""

    customer_id: UUID
    from_id: UUID
    order_ids: tuple[UUID, ...] = ()
    """Orders of `from_id` that belong to this new customer. Empty when a merge was taken back: all is as before it."""

    def key(self) -> UUID:
        return self.customer_id
