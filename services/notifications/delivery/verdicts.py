"""How an attempt to deliver ended, as the providers tell it."""

from __future__ import annotations


class DeliveryError(Exception):
    """The message did not go out, or nobody knows; subclasses say what to do about it."""


class Refused(DeliveryError):
    """For good: another attempt would be refused as well."""


class TryLater(DeliveryError):
    """Not now: this message may go through later."""


class Unreachable(DeliveryError):
    """The provider cannot be reached at all: no message would go through, so all of them wait."""


class Unknown(DeliveryError):
    """The provider may or may not have taken it, and a second one would do harm. Staff decide."""
