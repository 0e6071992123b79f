"""Security: what anybody on the net may try at a URL that is open to all."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Awaitable, Callable, Mapping
from datetime import timedelta
from functools import partial

from msgspec.structs import replace

from dispatcher.rehearsal import rules
from dispatcher.rehearsal.bodies import Body, body
from dispatcher.rehearsal.check import Evidence, Stage, performed
from dispatcher.rehearsal.checks import tls
from dispatcher.rehearsal.checks.answers import BROKEN_JSON, BROKEN_XML, NO_TEXT, WRONG_SHAPE
from dispatcher.rehearsal.exchange import readable
from dispatcher.rehearsal.judges import NOTE, told
from dispatcher.rehearsal.proving import Prover
from dispatcher.rehearsal.verdict import Judgement

# --- credentials -------------------------------------------------------------------------------


Forge = Callable[[Prover, bytes], Mapping[str, str]]


def _with(forge: Forge, what: str) -> Callable[[Stage], Awaitable[Evidence]]:
    """A push whose headers are not those of the dispatcher."""

    async def perform(stage: Stage) -> Evidence:
        one = body([stage.make.report()], what=what)
        given = forge(stage.way.prover, one.data)
        return Evidence(exchanges=(await stage.client.push(one, given),))

    return perform


def _of_another_body(prover: Prover, data: bytes) -> Mapping[str, str]:
    return prover.headers(data + b"\n")


def _of_yesterday(prover: Prover, data: bytes) -> Mapping[str, str]:
    return prover.headers(data, timedelta(days=1))


def _judge_credentials(evidence: Evidence) -> Judgement:
    (exchange,) = evidence.exchanges
    if exchange.status in (401, 403, 404):
        return Judgement("passed", f"refused with {exchange.status}")
    if exchange.ok:
        return Judgement("failed", f"answered {exchange.status}: anyone can post reports")
    if exchange.answered and 400 <= (exchange.status or 0) < 500:
        return Judgement("passed", f"refused with {exchange.status}; 401 would tell the reason")
    return Judgement("failed", f"expected 401 or 403, got {told(exchange)}")


def _judge_old(evidence: Evidence) -> Judgement:
    """No harm by itself, for a report that comes again is counted once."""
    (exchange,) = evidence.exchanges
    if exchange.ok:
        return Judgement("weak", f"answered {exchange.status} to a signature from yesterday")
    return _judge_credentials(evidence)


# --- bodies ------------------------------------------------------------------------------------

_PIECE = b" " * 65536


async def _flood(stage: Stage) -> Evidence:
    """A body of blanks that is far too large. Some servers read it to its end and refuse it then,
    without keeping it; so it has an end."""
    most = -(-stage.plan.flood // len(_PIECE)) * len(_PIECE)
    start = Body(what=f"a body of {most:,} bytes", data=_PIECE)
    taken = len(_PIECE)
    async with stage.wires.open() as wire:
        await wire.send(stage.wires.head(start, length=most) + start.data)
        answer = asyncio.create_task(wire.answer(str(start)))
        while taken < most and not answer.done() and await wire.send(_PIECE):
            taken += len(_PIECE)
        exchange = replace(await answer, posted=b"")
    return Evidence(exchanges=(exchange,), facts={"taken": taken, "whole": taken == most})


def _judge_flood(evidence: Evidence) -> Judgement:
    (exchange,) = evidence.exchanges
    read = f"{evidence.facts['taken']:,} bytes"
    if exchange.timed_out:
        return Judgement("failed", f"read {read} and then sent no answer: {exchange.failure}")
    if not exchange.answered:
        return Judgement(
            "passed", (f"closed the connection after {read}; 413 would tell the reason")
        )
    if exchange.status is not None and exchange.status >= 500:
        return Judgement("failed", f"expected 413, got {told(exchange)}")
    if exchange.status == 413 and evidence.facts["whole"]:
        return Judgement("passed", f"{NOTE}read all {read} before it refused them with 413")
    if exchange.ok or evidence.facts["whole"]:
        return Judgement("failed", f"read {read} and answered {told(exchange)}, expected 413")
    return Judgement("passed", f"refused with {exchange.status} after {read}")


def _entities() -> bytes:
    """Ten million times `rehearsal` from under a kilobyte: enough to hurt, and not to kill."""
    entities = "".join(f'<!ENTITY e{n} "{f"&e{n - 1};" * 10}">' for n in range(1, 8))
    doctype = f'<!DOCTYPE reportResponse [<!ENTITY e0 "rehearsal ">{entities}]>'
    item = "<result><messageId>rehearsal-bomb</messageId><callbackData>&e7;</callbackData></result>"
    text = f"{doctype}<reportResponse><results>{item}</results></reportResponse>"
    return f'<?xml version="1.0" encoding="UTF-8"?>{text}'.encode()


BOMB = Body(
    what="XML whose entities expand to 100 MB", data=_entities(), content_type="application/xml"
)


async def _bomb(stage: Stage) -> Evidence:
    """The bomb, and a plain report that shows who survived it."""
    bomb = await stage.client.push(BOMB)
    after = await stage.client.push(body([stage.make.report()], what="after it"))
    return Evidence(exchanges=(bomb, after))


def _judge_bomb(evidence: Evidence) -> Judgement:
    bomb, after = evidence.exchanges
    if not after.ok:
        return Judgement("failed", f"the next push was not accepted: {told(after)}")
    if not bomb.answered or (bomb.status or 0) >= 500:
        return Judgement("failed", f"expected 400, got {told(bomb)}")
    if bomb.seconds > evidence.plan.timeout.total_seconds() / 5:
        return Judgement("failed", f"answered {bomb.status} after {bomb.seconds:.1f} s of work")
    if bomb.ok:
        text = f"answered {bomb.status}: the XML was not expanded, but not refused either"
        return Judgement("passed", f"{NOTE}{text}")
    return Judgement("passed", f"refused with {bomb.status}")


TRACES = re.compile(
    r"Traceback \(most recent call last\)|File \"[^\"]+\", line \d+"  # Python
    r"|^\s*at [\w.$<>\[\] ]+ ?\(.*?:\d+(?::\d+)?\)|\bat (?:async )?[\w./:-]+\.[cm]?[jt]s:\d+:\d+"
    r"|\bat [\w.$]+\([\w]+\.(?:java|kt|scala|groovy):\d+\)"
    r"|\bat [\w.<>`]+\(.*\) in .+:line \d+"  # .NET
    r"|goroutine \d+ \[running\]|\.go:\d+ \+0x"
    r"|\.php(?:\(\d+\)| on line \d+)|\.rb:\d+:in\b"
    r"|node_modules/|site-packages/|werkzeug\.debug",
    re.MULTILINE,
)
"""Stack traces of the languages that webhooks are written in."""


async def _provoke(stage: Stage) -> Evidence:
    odd = Body(
        what="a report whose status is a list",
        data=b'{"results":[{"messageId":"rehearsal-odd","status":[1]}]}',
    )
    return await stage.push(
        BROKEN_JSON[0], BROKEN_XML[0], *NO_TEXT[1:3], WRONG_SHAPE[0], WRONG_SHAPE[2], odd
    )


def _judge_traces(evidence: Evidence) -> Judgement:
    for exchange in evidence.exchanges:
        if found := TRACES.search(exchange.text):
            return Judgement(
                "failed", f"{exchange.sent}: the answer shows {readable(found[0].strip(), 80)!r}"
            )
    if not any(each.answered for each in evidence.exchanges):
        return Judgement("not judged", f"no answer to look at: {evidence.exchanges[0].failure}")
    return Judgement("passed", "no error reveals internals")


_security = partial(performed, "security")

CHECKS = (
    _security(
        "tls-certificate",
        "a trusted certificate",
        tls.certificate,
        tls.judge_certificate,
        why=(
            "No push arrives while its host name, its authority or its period of validity is wrong."
        ),
        rule=rules.TLS,
        mend="Serve the whole chain for this host name, and renew it automatically.",
        needs="https",
        gated=False,
    ),
    _security(
        "tls-version",
        "TLS 1.2 or 1.3, and nothing older",
        tls.versions,
        tls.judge_versions,
        why="The platform uses only 1.2 and 1.3, and older versions can be broken.",
        rule=rules.TLS,
        mend="ssl_protocols TLSv1.2 TLSv1.3.",
        needs="https",
        gated=False,
    ),
    _security(
        "credentials-missing",
        "a push without credentials is refused",
        _with(lambda _prover, _data: {}, "no credentials"),
        _judge_credentials,
        why="Some verifiers accept everything when a header is missing.",
        demand="attacker",
        rule=rules.SECURITY,
        mend="Answer 401 unless the credentials are present and correct.",
        needs="credentials",
    ),
    _security(
        "credentials-wrong",
        "a push with wrong credentials is refused",
        _with(Prover.forged, "wrong credentials"),
        _judge_credentials,
        why="If you check only that the header exists, or ignore case, others can post too.",
        demand="attacker",
        rule=rules.SECURITY,
        mend="Compare the whole value, in constant time (hmac.compare_digest, timingSafeEqual).",
        needs="credentials",
    ),
    _security(
        "signature-other-body",
        "a signature of another body is refused",
        _with(_of_another_body, "signed for another body"),
        _judge_credentials,
        why=(
            "Otherwise anyone who has seen one signed push can reuse its signature for another"
            " body."
        ),
        rule=rules.SECURITY,
        mend="Verify all bytes as you received them, before you parse them.",
        demand="attacker",
        needs="signature",
    ),
    _security(
        "signature-old",
        "a signature from yesterday is refused",
        _with(_of_yesterday, "signed yesterday"),
        _judge_old,
        why="Otherwise anyone who has recorded a push can send it again at any time.",
        rule=rules.SECURITY,
        mend="Refuse timestamps that are more than five minutes away from now.",
        demand="attacker",
        needs="timestamp",
    ),
    _security(
        "body-limit",
        "a body of 32 MB is refused",
        _flood,
        _judge_flood,
        why="Otherwise anyone can fill your memory with one request.",
        demand="attacker",
        rule=rules.ANYONE,
        mend="Refuse bodies of more than 10 MB with 413: client_max_size, MAX_CONTENT_LENGTH,"
        " client_max_body_size.",
        alone=True,
    ),
    _security(
        "entity-bomb",
        "XML with an entity bomb does no harm",
        _bomb,
        _judge_bomb,
        why="A kilobyte of XML can expand to gigabytes in the parser.",
        demand="attacker",
        rule=rules.ANYONE,
        mend=(
            "Refuse any DOCTYPE: use defusedxml, xmltodict with its defaults, or"
            " disallow-doctype-decl in Java."
        ),
        alone=True,
    ),
    _security(
        "no-stack-trace",
        "no error shows a stack trace",
        _provoke,
        _judge_traces,
        why="A stack trace shows paths, versions and code to anyone who provokes an error.",
        demand="attacker",
        rule=rules.ANYONE,
        mend="Switch off debugging in production, and answer errors with your own text.",
    ),
)
