"""What erasing one recipient's data does in the store's tables, in every database.

An implementation's test derives a class from `StoreErasureContract` and gives it a fixture
`backend`.
"""

from __future__ import annotations

import asyncio
import gzip
import zlib
from typing import Any

import pytest
from msgspec.structs import replace

from receiver.dlr.errors import Unreadable
from receiver.dlr.json_format import encode_body
from receiver.store.base import Counts, ReportQuery, ReportStore, TotalsQuery
from receiver.store.callback import Verdict
from receiver.store.recipient import Recipient
from tests.contracts.report_store import (
    NOT_A_REPORT,
    PRETTY,
    TEXTS,
    StoreBackend,
    a_callback,
    an_sms,
    everything,
    fails_as_a_whole,
    ids,
    items_as_received,
    message_ids,
    picture,
    received,
)
from tests.receiver.dlr.test_number import FORMS

NUMBER = "41793026727"
OTHER = "4179000"

_BODY = b'{"to":"+41 79 302 67 27"}'
_ESCAPED = "".join(f"\\u{ord(digit):04x}" for digit in NUMBER).encode()
HIDDEN = {
    "gzip": gzip.compress(_BODY),
    "gzip, cut off": gzip.compress(_BODY)[:-6],
    "gzip, twice": gzip.compress(gzip.compress(_BODY)),
    "gzip, two members": gzip.compress(b"{") + gzip.compress(_BODY),
    "zlib": zlib.compress(_BODY),
    "deflate, as some clients send it": zlib.compress(_BODY)[2:],
    "gzip of UTF-16": gzip.compress('{"to":"41793026727"}'.encode("utf-16")),
    "escapes of JSON": b'{"to":"' + _ESCAPED + b'"',
    "after an escape": b'{"text":"to:\\n41793026727"',
    "escapes of XML": b"<to>&#52;&#x31;793026727",
    "escapes of a form": b"to=%2B41793026727",
    "UTF-32": "<to>41793026727</to>".encode("utf-32"),
    "Latin-1": b"+41\xa079\xa0302 67 27",
}
"""Bodies that hold NUMBER, though not its bytes."""


async def erased(backend: StoreBackend, **recipient: str) -> dict[str, int]:
    """Erase this recipient's data. Returns what was touched, without zeros."""
    traces = await backend.erasure.find(Recipient(**recipient))
    for found in (traces.reports, traces.quarantine):
        assert list(found) == sorted(set(found))
    would = await backend.erasure.count(traces)
    touched = await backend.erasure.erase(traces)
    assert touched == would
    assert set(touched) == {"report", "report_key", "received_body", "quarantine"}
    assert touched["report"] == len(traces.reports)
    assert touched["quarantine"] == len(traces.quarantine)
    return {table: rows for table, rows in touched.items() if rows}


async def check_leaves_nothing(store: ReportStore, text: str) -> None:
    """Nothing that a store shows holds this text."""
    assert text not in str(await picture(store))
    for query in (ReportQuery(to=text), ReportQuery(to_prefix=text)):
        assert await store.reports(query) == []


