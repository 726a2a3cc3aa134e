"""What people would like to have: the wish list and the watched prices of offers (ORD-31, ORD-32, ORD-37)."""

from __future__ import annotations

from typing import Literal
from uuid import uuid5

from pydantic import BaseModel, ConfigDict
from sqlalchemy.ext.asyncio import AsyncSession

from chassis.edge import Caller
from contracts.orders import FunnelStage
from services.orders.catalogue.tables import Offer
from services.orders.order import Cause, create_order, happen
from services.orders.order.lines import offer_line, replace_lines
from services.orders.order.tables import Order
from services.orders.process import happenings as h


class Wish(BaseModel):
    model_config = ConfigDict(extra="forbid")

    stage: Literal[FunnelStage.WISHLIST, FunnelStage.WATCHING_PRICE]


async def wish(session: AsyncSession, offer: Offer, body: Wish, caller: Caller) -> Order:
    """A record at the chosen stage. The same person, offer and stage are one record however often it is pressed."""
    order = await create_order(
        session,
        uuid5(offer.id, f"{caller.account_id} {body.stage.value}"),
        offer.organisation,
        currency=offer.currency,
        account_id=caller.account_id,
        customer_name=caller.name or caller.email or "",
        customer_email=caller.email,
        offer_id=offer.id,
        title=offer.name,
    )
    if order.stage is None:
        lines = replace_lines(order, [offer_line(order, offer, 1)])
        await happen(session, order, h.Wished(lines=lines, stage=body.stage), Cause(caller.actor, "buyer"))
    return order
