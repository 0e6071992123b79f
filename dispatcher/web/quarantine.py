"""Quarantine: what could not be read, where the fault is, and what can be done about it."""

from __future__ import annotations

import asyncio

from aiohttp import web
from msgspec import Struct, structs

from dispatcher.web.place import Excerpt, excerpt, hex_excerpt, range_of
from dispatcher.web.site import Site, form, page
from receiver.answers import BadQuery
from receiver.api.audit import tell
from receiver.api.filters import quarantine_query
from receiver.api.parameters import number
from receiver.api.quarantine import QuarantineEntryAnswer
from receiver.api.store_api import quarantine_page
from receiver.callbacks.body import text_of
from receiver.callbacks.quarantine import text_of_entry
from receiver.store.base import Counts, QuarantineEntry


class Shown(Struct, frozen=True):
    """A body on the page. `is_text` False: in hexadecimal numbers."""

    body: Excerpt
    is_text: bool


def shown_body(entry: QuarantineEntry, raw: bytes) -> Shown:
    """The part of a body around the fault, as a text if it is one. Pure."""
    whole = text_of_entry(entry, raw)
    # An item is kept in UTF-8 whatever the charset of its body was.
    for body in (text_of(raw, whole.format), whole) if entry.place[:8] == "results[" else (whole,):
        if (text := _text(body.utf8 if body.fault is None else body.raw)) is not None:
            return Shown(excerpt(text, range_of(entry.place, text, body.format)), True)
    return Shown(hex_excerpt(raw, entry.place), False)


def _text(body: bytes) -> str | None:
    """`None`: no text, as far as anybody can read."""
    try:
        text = body.decode()
    except UnicodeDecodeError:
        return None
    return None if "\0" in text else text


class QuarantinePages:
    def __init__(self, site: Site) -> None:
        self._site = site
        self._store = site.inside.storage.store

    @page("/quarantine", "showQuarantine")
    async def list(self, request: web.Request) -> web.Response:
        found = await quarantine_page(self._store, quarantine_query(request.query))
        return self._site.show(
            request,
            "quarantine.html.jinja",
            entries=found.items,
            next=found.next,
            is_first="cursor" not in request.query,
        )

    @page("/quarantine/{id}", "showQuarantineEntry")
    async def entry(self, request: web.Request) -> web.Response:
        entry_id = _id(request)
        found = await self._store.quarantined(entry_id)
        if found is None:
            raise web.HTTPNotFound(
                text=(f"There is no entry {entry_id} in quarantine, or it has been removed.")
            )
        entry, raw = found
        return self._site.show(
            request,
            "quarantine_entry.html.jinja",
            entry=QuarantineEntryAnswer.of(entry),
            shown=await asyncio.to_thread(shown_body, entry, raw),
        )

    @form("/quarantine/{id}/retry", "retryQuarantined")
    async def try_again(self, request: web.Request) -> web.Response:
        entry_id = _id(request)
        counts = await self._site.inside.reports.try_again(entry_id)
        tell(request, **structs.asdict(counts))
        stays = await self._store.quarantined(entry_id) is not None
        if stays:
            words = f"Entry {entry_id} still cannot be read. It stays in quarantine."
            return self._site.back_to(request, f"/quarantine/{entry_id}", words)
        return self._site.back_to(request, "/quarantine", told_of(entry_id, counts))

    @form("/quarantine/{id}/dismiss", "dismissQuarantined")
    async def dismiss(self, request: web.Request) -> web.Response:
        entry_id = _id(request)
        if not await self._store.dismiss(entry_id):
            raise web.HTTPNotFound(
                text=(f"There is no entry {entry_id} in quarantine, or it has been removed.")
            )
        words = f"Entry {entry_id} and its bytes were deleted."
        return self._site.back_to(request, "/quarantine", words)


def told_of(entry_id: int, counts: Counts) -> str:
    """What reading an entry again has made of it."""
    parts = [
        f"{count:,} {words}"
        for count, words in (
            (counts.stored, "stored" if counts.stored != 1 else "report stored"),
            (counts.duplicates, "known before"),
            (counts.quarantined, "still in quarantine, as separate entries"),
        )
        if count
    ]
    return f"Entry {entry_id} was read: {', '.join(parts)}."


def _id(request: web.Request) -> int:
    try:
        return number(request.match_info["id"], "id")
    except BadQuery as error:
        raise web.HTTPNotFound(text="There is no such entry in quarantine.") from error
