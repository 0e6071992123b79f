"""What grows from push to push: the time of an answer, a webhook's memory on this machine."""

from __future__ import annotations

import statistics
from collections.abc import Sequence

import psutil
from msgspec import Struct
from yarl import URL

from dispatcher.rehearsal.exchange import Exchange
from dispatcher.rehearsal.verdict import Judgement
from receiver.dlr.model import Report

SAMPLE = 7
"""Plain pushes, one after the other, by which the time of one is measured."""

HERE = ("127.0.0.1", "localhost", "::1")

SLOWER = 3
SLOWER_SECONDS = 0.02
"""An answer that takes so many times as long as at the start, and so much longer, has grown."""

LEAK = 64 * 1024
LEAK_LEAST = 64 * 1024 * 1024
"""Bytes a push, and in all, from which on memory has grown. An app that keeps its messages in
memory needs a kilobyte or two for each; a heap with a collector grows by some tens of megabytes."""


class Footing(Struct, frozen=True):
    """A webhook at one moment: how many pushes it has had, and how many seconds a plain one takes
    (the median of some)."""

    pushes: int
    seconds: float


class Start(Struct, frozen=True):
    """A webhook that is warm, before the pushes that it is compared after. `report` was pushed
    then, and `taken` is what came of that; `pushes` and `memory` are how many it had had, and its
    bytes."""

    report: Report
    taken: Exchange
    pushes: int
    memory: int | None


class Growing(Struct):
    """What a run has seen of a webhook that it is to be compared with: at its beginning, and when
    it was warm. None: nobody has looked."""

    early: Footing | None = None
    start: Start | None = None


def footing(pushes: int, exchanges: Sequence[Exchange]) -> Footing:
    return Footing(pushes, statistics.median(each.seconds for each in exchanges))


class Memory(Struct, frozen=True):
    """The bytes of a webhook's processes before so many pushes and after them. None: they cannot be
    seen."""

    before: int | None
    after: int | None
    pushes: int


def memory_of(url: URL) -> int | None:
    """The resident bytes of the processes that listen at this URL, with those they have started.
    None when they run elsewhere, or this system does not tell."""
    if url.host not in HERE:
        return None
    try:
        owners = {
            found.pid
            for found in psutil.net_connections("tcp")
            if found.status == psutil.CONN_LISTEN and found.laddr[1:] == (url.port,) and found.pid
        }
        listening = [psutil.Process(pid) for pid in owners]
        started = [child for each in listening for child in each.children(recursive=True)]
        sizes = {each.pid: each.memory_info().rss for each in (*listening, *started)}
    except (psutil.Error, OSError):
        return None
    return sum(sizes.values()) or None


def judged(early: Footing, late: Footing, memory: Memory) -> Judgement:
    """Whether the webhook is still what it was."""
    measures = {
        "requests": float(late.pushes),
        "firstMs": round(early.seconds * 1000, 1),
        "lastMs": round(late.seconds * 1000, 1),
    }
    text = (
        f"push {early.pushes:,} took {measures['firstMs']:g} ms, push {late.pushes:,}"
        f" {measures['lastMs']:g} ms"
    )
    slower = late.seconds > max(early.seconds * SLOWER, early.seconds + SLOWER_SECONDS)
    leaks = False
    if memory.before is not None and memory.after is not None:
        leaks = memory.after - memory.before > max(LEAK_LEAST, LEAK * memory.pushes)
        measures |= {"firstMb": _mb(memory.before), "lastMb": _mb(memory.after)}
        text = (
            f"{text}; memory: {measures['firstMb']:g} MB, and {measures['lastMb']:g} MB"
            f" {memory.pushes:,} pushes later"
        )
    return Judgement("weak" if slower or leaks else "passed", text, measures)


def _mb(size: int) -> float:
    return round(size / 1_000_000, 1)
