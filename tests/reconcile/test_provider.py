"""Calls to the provider: their pace, their patience, what they prove and whom they trust."""

from __future__ import annotations

import asyncio
import ssl
from datetime import timedelta
from email.utils import format_datetime
from pathlib import Path
from typing import Any

import pytest
import trustme

from dispatcher.reconcile.provider import SPACING_SECONDS, TRIES, ProviderFailed, asking
from dispatcher.settings.reconcile import ReconcileSettings
from dispatcher.settings.security import TlsSettings
from receiver.settings.configuration import Secret
from tests.reconcile.scripted_provider import NOW, ScriptedProvider, Sms, Watch, a_provider, calling

SPAN = {
    "sentSince": "2026-03-01T12:00:00.000+0000",
    "sentUntil": "2026-03-02T12:00:00.000+0000",
}


async def test_no_more_than_120_calls_in_any_minute(provider: ScriptedProvider) -> None:
    """Calls are spaced so that no minute holds more than the documented 120."""
    watch = Watch()

    async with calling(provider, watch) as asked:
        for _ in range(5):
            await asked.log_page(SPAN)

    assert watch.seconds == pytest.approx(4 * SPACING_SECONDS)
    assert 60 / SPACING_SECONDS + 1 <= 120


@pytest.mark.parametrize(
    ("said", "waited"),
    [
        ({"Retry-After": "7"}, 7),
        ({"Retry-After": format_datetime(NOW + timedelta(seconds=90), usegmt=True)}, 90),
        ({"Retry-After": "0"}, 1),
        ({"Retry-After": "999999"}, 600),
        ({"Retry-After": "soon"}, 60),
        ({}, 60),
    ],
)
async def test_429_is_obeyed(said: dict[str, str], waited: int) -> None:
    """After a 429 the call is made again when Retry-After says, within bounds; else in a minute."""
    watch = Watch()
    async with a_provider("v3") as provider, calling(provider, watch) as asked:
        provider.log = [Sms("m")]
        provider.answers.append((429, said, "{}"))
        page = await asked.log_page(SPAN)

    assert page.size == 1
    assert watch.seconds == waited


async def test_patience_ends() -> None:
    """A provider that goes on answering 429 is left alone, and that is told."""
    async with a_provider("v3") as provider, calling(provider) as asked:
        provider.answers.extend([(429, {}, "")] * 99)
        with pytest.raises(ProviderFailed, match=r"/sms/3/logs: answered 429 5 times"):
            await asked.log_page(SPAN)

        assert len(provider.calls) == TRIES


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        ((401, {}, '{"errorCode": "E401",\n "description": "no"}'),
         'expected 200, got 401: {"errorCode": "E401", "description": "no"}'),
        ((302, {"Location": "/elsewhere"}, ""), "expected 200, got 302"),
        ((500, {}, "x" * 1000), "expected 200, got 500: " + "x" * 200),
        ((200, {}, "<html>"), "expected logs as JSON, got something else"),
    ],
)  # fmt: skip
async def test_another_answer_is_told(answer: tuple[int, dict[str, str], str], words: str) -> None:
    """What is no page of logs ends the run with where, what was expected and what came."""
    async with a_provider("v3") as provider, calling(provider) as asked:
        provider.answers.append(answer)
        with pytest.raises(ProviderFailed) as failed:
            await asked.log_page(SPAN)

        assert str(failed.value).startswith(f"{provider.url}/sms/3/logs: {words}")
        assert len(provider.calls) == 1


async def test_nobody_there_is_told() -> None:
    """A host that cannot be reached is named with the reason."""
    settings = ReconcileSettings("http://127.0.0.1:1", api_key=Secret("KEY"))

    async with asking(settings) as asked:
        with pytest.raises(ProviderFailed, match=r"127\.0\.0\.1:1/sms/3/logs: connection refused"):
            await asked.log_page(SPAN)


@pytest.mark.parametrize(
    ("credentials", "header"),
    [
        ({"api_key": Secret("k")}, "App k"),
        ({"username": "u", "password": Secret("p")}, "Basic dTpw"),
        ({"ibsso_token": Secret("t")}, "IBSSO t"),
        ({"bearer_token": Secret("t")}, "Bearer t"),
    ],
)
async def test_who_asks_is_proved(credentials: dict[str, Any], header: str) -> None:
    """Each of the provider's four kinds of credentials makes its header."""
    async with (
        a_provider("v3") as provider,
        calling(provider, **{"api_key": None, **credentials}) as asked,
    ):
        with pytest.raises(ProviderFailed, match="got 401"):  # it wants "App KEY"
            await asked.log_page(SPAN)
        (call,) = provider.calls

    assert call.headers["Authorization"] == header
    assert call.headers["Accept"] == "application/json"
    assert dict(call.query) == SPAN


async def test_a_base_url_may_have_a_path_and_a_slash() -> None:
    """The base URL's own path, with a slash at its end or without, stands before the endpoint's."""
    async with a_provider("v1") as provider, calling(provider, base_url=f"{provider.url}/") as one:
        provider.log = [Sms("m")]

        assert (await one.log_page(SPAN)).size == 1


async def test_a_cancelled_pull_is_kept_first() -> None:
    """Whoever is cancelled while the provider hands out reports still keeps them."""
    kept: list[bytes] = []
    async with a_provider("v3") as provider, calling(provider) as asked:
        provider.to_pull.append(Sms("m").report("v3"))
        provider.may_answer.clear()
        pulling = asyncio.create_task(asked.pull(kept.append))
        await provider.pulled.wait()
        pulling.cancel()
        await asyncio.sleep(0)
        provider.may_answer.set()
        with pytest.raises(asyncio.CancelledError):
            await pulling

    assert b'"m"' in kept[0]


async def test_the_tls_settings_are_obeyed(tmp_path: Path) -> None:
    """The connection trusts the authorities that the settings name, and no others."""
    authority = trustme.CA()
    file = tmp_path / "ca.pem"
    authority.cert_pem.write_to_path(str(file))
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("localhost").configure_cert(tls)
    trusted = TlsSettings(ca_file=str(file))

    async with a_provider("v3", tls) as provider:
        provider.url = provider.url.replace("127.0.0.1", "localhost")
        async with asking(provider.settings(tls=trusted)) as asked:
            assert (await asked.log_page(SPAN)).size == 0
        async with asking(provider.settings()) as asked:
            with pytest.raises(ProviderFailed, match="certificate verify failed"):
                await asked.log_page(SPAN)
