"""A line of an order as the process sees it: how many of what, and what of it was given and taken back.

Whoever takes a part back gets the part's share of what is left of the line: the last one gets the rest, so the sums
agree to the minor unit in whatever order the parts go.
"""

from __future__ import annotations

from collections.abc import Container
from dataclasses import dataclass, replace
from enum import StrEnum
from uuid import UUID

from contracts.orders import LineKind

TICKETS = (LineKind.SEAT, LineKind.PLACE)
"""What ticketing gives: it must be void before its money goes back."""


class LineState(StrEnum):
    LIVE = "live"
    LEAVING = "leaving"
    """Its last tickets must become void before their money goes back."""
    GONE = "gone"


@dataclass(frozen=True, slots=True, kw_only=True)
class Return:
    """Some of a line that goes back, or money of it that does though everything stays (`quantity` 0)."""

    request: UUID | None = None
    """The refund or cancellation that asked for it; None where nothing could be given."""
    quantity: int
    amount: int
    fee: int = 0
    """Kept of the price of what went back."""
    gone: bool = False
    """Nothing of it is valid any more: its money may go back."""
    refund: UUID | None = None
    """The refund that gives its money back."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    id: UUID
    reference: str
    """Seat guid, or the id of the area or offer."""
    amount: int
    quantity: int = 1
    kind: LineKind = LineKind.SEAT
    hold: UUID | None = None
    """By which ticketing has it."""
    given: int = 0
    returns: tuple[Return, ...] = ()

    @property
    def is_ticket(self) -> bool:
        return self.kind in TICKETS

    @property
    def left(self) -> int:
        """How many the buyer keeps: neither gone nor asked back."""
        return self.quantity - sum(r.quantity for r in self.returns)

    @property
    def worth(self) -> int:
        """What is left of the price for those that are left."""
        return self.amount - sum(r.amount + r.fee for r in self.returns)

    @property
    def unreturned(self) -> int:
        """What was not given back, nor asked back."""
        return self.amount - sum(r.amount for r in self.returns)

    @property
    def value(self) -> int:
        """What the buyer has, or had and paid a fee for: what is asked back counts until it is void."""
        return self.amount - sum(r.amount for r in self.returns if r.gone)

    @property
    def returned(self) -> int:
        return sum(r.quantity for r in self.returns if r.gone)

    @property
    def state(self) -> LineState:
        if self.left > 0:
            return LineState.LIVE
        return LineState.GONE if all(r.gone for r in self.returns) else LineState.LEAVING

    def share(self, quantity: int) -> int:
        """The price of so many of those that are left."""
        return self.worth * quantity // self.left if self.left else 0

    def part(self, quantity: int | None = None, *, request: UUID | None = None, fee: int = 0) -> Return:
        """The return of so many, or of all that are left."""
        if quantity is None:
            quantity = self.left
        return Return(request=request, quantity=quantity, amount=self.share(quantity) - fee, fee=fee)

    def with_return(self, part: Return) -> Line:
        return replace(self, returns=(*self.returns, part))

    def void(self, requests: Container[UUID | None] | None = None) -> Line:
        """What is asked back, by some requests or by all, is gone."""
        return replace(
            self,
            returns=tuple(
                replace(r, gone=True) if requests is None or r.request in requests else r for r in self.returns
            ),
        )

    def paid_back(self, refund: UUID) -> Line:
        """A refund gives the money of everything that is gone and that no other one pays back."""
        return replace(
            self, returns=tuple(replace(r, refund=refund) if r.gone and r.refund is None else r for r in self.returns)
        )

    def unpaid_by(self, refund: UUID) -> Line:
        """A refund will not give the money of what it was to pay back."""
        return replace(self, returns=tuple(replace(r, refund=None) if r.refund == refund else r for r in self.returns))

    @property
    def owed(self) -> bool:
        """Something is gone, and no refund pays it back yet."""
        return any(r.gone and r.refund is None for r in self.returns)

    @property
    def owing(self) -> int:
        """How much of it."""
        return sum(r.amount for r in self.returns if r.gone and r.refund is None)
