"""The order process: `decide(state, happening) -> (state, commands)`, pure, for events in any order and any number.

What it keeps true, whatever the order, duplication and delay of what happens:

- once everything has arrived, the money received less the money refunded is the value of the tickets that live;
- tickets exist only for an order whose money was held or received, and are void before their money goes back;
- every message is told by a transition, once.
"""

from services.orders.process.commands import Command, Commands
from services.orders.process.decide import NotPossible, decide
from services.orders.process.happenings import Happening
from services.orders.process.state import State

__all__ = ["Command", "Commands", "Happening", "NotPossible", "State", "decide"]
