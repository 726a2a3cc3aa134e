"""Prints documents for many who ask at once: each state of a document once, a few at a time, and no endless queue.

Finished documents are kept, as many bytes of them as fit, by all that is printed on them: a ticket that is cancelled or
a show that is moved makes another document, so nothing old is ever shown.
"""

from __future__ import annotations

import asyncio
from collections import Counter, OrderedDict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from uuid import UUID

from services.ticketing import metrics
from services.ticketing.errors import DocumentBusy, PrintersBusy
from services.ticketing.tickets.document import PrintedDocument, print_document

AT_ONCE = 2
"""Printing is CPU; more at once would only make everybody wait longer."""


class Press:
    """`queue` documents may wait for their turn; `link_requests` may ask for one document at once."""

    def __init__(
        self,
        *,
        queue: int,
        link_requests: int,
        cache_bytes: int,
        work: Callable[[PrintedDocument], bytes] = print_document,
    ) -> None:
        self._queue = queue
        self._link_requests = link_requests
        self._cache_bytes = cache_bytes
        self._work = work
        self._turn = asyncio.Semaphore(AT_ONCE)
        self._asking: Counter[UUID] = Counter()
        self._under_way: dict[PrintedDocument, asyncio.Task[bytes]] = {}
        self._kept: OrderedDict[PrintedDocument, bytes] = OrderedDict()
        self._kept_bytes = 0

    @contextmanager
    def admit(self, document: UUID) -> Iterator[None]:
        """Around a request for a document. Raises `DocumentBusy` when too many ask for the same one."""
        if self._asking[document] >= self._link_requests:
            metrics.DOCUMENTS.labels("refused").inc()
            raise DocumentBusy("This document is being read many times at once. Try again in a moment.")
        self._asking[document] += 1
        try:
            yield
        finally:
            self._asking[document] -= 1
            if not self._asking[document]:
                del self._asking[document]

    async def print(self, document: PrintedDocument) -> bytes:
        """The PDF. Raises `PrintersBusy` when too many wait already.

        It is printed to its end even if nobody waits for it any more, and kept.
        """
        if document in self._kept:
            metrics.DOCUMENTS.labels("kept").inc()
            self._kept.move_to_end(document)
            return self._kept[document]
        task = self._under_way.get(document)
        if task is None:
            if len(self._under_way) >= AT_ONCE + self._queue:
                metrics.DOCUMENTS.labels("refused").inc()
                raise PrintersBusy("Very many tickets are being printed. Try again in a few seconds.")
            task = self._under_way[document] = asyncio.create_task(self._print(document))
            task.add_done_callback(lambda _: self._under_way.pop(document))
        return await asyncio.shield(task)

    async def _print(self, document: PrintedDocument) -> bytes:
        async with self._turn:
            with metrics.DOCUMENT_SECONDS.time():
                pdf = await asyncio.to_thread(self._work, document)
        metrics.DOCUMENTS.labels("printed").inc()
        self._keep(document, pdf)
        return pdf

    def _keep(self, document: PrintedDocument, pdf: bytes) -> None:
        if len(pdf) > self._cache_bytes:
            return
        self._kept[document] = pdf
        self._kept_bytes += len(pdf)
        while self._kept_bytes > self._cache_bytes:
            _, oldest = self._kept.popitem(last=False)
            self._kept_bytes -= len(oldest)
