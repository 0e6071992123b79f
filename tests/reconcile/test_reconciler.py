"""A run: what it finds, what it stores, and that nothing that was pulled gets lost."""

from __future__ import annotations

import asyncio
import json
from datetime import timedelta
from typing import Any

import pytest

from dispatcher.reconcile.comparison import Finding
from dispatcher.reconcile.provider import ProviderFailed
from dispatcher.reconcile.reconciler import Reconciler, RunCounts
from dispatcher.reconcile.spool import Spool
from dispatcher.storage import Storage
from receiver.callbacks.intake import NO_LIMITS, Limits, verdict_on_bytes
from receiver.dlr.json_format import encode_body
from receiver.store.base import ReportStore, StoredReport, StoreUnavailable
from receiver.store.callback import Callback, Verdict
from tests.contracts.report_store import everything
from tests.reconcile.scripted_provider import NOW, ScriptedProvider, Sms, Watch, calling

DAY = timedelta(days=1)


class Bench:
    """A provider, a store and a spool, and runs between them."""

    def __init__(self, provider: ScriptedProvider, opened: Storage, spool: Spool) -> None:
        self.provider = provider
        self.store = opened.store
        self.spool = spool

    async def run(
        self,
        *,
        apply: bool = False,
        limits: Limits = NO_LIMITS,
        store: Any = None,
        **settings: Any,
    ) -> tuple[list[Finding], RunCounts]:
        chosen = self.provider.settings(**settings)
        async with calling(self.provider, Watch(), **settings) as asked:
            reconciler = Reconciler(
                "acme", chosen, asked, store or self.store, self.spool, lambda: NOW, limits
            )
            return [each async for each in reconciler.run(DAY, apply=apply)], reconciler.counts

    async def came(self, *messages: Sms, source: str = "acme") -> None:
        """Their reports were pushed to us and stored."""
        items = [json.dumps(sms.report(self.provider.api)).encode() for sms in messages]
        callback = Callback(
            source=source,
            format="json",
            content_type="application/json",
            received_at=NOW - timedelta(hours=1),
            verdict=Verdict(entries=verdict_on_bytes(encode_body(items), "json").entries),
        )
        await self.store.add([callback])

    def can_be_pulled(self, *messages: Sms) -> None:
        self.provider.to_pull.extend(sms.report(self.provider.api) for sms in messages)

    async def stored(self) -> dict[str | None, StoredReport]:
        """The reports by messageId, of which each has one."""
        all_of_them = await everything(self.store)
        reports = {each.read().message_id: each for each in all_of_them}
        assert len(reports) == len(all_of_them)
        return reports


@pytest.fixture
def bench(provider: ScriptedProvider, opened: Storage, database: str) -> Bench:
    return Bench(provider, opened, Spool(database, "acme"))


def told(findings: list[Finding]) -> list[tuple[str, str, str | None]]:
    return [(each.verdict, each.by, each.said.message_id) for each in findings]


async def test_a_dry_run_lists_and_takes_nothing(bench: Bench) -> None:
    """A dry run asks the logs alone and stores nothing."""
    arrived, missed, open_ = Sms("arrived"), Sms("missed"), Sms("open", "PENDING_ENROUTE")
    fresh = Sms("fresh", done_at=NOW - timedelta(minutes=1))
    changed = Sms("changed", "EXPIRED_EXPIRED")
    bench.provider.log = [arrived, missed, open_, fresh, changed]
    bench.can_be_pulled(missed)
    await bench.came(arrived, Sms("changed"))

    found, counts = await bench.run()

    assert told(found) == [("missing", "log", "missed"), ("differing", "log", "changed")]
    assert set(bench.provider.asked()) == {"logs"}
    assert len(bench.provider.to_pull) == 1
    assert len(await everything(bench.store)) == 2
    assert counts == RunCounts(entries=5, agreeing=1, open=1, under_way=1, missing=1, differing=1)