class StoreErasureContract:
    @pytest.fixture
    def store(self, backend: StoreBackend) -> ReportStore:
        return backend.store

    @pytest.mark.parametrize("followed", [0, 1, 100])
    async def test_a_number_leaves_no_trace(
        self, backend: StoreBackend, store: ReportStore, followed: int
    ) -> None:
        """Reports and quarantine of a number are gone, however far the read model has come, and
        those of others are as they were."""
        pretty = PRETTY.replace(b'"p"', b'"p", "to":"%s"' % NUMBER.encode())
        await store.add(
            [
                a_callback(an_sms("m1", to=NUMBER), an_sms("m2", to=OTHER)),
                received(encode_body([pretty])),
                a_callback(f'{{"to":"{NUMBER}","smsCount":"x"}}'.encode(), NOT_A_REPORT),
            ]
        )
        others = (await everything(store))[1]
        await backend.read_model.turn(followed)

        touched = await erased(backend, to=NUMBER)

        assert touched == {"report": 2, "report_key": 2, "received_body": 1, "quarantine": 1}
        await check_leaves_nothing(store, NUMBER)
        assert await everything(store) == [others]
        assert await store.reports(ReportQuery(to=OTHER)) == [others]
        assert len(await store.quarantine(None, 10)) == 1
        await backend.read_model.catch_up()
        await check_leaves_nothing(store, NUMBER)

    async def test_what_was_added_up_stays(self, backend: StoreBackend, store: ReportStore) -> None:
        """Totals name nobody: what was added up of the erased stays in them."""
        await store.add([a_callback(an_sms("m1", to=NUMBER), an_sms("m2", to=OTHER))])
        await backend.read_model.catch_up()
        query = TotalsQuery(86_400, 0, 2**33)
        before = await store.totals(query)

        await erased(backend, to=NUMBER)

        assert await store.totals(query) == before

    @pytest.mark.parametrize("given", ["+41793026727", "41793026727"])
    async def test_a_plus_does_not_count(
        self, backend: StoreBackend, store: ReportStore, given: str
    ) -> None:
        """A number is the same with and without a plus, on either side."""
        await store.add([a_callback(an_sms("m1", to=NUMBER), an_sms("m2", to="+" + NUMBER))])

        assert (await erased(backend, to=given))["report"] == 2

    @pytest.mark.parametrize("followed", [0, 100])
    async def test_a_number_goes_in_all_its_forms(
        self, backend: StoreBackend, store: ReportStore, followed: int
    ) -> None:
        """An erasure of +41 79 302 67 27 left the reports to 0041793026727, and said nothing."""
        for n, form in enumerate(FORMS):
            await store.add([a_callback(an_sms(f"m{n}", to=form), an_sms(f"o{n}", to=OTHER))])
            await store.add([_quarantined(f'{{"to":"{form}"'.encode())])
        await backend.read_model.turn(followed)

        touched = await erased(backend, to="0041 79 302 67 27")

        assert (touched["report"], touched["quarantine"]) == (len(FORMS), len(FORMS))
        assert set(message_ids(await everything(store))) == {f"o{n}" for n in range(len(FORMS))}
        assert await store.reports(ReportQuery(to=NUMBER)) == []

    @pytest.mark.parametrize("written", HIDDEN.values(), ids=HIDDEN.keys())
    async def test_quarantine_is_read_whatever_hides_the_number(
        self, backend: StoreBackend, store: ReportStore, written: bytes
    ) -> None:
        """What nobody could read is kept as it came: compressed without a header that says so, cut
        off, escaped. An erasure that looked for the bytes of the number left all of these."""
        other = gzip.compress(b'{"to":"9%s"}' % NUMBER.encode())
        await store.add([_quarantined(written), _quarantined(other, reason="another's")])

        assert await erased(backend, to=NUMBER) == {"quarantine": 1}
        assert [entry.reason for entry in await store.quarantine(None, 10)] == ["another's"]

    async def test_longer_numbers_stay(self, backend: StoreBackend, store: ReportStore) -> None:
        """A number that contains the erased one, or is mentioned elsewhere, is another's."""
        await store.add(
            [
                a_callback(an_sms("m1", to="1" + NUMBER), an_sms("m2", to=NUMBER + "1")),
                a_callback(an_sms("m3", to="4", callbackData=NUMBER)),
                a_callback(f'{{"to":"9{NUMBER}","smsCount":"x"}}'.encode()),
            ]
        )
        before = await picture(store)

        assert await erased(backend, to=NUMBER) == {}
        assert await picture(store) == before

    @pytest.mark.parametrize("coding", ["utf-8", "utf-16", "utf-16-le", "utf-16-be"])
    @pytest.mark.parametrize("shift", [0, 1])
    async def test_quarantine_is_searched_in_utf16_too(
        self, backend: StoreBackend, store: ReportStore, coding: str, shift: int
    ) -> None:
        """A body in UTF-16, as some XML is, is found as well, wherever in it the number stands."""
        raw = b"<" * shift + f"<a>{NUMBER}</a>".encode(coding)
        await store.add([_quarantined(raw), _quarantined(raw[:-30], reason="cut off")])

        assert await erased(backend, to=NUMBER) == {"quarantine": 1}
        assert [entry.reason for entry in await store.quarantine(None, 10)] == ["cut off"]

    async def test_a_body_goes_though_others_came_in_it(
        self, backend: StoreBackend, store: ReportStore
    ) -> None:
        """It holds the recipient too. The others stay, no more as they came."""
        pretty = [
            PRETTY.replace(b'"p"', b'"%s", "to":"%s"' % (name, to.encode()))
            for name, to in ((b"m1", NUMBER), (b"m2", OTHER))
        ]
        await store.add([received(encode_body(pretty))])
        assert await items_as_received(store) == {"m1": pretty[0], "m2": pretty[1]}

        assert (await erased(backend, to=NUMBER))["received_body"] == 1

        assert await items_as_received(store) != {"m2": pretty[1]}
        assert message_ids(await everything(store)) == ["m2"]

    @pytest.mark.parametrize("beside", ["repeat", "unreadable", "escaped repeat"])
    async def test_a_body_goes_in_which_it_came_once_more(
        self, backend: StoreBackend, store: ReportStore, beside: str
    ) -> None:
        """The recipient's report came again beside a new one of somebody else, or an item of the
        recipient's beside one could not be read: nothing of it is stored of that body, but the
        body as received has the number."""
        mine = PRETTY.replace(b'"p"', b'"p", "to":"%s"' % NUMBER.encode())
        other = PRETTY.replace(b'"p"', b'"q", "to":"%s"' % OTHER.encode())
        besides = {
            "repeat": mine,
            "unreadable": b'{"to":"%s", "smsCount":"x"}' % NUMBER.encode(),
            "escaped repeat": mine.replace(NUMBER.encode(), _ESCAPED),
        }
        await store.add([received(encode_body([mine]))])
        await store.add([received(encode_body([besides[beside], other]))])
        await store.add([received(encode_body([other.replace(b'"q"', b'"r"')]))])

        touched = await erased(backend, to=NUMBER)

        assert (touched["report"], touched["received_body"]) == (1, 2)
        assert await items_as_received(store) == {"q": None, "r": other.replace(b'"q"', b'"r"')}
        await check_leaves_nothing(store, NUMBER)

    @pytest.mark.parametrize("coding", ["utf-8", "utf-16-le", "utf-16-be"])
    async def test_a_body_may_end_with_the_number(
        self, backend: StoreBackend, store: ReportStore, coding: str
    ) -> None:
        """A body that was cut off behind it is found too."""
        await store.add([_quarantined(f"<to>{NUMBER}".encode(coding))])

        assert await erased(backend, to=NUMBER) == {"quarantine": 1}

    async def test_a_reason_may_hold_the_number(
        self, backend: StoreBackend, store: ReportStore
    ) -> None:
        """A reason that quotes the number makes its entry one of the recipient's."""
        await store.add([_quarantined(b"{}", reason=f'expected an integer, got "{NUMBER}"')])

        assert await erased(backend, to=NUMBER) == {"quarantine": 1}

    async def test_by_message_id(self, backend: StoreBackend, store: ReportStore) -> None:
        """All reports of one message go, intermediate and final; those of other messages stay."""
        await store.add(
            [
                a_callback(an_sms("m1", "PENDING_ENROUTE"), an_sms("m1"), an_sms("m11")),
                a_callback({"to": NUMBER}, b'{"messageId":"m1","smsCount":"x"}', b'"m11"'),
            ]
        )

        assert await erased(backend, message_id="m1") == {
            "report": 2,
            "report_key": 2,
            "quarantine": 1,
        }

        assert message_ids(await everything(store)) == ["m11", None]
        assert await store.reports_of("m1") == []
        assert await store.reports(ReportQuery(message_id="m1")) == []
        assert len(await store.quarantine(None, 10)) == 1

    async def test_by_message_id_of_a_source(
        self, backend: StoreBackend, store: ReportStore
    ) -> None:
        """Of two sources with one messageId only the message of the named one goes. Its keys go
        with it, and the other's repeats are recognised as before."""
        bad = b'{"messageId":"m1","smsCount":"x"}'
        await store.add([a_callback(an_sms("m1"), bad, source=name) for name in ("alpha", "beta")])

        gone = await erased(backend, message_id="m1", source="beta")
        assert gone == {"report": 1, "report_key": 1, "quarantine": 1}

        (left,) = await everything(store)
        assert left.source == "alpha"
        assert [each.source for each in await store.quarantine(None, 9)] == ["alpha"]
        again = [a_callback(an_sms("m1"), source=name) for name in ("alpha", "beta")]
        assert await store.add(again) == [Counts(0, 1, 0), Counts(1, 0, 0)]
        assert await erased(backend, message_id="m1", source="gamma") == {}
        assert (await erased(backend, message_id="m1"))["report"] == 2

    @pytest.mark.parametrize("text", TEXTS)
    async def test_ids_of_any_text(
        self, backend: StoreBackend, store: ReportStore, text: str
    ) -> None:
        """A message is found by an id with NUL, quotes or whatever else a text may hold."""
        await store.add([a_callback(an_sms(f"m{text}", to=text), an_sms("m"))])

        assert (await erased(backend, message_id=f"m{text}"))["report"] == 1
        assert message_ids(await everything(store)) == ["m"]

    async def test_among_gaps(self, backend: StoreBackend, store: ReportStore) -> None:
        """Ids that are missing, at the ends too, hide nothing."""
        items = [an_sms(f"m{n}", to=NUMBER if n % 2 else OTHER) for n in range(10)]
        await store.add([a_callback(*items)])
        all = ids(await everything(store))
        await backend.delete_reports([*all[:3], *all[5:7], all[9]])

        assert (await erased(backend, to=NUMBER))["report"] == 2
        assert message_ids(await everything(store)) == ["m4", "m8"]

    async def test_nothing_stored(self, backend: StoreBackend) -> None:
        """In an empty store nothing is found."""
        assert await erased(backend, to=NUMBER) == {}

    async def test_neighbours_in_a_body(self, backend: StoreBackend, store: ReportStore) -> None:
        """A body as received goes with the first of its reports that is erased: the others stay,
        normalised."""
        items = [PRETTY.replace(b'"p"', b'"%d", "to" : "417%d"' % (n, n)) for n in range(3)]
        await store.add([received(encode_body(items)), received(encode_body([PRETTY]))])

        assert (await erased(backend, to="4171"))["received_body"] == 1

        kept = await items_as_received(store)
        assert set(kept) == {"0", "2", "p"}
        assert kept["p"] == PRETTY
        assert "4171" not in str(kept)

    async def test_neighbours_are_not_shown_as_they_never_came(
        self, backend: StoreBackend, store: ReportStore
    ) -> None:
        """When the body of an erased report is gone nobody knows how its neighbours in JSON were
        written. They were shown as the store writes them, in the name of what was received."""
        items = [PRETTY.replace(b'"p"', b'"%d", "to" : "417%d"' % (n, n)) for n in range(3)]
        await store.add([received(encode_body(items))])

        await erased(backend, to="4171")

        assert await items_as_received(store) == {"0": None, "2": None}
        assert await erased(backend, to="4171") == {}
        assert await erased(backend, to="4170") == {"report": 1, "report_key": 1}
        assert await items_as_received(store) == {"2": None}

    async def test_many_bodies_of_many_reports(
        self, backend: StoreBackend, store: ReportStore
    ) -> None:
        """Bodies are looked up by the reports that came in them: before, each body was compared
        with each report, within the transaction for which callbacks wait."""
        pretty = PRETTY.replace(b'"p"', b'"%d", "to" : "%s"')
        for n in range(60):
            to = (NUMBER if n % 3 else OTHER).encode()
            await store.add([received(encode_body([pretty % (n, to)]))])

        touched = await erased(backend, to=NUMBER)

        assert (touched["report"], touched["received_body"]) == (40, 40)
        kept = await items_as_received(store)
        assert kept == {str(n): pretty % (n, OTHER.encode()) for n in range(0, 60, 3)}

    async def test_a_repeat_comes_in_anew(self, backend: StoreBackend, store: ReportStore) -> None:
        """Nothing is left of an erased report by which a repeat could be recognised."""
        await store.add([a_callback(an_sms("m1", to=NUMBER), b"1")])
        await erased(backend, to=NUMBER)

        assert await store.add([a_callback(an_sms("m1", to=NUMBER))]) == [Counts(1, 0, 0)]

    async def test_beside_others(self, backend: StoreBackend, store: ReportStore) -> None:
        """While another process receives and follows, the recipient's data goes, and only that."""
        other = await backend.another()
        for n in range(40):
            await store.add([a_callback(an_sms(f"m{n}", to=NUMBER if n % 2 else OTHER))])

        async def receive() -> None:
            for n in range(20):
                await other.store.add([a_callback(an_sms(f"new-{n}", to=OTHER))])
                await other.read_model.turn(3)

        touched, _ = await asyncio.gather(erased(backend, to=NUMBER), receive())

        assert touched["report"] == 20
        await other.read_model.catch_up()
        await check_leaves_nothing(store, NUMBER)
        assert len(await everything(store)) == 40
        assert len(await store.reports(ReportQuery(to=OTHER))) == 40

    async def test_twice(self, backend: StoreBackend, store: ReportStore) -> None:
        """Traces that another erasure has taken away meanwhile are no error."""
        await store.add([a_callback(an_sms("m1", to=NUMBER), an_sms("m2", to=OTHER))])
        traces = await backend.erasure.find(Recipient(to=NUMBER))
        await backend.erasure.erase(traces)

        await backend.erasure.erase(traces)

        assert message_ids(await everything(store)) == ["m2"]

    @pytest.mark.parametrize("followed", [0, 10])
    async def test_the_store_goes_away_in_the_middle(
        self, backend: StoreBackend, store: ReportStore, followed: int
    ) -> None:
        """Wherever the database goes away, nothing is erased: half of it would look like all."""
        items: list[Any] = [an_sms(f"m{n}", to=NUMBER) for n in range(3)]
        await store.add([a_callback(*items, an_sms("other", to=OTHER), NUMBER.encode())])
        pretty = PRETTY.replace(b'"p"', b'"p", "to":"%s"' % NUMBER.encode())
        await store.add([received(encode_body([pretty]))])
        await backend.read_model.turn(followed)
        traces = await backend.erasure.find(Recipient(to=NUMBER))

        touched = await fails_as_a_whole(backend, lambda: backend.erasure.erase(traces))

        assert touched == {"report": 4, "report_key": 4, "received_body": 1, "quarantine": 1}
        await check_leaves_nothing(store, NUMBER)


def _quarantined(raw: bytes, reason: str = "no XML") -> Any:
    bad = Unreadable(raw=raw, place="", reason=reason)
    return replace(a_callback(), verdict=Verdict(quarantined=[bad]))
