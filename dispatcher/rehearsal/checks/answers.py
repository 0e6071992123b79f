"""Answers: how the webhook speaks HTTP, and what it says to what it cannot read."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator
from functools import partial

from msgspec.structs import replace

from dispatcher.rehearsal import rules
from dispatcher.rehearsal.bodies import Body, body
from dispatcher.rehearsal.check import Check, Evidence, Stage, performed
from dispatcher.rehearsal.exchange import Exchange
from dispatcher.rehearsal.judges import (
    ANSWER_LARGE,
    ANSWER_SMALL,
    NOTE,
    in_time,
    lenient,
    refused_politely,
    taken,
    told,
)
from dispatcher.rehearsal.truth import Expected
from dispatcher.rehearsal.verdict import Judgement

CONTINUE_PATIENCE = 1.0
"""Seconds that clients wait for `100 Continue` before they send the body all the same (curl)."""


async def _five(stage: Stage) -> Evidence:
    """Of a slow webhook fewer, which show as much; the opening push is one of them."""
    number = 4 if stage.opening.seconds < 0.5 else 2
    evidence = await stage.push(*(body([stage.make.report()]) for _ in range(number)))
    return replace(evidence, exchanges=(stage.opening, *evidence.exchanges))


def garbage(*bodies: Body) -> Callable[[Stage], Awaitable[Evidence]]:
    async def perform(stage: Stage) -> Evidence:
        return await stage.push(*bodies)

    return perform


def _json(what: str, data: bytes) -> Body:
    return Body(what=what, data=data)


def _xml(what: str, data: bytes) -> Body:
    return Body(what=what, data=data, content_type="application/xml")


BROKEN_JSON = (
    _json("JSON cut in the middle", b'{"results":[{"messageId":"2033'),
    _json("JSON with a wrong bracket", b'{"results":[{"messageId":"2033"]}'),
    _json("JSON with more data after its end", b'{"results":[]}]'),
)
BROKEN_XML = (
    _xml("XML cut in the middle", b"<reportResponse><results><result><messageId>2033"),
    _xml("XML with a wrong closing tag", b"<reportResponse><results></result></reportResponse>"),
    _xml("JSON that claims to be XML", b'{"results":[]}'),
)
NO_TEXT = (
    _json("no body", b""),
    _json("random bytes", bytes(range(256)) * 2),
    _json("bytes that are not UTF-8", b'{"results":\xff\xfe}'),
    _xml("random bytes", bytes(range(255, -1, -1))),
)
WRONG_SHAPE = (
    _json("a list instead of an object", b'["results"]'),
    _json("a string instead of an object", b'"results"'),
    _json("results that is a string", b'{"results":"none"}'),
    _json("no results", b'{"reports":[]}'),
    _xml("XML without results", b"<html><body>hello</body></html>"),
)


NESTED = _json("50,000 nested lists", b"[" * 50_000 + b"]" * 50_000)


async def _nested(stage: Stage) -> Evidence:
    """The nested lists, and a plain report that shows who survived them."""
    nested = await stage.client.push(NESTED)
    after = await stage.client.push(body([stage.make.report()], what="after it"))
    return Evidence(exchanges=(nested, after))


def _judge_nested(evidence: Evidence) -> Judgement:
    """An error is no harm: nobody but an attacker sends this."""
    nested, after = evidence.exchanges
    if not after.ok:
        return Judgement("failed", f"the next push was not accepted: {told(after)}")
    if nested.timed_out or nested.seconds > evidence.plan.timeout.total_seconds() / 5:
        return Judgement("failed", f"{NESTED.what} cost {nested.seconds:.1f} s of work")
    if nested.status is not None and 400 <= nested.status < 500:
        return Judgement("passed", f"answered {nested.status}")
    return Judgement("passed", f"{NOTE}answered {told(nested)}, and the next push was accepted")


def _judge_redirect(evidence: Evidence) -> Judgement:
    (exchange,) = evidence.exchanges
    if exchange.status is not None and 300 <= exchange.status < 400:
        return Judgement("failed", f"answered {told(exchange)}")
    if not exchange.answered:
        return Judgement("not judged", f"there is no answer: {exchange.failure}")
    return Judgement("passed", f"answered {exchange.status}")


async def _opening(stage: Stage) -> Evidence:
    return Evidence(exchanges=(stage.opening,))


def _judge_size(evidence: Evidence) -> Judgement:
    largest = max(evidence.exchanges, key=lambda each: each.size)
    measures = {"answerBytes": float(largest.size)}
    text = f"the answer has {largest.size:,} bytes"
    if refusal := _failed(evidence):
        return refusal
    if largest.size > ANSWER_LARGE:
        return Judgement("failed", f"{text}; a push reads at most {ANSWER_LARGE:,}", measures)
    if largest.size > ANSWER_SMALL:
        return Judgement("weak", f"{text}; {ANSWER_SMALL:,} are enough", measures)
    return Judgement("passed", text, measures)


def _failed(evidence: Evidence) -> Judgement | None:
    judgement = taken(evidence)
    return judgement if judgement.verdict == "failed" else None


async def _large_bucket(stage: Stage) -> Evidence:
    """A bucket too: what repeats each report in its answer grows with it."""
    bodies = (body([stage.make.report()]), body(stage.make.reports(100)))
    return await stage.push(*bodies)


async def _keep_alive(stage: Stage) -> Evidence:
    first, second = body([stage.make.report()]), body([stage.make.report()])
    async with stage.wires.open() as wire:
        one = await wire.exchange(str(first), stage.wires.head(first) + first.data)
        if not one.answered or _closes(one):
            return Evidence(exchanges=(one,))
        sent = f"{second}, on the same connection"
        two = await wire.exchange(sent, stage.wires.head(second) + second.data)
    return Evidence(exchanges=(one, two))


def _closes(exchange: Exchange) -> bool:
    words = exchange.headers.get("connection", "").lower()
    return "close" in words or (exchange.http_version == "1.0" and "keep-alive" not in words)


def _judge_keep_alive(evidence: Evidence) -> Judgement:
    if refusal := _failed(evidence):
        if len(evidence.exchanges) == 2 and not evidence.exchanges[1].answered:
            text = "the webhook closes the connection after its answer without announcing it"
            return Judgement("failed", f"{text}: {evidence.exchanges[1].failure}")
        return refusal
    if len(evidence.exchanges) == 1:
        text = "it announces that it closes the connection: each push needs a new one"
        return Judgement("passed", f"{NOTE}{text} (and with TLS a new handshake)")
    return Judgement("passed", "two pushes on one connection")


async def _chunked(stage: Stage) -> Evidence:
    report = stage.make.report()
    one = body([report])
    head = stage.wires.head(one, length=None, Transfer_Encoding="chunked")
    pieces = b"".join(b"%x\r\n%b\r\n" % (len(piece), piece) for piece in _pieces(one.data, 7))
    exchange = await stage.wires.exchange(f"{one}, in chunks", head + pieces + b"0\r\n\r\n")
    return Evidence(exchanges=(exchange,), expected=(Expected(report.message_id or ""),))


def _pieces(data: bytes, number: int) -> Iterator[bytes]:
    step = -(-len(data) // number)
    return (data[at : at + step] for at in range(0, len(data), step))


async def _continue(stage: Stage) -> Evidence:
    report = stage.make.report()
    one = body([report])
    sent = f"{one}, Expect: 100-continue"
    async with stage.wires.open() as wire:
        await wire.send(stage.wires.head(one, Expect="100-continue"))
        first = await wire.first_status(min(CONTINUE_PATIENCE, stage.plan.stall.total_seconds()))
        if first is None or first < 200:
            exchange = await wire.exchange(sent, one.data)
        else:
            exchange = await wire.answer(sent)
    return Evidence(
        exchanges=(exchange,),
        expected=(Expected(report.message_id or ""),),
        facts={"continued": first == 100},
    )


def _judge_continue(evidence: Evidence) -> Judgement:
    judgement = taken(evidence)
    if judgement.verdict == "passed" and not evidence.facts["continued"]:
        text = "no `100 Continue` came: a client that asks for it waits one second each time"
        return Judgement("passed", f"{NOTE}{text}")
    return judgement


async def _slow(stage: Stage) -> Evidence:
    report = stage.make.report()
    one = body([report])
    pieces = [stage.wires.head(one), *_pieces(one.data, 5)]
    pause = stage.plan.stall.total_seconds() / 5
    exchange = await stage.wires.exchange(f"{one}, in five pieces", *pieces, pause=pause)
    return Evidence(exchanges=(exchange,), expected=(Expected(report.message_id or ""),))


async def _half(stage: Stage) -> Evidence:
    """Half a body; the rest comes only when nothing was answered for a while."""
    report = stage.make.report()
    one = body([report])
    half = len(one.data) // 2
    async with stage.wires.open() as wire:
        await wire.send(stage.wires.head(one) + one.data[:half])
        early = await wire.first_status(stage.plan.stall.total_seconds())
        if early is None:
            exchange = await wire.exchange(f"{one}, with its second half late", one.data[half:])
        else:
            exchange = await wire.answer(f"half of {one}")
    return Evidence(
        exchanges=(exchange,),
        expected=(Expected(report.message_id or ""),),
        facts={"early": early},
    )


def _judge_half(evidence: Evidence) -> Judgement:
    early = evidence.facts["early"]
    if early is not None and 200 <= early < 300:
        return Judgement("failed", f"answered {early} when only half of the body had arrived")
    return taken(evidence)


_answer = partial(performed, "answers")


def _garbage(name: str, asks: str, bodies: tuple[Body, ...], why: str, mend: str) -> Check:
    return _answer(
        name,
        asks,
        garbage(*bodies),
        refused_politely,
        why=why,
        rule=rules.SUCCESS,
        mend=mend,
        demand="attacker",
    )


CHECKS = (
    _answer(
        "quick-answer",
        "pushes are answered well within the timeout",
        _five,
        in_time,
        alone=True,
        why=(
            "An answer after the timeout does not count: the push is repeated although it was"
            " stored."
        ),
        rule=rules.TIMEOUTS,
        mend="Store the report, answer, and do the slow work (mail, CRM) behind a queue.",
    ),
    _garbage(
        "garbage-json",
        "broken JSON is answered 4xx",
        BROKEN_JSON,
        (
            "5xx raises your alarms for what others sent; 2xx claims that you have stored what you"
            " cannot read."
        ),
        "Catch your parser's error, keep the body so that you can examine it, and answer 400.",
    ),
    _garbage(
        "garbage-xml",
        "broken XML is answered 4xx",
        BROKEN_XML,
        "An unhandled parser error looks like an outage on your side.",
        "Catch the parser's error and answer 400.",
    ),
    _garbage(
        "garbage-bytes",
        "no body and random bytes are answered 4xx",
        NO_TEXT,
        (
            "Scanners find every URL, and decoding errors are raised in other places than JSON"
            " errors."
        ),
        "Catch decoding errors too, and answer 400.",
    ),
    _garbage(
        "wrong-shape",
        "JSON and XML without reports are answered 4xx",
        WRONG_SHAPE,
        (
            "A list instead of an object, or deep nesting, causes errors in places that nobody"
            " tests."
        ),
        "Check that `results` is a list of objects before you loop over it.",
    ),
    _answer(
        "deep-nesting",
        "50,000 nested lists do no harm",
        _nested,
        _judge_nested,
        why="A recursive parser can crash the whole process.",
        rule=rules.ANYONE,
        mend="Use a parser that limits the depth, and catch its error.",
        demand="attacker",
        alone=True,
    ),
    _answer(
        "no-redirect",
        "no redirect",
        _opening,
        _judge_redirect,
        why=("Redirects are not followed: each report is repeated for 41:30 hours and then lost."),
        rule=rules.SUCCESS,
        mend="Give the platform the final URL: https, the right host, with or without a slash.",
        gated=False,
    ),
    _answer(
        "small-answer",
        "the answer's body is small",
        _large_bucket,
        _judge_size,
        demand="style",
        why="Nobody reads the body, and it keeps the connection busy.",
        rule=rules.SUCCESS,
        mend="Answer with an empty body or a short JSON.",
    ),
    _answer(
        "keep-alive",
        "a second push on the same connection",
        _keep_alive,
        _judge_keep_alive,
        demand="style",
        why="If the connection is closed without notice, the next push on it fails.",
        rule=rules.HTTP,
        mend="Use HTTP/1.1 with keep-alive, or send `Connection: close`.",
    ),
    _answer(
        "chunked",
        "a body in chunks, without Content-Length",
        _chunked,
        lenient,
        demand="style",
        why=(
            "Streaming clients and proxies send bodies this way. Code that reads"
            " Content-Length bytes reads nothing."
        ),
        rule=rules.HTTP,
        mend=(
            "Let your server or proxy decode the chunks (proxy_request_buffering on, WSGI server)."
        ),
    ),
    _answer(
        "expect-continue",
        "Expect: 100-continue",
        _continue,
        _judge_continue,
        demand="style",
        why="Some clients ask before they send a large body.",
        rule=rules.HTTP,
        mend="Use a server that answers `100 Continue`; do not refuse the header with 417.",
    ),
    _answer(
        "slow-body",
        "a body that comes in five pieces, slowly",
        _slow,
        taken,
        why=(
            "On a bad line a bucket arrives in pieces, and code that reads once gets only a"
            " part of it."
        ),
        rule=rules.HTTP,
        mend="Read until the body is complete.",
    ),
    _answer(
        "answer-after-body",
        "no 2xx before the body has arrived",
        _half,
        _judge_half,
        why=(
            "A report that is acknowledged but not read is lost, because the platform does not"
            " keep it."
        ),
        rule=rules.KEPT_NOWHERE,
        mend="Read and store the body first, and answer after that.",
    ),
)