async def test_what_is_pulled_comes_first_and_whole(bench: Bench) -> None:
    """With apply a report that can be pulled is stored as it is, and not made of the log as well;
    the rest is made of the log."""
    both, only_log = Sms("both"), Sms("only-log")
    bench.provider.log = [both, only_log]
    bench.can_be_pulled(both)

    found, counts = await bench.run(apply=True)

    reports = await bench.stored()
    assert told(found) == [("missing", "pull", "both"), ("missing", "log", "only-log")]
    assert reports["both"].read().callback_data == "order 7"
    assert reports["only-log"].read().callback_data is None
    assert reports["only-log"].generation == {"v1": "v2", "v3": "v3"}[bench.provider.api]
    assert {each.source for each in reports.values()} == {"acme"}
    assert {each.received_at for each in reports.values()} == {NOW}
    assert b"secret" not in reports["only-log"].item
    assert (counts.pulled, counts.stored, counts.agreeing) == (1, 2, 1)


async def test_what_came_of_another_source_is_missing(bench: Bench) -> None:
    """Another source's report with the same messageId is of another message: it neither makes up
    for what has not come, nor counts it as a duplicate, be it told by the logs or pulled."""
    by_log, pulled, differing = Sms("by-log"), Sms("pulled"), Sms("differing", "EXPIRED_EXPIRED")
    bench.provider.log = [by_log, pulled, differing]
    bench.can_be_pulled(pulled)
    await bench.came(by_log, pulled, Sms("differing"), source="other")

    found, counts = await bench.run(apply=True)

    assert sorted(told(found)) == [
        ("missing", "log", "by-log"),
        ("missing", "log", "differing"),
        ("missing", "pull", "pulled"),
    ]
    assert (counts.stored, counts.duplicates) == (3, 0)
    of_acme = [each for each in await everything(bench.store) if each.source == "acme"]
    assert sorted(str(each.read().message_id) for each in of_acme) == [
        "by-log",
        "differing",
        "pulled",
    ]


async def test_twice_is_as_once(bench: Bench) -> None:
    """A second run finds nothing, and a push that comes after all is counted as a repeat."""
    sms = Sms("m", callback_data=None)
    bench.provider.log = [sms]
    await bench.run(apply=True)

    found, counts = await bench.run(apply=True)
    await bench.came(sms)

    assert (found, counts.stored, counts.agreeing) == ([], 0, 1)
    assert (await bench.stored())["m"].duplicates == 1


async def test_all_pages_are_pulled(bench: Bench) -> None:
    """Pulling goes on until an answer is empty, however large an answer is."""
    bench.provider.most = 2
    bench.can_be_pulled(*(Sms(str(number)) for number in range(5)))

    found, counts = await bench.run(apply=True)

    assert (len(found), counts.pulled, counts.stored) == (5, 5, 5)
    assert bench.provider.asked() == ["reports"] * 4 + ["logs"]


async def test_what_had_come_is_a_duplicate(bench: Bench) -> None:
    """A report that was pushed and is pulled too is no finding."""
    await bench.came(Sms("m"))
    bench.can_be_pulled(Sms("m"))

    found, counts = await bench.run(apply=True)

    assert (found, counts.pulled, counts.stored, counts.duplicates) == ([], 1, 0, 1)


async def test_an_intermediate_report_that_is_pulled_is_stored(bench: Bench) -> None:
    """What the pull endpoint has was meant for us: an intermediate report is stored too."""
    bench.can_be_pulled(Sms("m", "PENDING_ENROUTE"))

    found, _ = await bench.run(apply=True)

    assert told(found) == [("missing", "pull", "m")]
    assert not (await bench.stored())["m"].final


async def test_without_pull_the_endpoint_is_left_alone(bench: Bench) -> None:
    """With pull = false another program keeps its reports; ours are made of the logs."""
    bench.provider.log = [Sms("m")]
    bench.can_be_pulled(Sms("m"))

    found, _ = await bench.run(apply=True, pull=False)

    assert told(found) == [("missing", "log", "m")]
    assert bench.provider.asked() == ["logs"]


