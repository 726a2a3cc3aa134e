"""From what happens to an order to its rows, events and ledger: the shell around the pure process.

Every change of an order goes through `load` (which locks its row) and `happen` (which decides, writes and tells, in the
caller's transaction). That lock is what keeps an order's events in order and its transitions single.
"""

from services.orders.order.happen import Cause, changed, happen, record
from services.orders.order.load import create_order, load, number_of, order_of_hold, state_of

__all__ = ["Cause", "changed", "create_order", "happen", "load", "number_of", "order_of_hold", "record", "state_of"]
