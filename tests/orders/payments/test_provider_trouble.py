"""Every adapter when its provider is away, slow or says no."""

from __future__ import annotations

import pytest
from fastapi import FastAPI, Response

from services.orders.payments.provider import ProviderError
from tests.harness import serve
from tests.orders.payments.banks import Bank, asked


class TestTrouble:
    """Which errors are worth repeating."""

    @pytest.mark.parametrize(
        ("status", "retryable"), [(500, True), (503, True), (429, True), (401, False), (403, False), (400, False)]
    )
    async def test_answers_of_the_bank(self, bank: Bank, status, retryable):
        app = FastAPI()

        @app.api_route("/{path:path}", methods=["GET", "POST"])
        async def answer(path: str) -> Response:
            return Response('{"error": {"code": "x", "message": "no"}}', status, media_type="application/json")

        async with serve(app) as url:
            provider = bank.at(url)
            with pytest.raises(ProviderError) as refused:
                await provider.start(asked())
            await provider.aclose()
        assert refused.value.retryable is retryable

    async def test_a_bank_out_of_reach(self, bank: Bank):
        provider = bank.at("http://127.0.0.1:9")
        with pytest.raises(ProviderError) as refused:
            await provider.start(asked())
        await provider.aclose()
        assert refused.value.retryable

    async def test_a_bank_that_does_not_answer(self, bank: Bank, silent_server):
        provider = bank.at(silent_server, timeout=0.3)
        with pytest.raises(ProviderError) as refused:
            await provider.start(asked())
        assert refused.value.retryable
        await provider.aclose()

    async def test_a_bank_that_answers_nonsense(self, bank: Bank):
        app = FastAPI()

        @app.api_route("/{path:path}", methods=["GET", "POST"])
        async def answer(path: str) -> Response:
            return Response("<html>maintenance</html>", 502)

        async with serve(app) as url:
            provider = bank.at(url)
            with pytest.raises(ProviderError) as refused:
                await provider.fetch("pi_1")
            await provider.aclose()
        assert refused.value.retryable
