"""What TLS a webhook speaks, and whether its certificate can be trusted."""

from __future__ import annotations

import asyncio
import socket
import ssl
import warnings
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from typing import Any

from dispatcher.rehearsal.check import Evidence, Stage
from dispatcher.rehearsal.exchange import failure_of, readable
from dispatcher.rehearsal.plan import Plan
from dispatcher.rehearsal.target import Way
from dispatcher.rehearsal.verdict import Judgement

RENEW = timedelta(days=14)
"""A certificate that is over sooner than this should have been renewed."""


async def certificate(stage: Stage) -> Evidence:
    """A handshake as each push makes it: name, authority and time of the certificate."""
    facts = await asyncio.to_thread(_handshake, stage.way, stage.plan, stage.way.tls)
    return Evidence(exchanges=(), facts={**facts, "now": datetime.now(UTC)})


async def versions(stage: Stage) -> Evidence:
    """A handshake with what is modern, and one with what is not."""
    modern = await asyncio.to_thread(_handshake, stage.way, stage.plan, _any_certificate())
    old = await asyncio.to_thread(_handshake, stage.way, stage.plan, _old_versions())
    return Evidence(exchanges=(), facts={"modern": modern, "old": old})


def _handshake(way: Way, plan: Plan, context: ssl.SSLContext | None) -> dict[str, Any]:
    assert context is not None
    host, port = way.url.raw_host or "", way.url.port or 443
    seconds = plan.timeout.total_seconds()
    try:
        with (
            socket.create_connection((host, port), timeout=seconds) as plain,
            context.wrap_socket(plain, server_hostname=host) as secure,
        ):
            end = (secure.getpeercert() or {}).get("notAfter")
            return {"version": secure.version(), "ends": _instant(end)}
    except (OSError, ValueError) as error:
        text = getattr(error, "verify_message", "") or failure_of(error, seconds)
        return {"version": None, "error": readable(text, 200)}


def _instant(text: Any) -> datetime | None:
    if not isinstance(text, str):
        return None
    return datetime.fromtimestamp(ssl.cert_time_to_seconds(text), UTC)


def _any_certificate() -> ssl.SSLContext:
    """Only the version is asked for; the certificate has a check of its own."""
    made = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    made.check_hostname = False
    made.verify_mode = ssl.CERT_NONE
    made.minimum_version = ssl.TLSVersion.TLSv1_2
    return made


def _old_versions() -> ssl.SSLContext:
    made = _any_certificate()
    with warnings.catch_warnings():  # Python warns of the very thing that is tried here
        warnings.simplefilter("ignore", DeprecationWarning)
        made.minimum_version = ssl.TLSVersion.TLSv1
        made.maximum_version = ssl.TLSVersion.TLSv1_1
    with suppress(ssl.SSLError):
        made.set_ciphers("DEFAULT@SECLEVEL=0")  # or OpenSSL itself refuses
    return made


def judge_certificate(evidence: Evidence) -> Judgement:
    facts = evidence.facts
    if facts["version"] is None:
        return Judgement("failed", f"no trusted connection: {facts['error']}")
    ends: datetime | None = facts["ends"]
    if ends is None:
        return Judgement("passed", "trusted")
    days = (ends - facts["now"]).days
    if ends - facts["now"] < RENEW:
        return Judgement("weak", f"trusted, but it expires in {days} days: {ends:%Y-%m-%d}")
    return Judgement("passed", f"trusted, until {ends:%Y-%m-%d}")


def judge_versions(evidence: Evidence) -> Judgement:
    modern, old = evidence.facts["modern"], evidence.facts["old"]
    if modern["version"] is None:
        return Judgement("failed", f"neither TLS 1.2 nor 1.3: {modern['error']}")
    if old["version"] is not None:
        return Judgement("weak", f"accepts {modern['version']}, and {old['version']} as well")
    return Judgement("passed", f"accepts {modern['version']}, and nothing older than 1.2")