async def test_a_provider_that_hands_out_the_same_for_ever_is_left(bench: Bench) -> None:
    """An answer that comes a second time ends the pulling."""
    body = json.dumps({"results": [Sms("m").report(bench.provider.api)]})
    bench.provider.answers.extend([(200, {}, body)] * 9)

    found, _ = await bench.run(apply=True)

    assert len(found) == 1
    assert bench.provider.asked() == ["reports"] * 2 + ["logs"]


async def test_an_unreadable_item_is_quarantined(bench: Bench) -> None:
    """Of what is pulled nothing is lost: what is no report goes to quarantine, as in a callback."""
    bench.provider.to_pull.append({"smsCount": "many"})
    bench.can_be_pulled(Sms("m"))

    _, counts = await bench.run(apply=True)

    (entry,) = await bench.store.quarantine(None, 10)
    assert (counts.stored, counts.quarantined, entry.source) == (1, 1, "acme")


async def test_an_unreadable_answer_is_quarantined_and_told(bench: Bench) -> None:
    """An answer of the pull endpoint that holds no reports is kept whole, and ends the run."""
    bench.provider.answers.append((200, {}, "<html>sorry</html>"))

    with pytest.raises(ProviderFailed, match="what was pulled is not a list of reports"):
        await bench.run(apply=True)

    (entry,) = await bench.store.quarantine(None, 10)
    assert (await bench.store.quarantined(entry.id) or (None, b""))[1] == b"<html>sorry</html>"
    assert list(bench.spool.left()) == []


async def test_a_small_limit_of_items_is_for_callbacks(bench: Bench) -> None:
    """limits.items says what others may post; a page that we asked for may be longer."""
    bench.provider.log = [Sms(str(number)) for number in range(5)]

    _, counts = await bench.run(apply=True, limits=Limits(items=2))

    assert (counts.stored, counts.quarantined) == (5, 0)


class Full:
    """A store whose disk is full: from the start, or when something has been asked for."""

    def __init__(self, store: ReportStore, *, writable: bool) -> None:
        self._store = store
        self._writable = writable

    def __getattr__(self, name: str) -> Any:
        return getattr(self._store, name)

    async def check_writable(self) -> None:
        if not self._writable:
            raise StoreUnavailable("disk full")

    async def add(self, _: object) -> None:
        raise StoreUnavailable("disk full")


async def test_nothing_is_pulled_that_could_not_be_stored(bench: Bench) -> None:
    """While the store cannot be written, the reports stay with the provider."""
    bench.can_be_pulled(Sms("m"))

    with pytest.raises(StoreUnavailable):
        await bench.run(apply=True, store=Full(bench.store, writable=False))

    assert len(bench.provider.to_pull) == 1


async def test_what_could_not_be_stored_is_kept_for_the_next_run(bench: Bench) -> None:
    """When the store fails after a pull, the answer is a file, and the next run stores it."""
    bench.can_be_pulled(Sms("m"))
    with pytest.raises(StoreUnavailable):
        await bench.run(apply=True, store=Full(bench.store, writable=True))
    assert len(list(bench.spool.left())) == 1

    found, _ = await bench.run(apply=True)

    assert told(found) == [("missing", "pull", "m")]
    assert list(bench.spool.left()) == []


async def test_a_run_that_is_cancelled_in_a_pull_loses_nothing(bench: Bench) -> None:
    """A run that is stopped while the provider hands out reports leaves them for the next run."""
    bench.can_be_pulled(Sms("m"))
    bench.provider.may_answer.clear()
    running = asyncio.create_task(bench.run(apply=True))
    await bench.provider.pulled.wait()
    running.cancel()
    await asyncio.sleep(0)
    bench.provider.may_answer.set()
    with pytest.raises(asyncio.CancelledError):
        await running
    assert await everything(bench.store) == []

    found, _ = await bench.run(apply=True)

    assert told(found) == [("missing", "pull", "m")]


async def test_what_was_found_before_a_failure_stays_stored(bench: Bench) -> None:
    """When the provider fails in the middle, what was stored before is stored."""
    bench.can_be_pulled(Sms("m"))
    bench.provider.logs_fail = True

    with pytest.raises(ProviderFailed, match="got 500"):
        await bench.run(apply=True)

    assert list(await bench.stored()) == ["m"]
