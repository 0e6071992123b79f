"""What every database gives of the reports that wait to be pushed (dispatcher/queue/base.py)."""

from __future__ import annotations

from msgspec import structs

from receiver.dlr.model import Format
from receiver.store.base import ReportItem, StoredReport
from receiver.store.callback import NotifyTo
from tests.contracts.report_store import a_callback, an_sms, ids, of_entries
from tests.contracts.storages import StorageBackend
from tests.receiver.payloads import a_v3_item

ODD = ("", '"', "\\", "'", ",", "é", "\u2028", "😀", "a\tb", "\x7f", "[1,2]", '{"a":1}', "x" * 5000)


class OutboxContract:
    async def test_what_the_store_has(self, backend: StorageBackend) -> None:
        """Whatever a report says, the outbox has the same of it as the store, however many are
        asked for, also where some are gone."""
        store, outbox = backend.storage.store, backend.storage.outbox
        odd = [an_sms(f"m{n}", callbackData=text) for n, text in enumerate(ODD)]
        own = a_callback(an_sms("own")).verdict.entries[0]
        forms: tuple[Format, ...] = ("json", "xml")
        for number, form in enumerate(forms):
            to = NotifyTo(f'https://a:b@example.org/"{number}"?é', form)
            await store.add([of_entries(structs.replace(own, notify_to=to, identity=number))])
        await store.add(
            [
                a_callback(*odd),
                a_callback(an_sms("p", "PENDING_ENROUTE"), source='a "b"'),
                a_callback(a_v3_item(), an_sms("big", price={"pricePerMessage": 1e-9})),
                a_callback(a_v3_item(messageId="x"), format="xml"),
            ]
        )
        every = await store.reports_after(0, 1000)
        await backend.delete_reports([every[1].id, every[4].id])
        every = await store.reports_after(0, 1000)
        numbers = ids(every)

        assert len(every) == len(ODD) + 4
        for after in (0, *numbers):
            for limit in (1, 2, 7, 1000):
                found = await outbox.reports_after(after, limit)
                expected = [each for each in every if each.id > after][:limit]
                assert [_to_push(each) for each in found] == [_to_push(each) for each in expected]
        assert list(await outbox.reports_by_id(numbers[:3])) == every[:3]


def _to_push(report: ReportItem | StoredReport) -> ReportItem:
    told = {name: getattr(report, name) for name in ReportItem.__struct_fields__}
    return ReportItem(**told)
