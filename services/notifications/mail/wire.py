"""A mail as the bytes that travel.

When the standard library folds a long header, a space between two words beyond ASCII may be lost, one may come in the
middle of a word, and a name may lose its quotes (python/cpython issues 92081, 120930, 121284; most releases of Python
have some of them). So a subject is encoded as a whole here, and each name with its address.
"""

from __future__ import annotations

from email.header import Header
from email.headerregistry import Address, AddressHeader, UnstructuredHeader
from email.message import EmailMessage
from email.policy import EmailPolicy
from typing import Any


class _Wire(EmailPolicy):
    def fold(self, name: str, value: Any) -> str:
        if isinstance(value, AddressHeader):
            return self._line(name, ", ".join(self._address(name, address) for address in value.addresses))
        text = str(value)
        if isinstance(value, UnstructuredHeader) and not text.isascii():
            return self._line(name, self._encoded(name, text))
        return str(super().fold(name, value))

    def fold_binary(self, name: str, value: Any) -> bytes:
        return self.fold(name, value).encode()

    def _address(self, name: str, address: Address) -> str:
        shown = address.display_name
        if shown.isascii() and "=?" not in shown:
            return str(address)
        return f"{self._encoded(name, shown)}{self.linesep} <{address.addr_spec}>"

    def _encoded(self, name: str, text: str) -> str:
        return Header(text, "utf-8", header_name=name).encode(linesep=self.linesep)

    def _line(self, name: str, content: str) -> str:
        return f"{name}: {content}{self.linesep}"


_WIRE = _Wire(linesep="\r\n", raise_on_defect=True)


def to_bytes(mail: EmailMessage) -> bytes:
    """The mail with CRLF line ends: ASCII, unless an address itself has other letters (RFC 6532)."""
    return mail.as_bytes(policy=_WIRE)
