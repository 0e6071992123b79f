"""One report: its fields, as it came, what it means, and where it went."""

from __future__ import annotations

import json
import shlex
from collections.abc import Callable, Iterator
from decimal import Decimal
from typing import Any
from urllib.parse import quote
from xml.etree import ElementTree

from aiohttp import hdrs, web
from msgspec import Struct, structs

from dispatcher.api.why import WhyAnswer
from dispatcher.observe.logs import masked
from dispatcher.web.rows import ReportRow, message_path, row_of
from dispatcher.web.search_words import term
from dispatcher.web.shown import pretty_json
from dispatcher.web.site import Site, page
from receiver.api.parameters import number
from receiver.dlr.explained import explain_error, explain_status
from receiver.dlr.item import write_item
from receiver.dlr.model import Generation
from receiver.dlr.xml_format import ROOTS
from receiver.shown import shown_json
from receiver.store.base import StoredReport


class Shown(Struct, frozen=True):
    """A report as its page shows it. `raw` None: its bytes were not kept, and `pretty` is what the
    store holds. `search` is what finds the reports with the value of a field."""

    row: ReportRow
    format: str
    generation: str | None
    fields: list[tuple[str, str, str | None]]
    status: str
    error: str | None
    raw: str | None
    pretty: str
    curl: str


class ReportPages:
    def __init__(self, site: Site) -> None:
        self._site = site

    @page("/reports/{id}", "showReportPage")
    async def report(self, request: web.Request) -> web.Response:
        """Alone, or with `beside` the part of the page that stands beside the list."""
        values = await self.values(request, number(request.match_info["id"], "id"))
        beside = "beside" in request.query
        template = "report_part.html.jinja" if beside else "report.html.jinja"
        return self._site.show(request, template, beside=beside, **values)

    @page("/reports/{id}/received", "downloadReport")
    async def received(self, request: web.Request) -> web.Response:
        """The item as it came, as a file."""
        stored = await self._stored(number(request.match_info["id"], "id"))
        raw = (await self._site.inside.storage.store.as_received([stored])).get(stored.id)
        if raw is None or self._site.inside.settings.web.mask_numbers:
            raise web.HTTPNotFound(text="The bytes of this report were not kept, or are masked.")
        name = f'attachment; filename="report-{stored.id}.{stored.format}"'
        return web.Response(
            body=raw,
            content_type="application/octet-stream",
            headers={hdrs.CONTENT_DISPOSITION: name},
        )

    async def values(self, request: web.Request, report_id: int) -> dict[str, Any]:
        """What the templates of a report need."""
        inside = self._site.inside
        stored = await self._stored(report_id)
        raw = (await inside.storage.store.as_received([stored])).get(stored.id)
        masks = inside.settings.web.mask_numbers
        message_id = stored.read().message_id
        return {
            "message_path": message_path(message_id, stored.source) if message_id else None,
            "shown": shown_report(stored, raw, str(request.url.origin()), masks=masks),
            "why": _without_number(await inside.why.of(stored), _hiding(stored, masks)),
        }

    async def _stored(self, report_id: int) -> StoredReport:
        found = await self._site.inside.storage.store.reports_by_id([report_id])
        if not found:
            raise web.HTTPNotFound(
                text=f"There is no report {report_id}. Retention may have removed it."
            )
        return found[0]


def shown_report(stored: StoredReport, raw: bytes | None, origin: str, *, masks: bool) -> Shown:
    """`masks`: no text has the number of the recipient."""
    report = stored.read()
    text = (stored.item if raw is None else raw).decode("utf-8", "replace")
    form = "json" if raw is None else stored.format

    hidden = _hiding(stored, masks)
    return Shown(
        row=row_of(stored),
        format=stored.format,
        generation=stored.generation,
        fields=[
            (name, hidden(value), None if find is None or hidden(find) != find else find)
            for name, value, find in _fields(write_item(report), "")
        ],
        status=explain_status(report.status),
        error=explain_error(report.error),
        raw=None if raw is None or masks else text,
        pretty=hidden(pretty(text, form)),
        curl=hidden(as_curl(text, form, stored, origin)),
    )


Hiding = Callable[[str], str]


def _hiding(stored: StoredReport, masks: bool) -> Hiding:
    """What takes the number of the report's recipient out of a text; nothing unless it `masks`. A
    text may have the number without the plus that the report has."""
    to = (stored.read().to or "").removeprefix("+")
    return lambda told: told.replace(to, masked(to)) if masks and to else told


def _without_number(why: WhyAnswer, hidden: Hiding) -> WhyAnswer:
    """A rule that says no quotes what it says no to."""
    verdicts = [structs.replace(each, words=hidden(each.words)) for each in why.endpoints]
    return structs.replace(why, endpoints=verdicts)


_FOUND_BY = {
    "messageId": "message",
    "bulkId": "bulk",
    "to": "to",
    "from": "sender",
    "sender": "sender",
    "callbackData": "callback",
    "status.name": "status",
    "error.name": "error",
}


def _fields(item: dict[str, Any], before: str) -> Iterator[tuple[str, str, str | None]]:
    """Each field that came, by its path, with the search that finds others with its value."""
    for name, value in item.items():
        path = f"{before}{name}"
        if isinstance(value, dict):
            yield from _fields(value, f"{path}.")
        else:
            text = value if isinstance(value, str) else _written(value)
            word = _FOUND_BY.get(path)
            yield path, text, term(word, text) if word and text.strip() else None


def _written(value: Any) -> str:
    return str(value) if isinstance(value, Decimal) else json.dumps(value, ensure_ascii=False)


def pretty(text: str, form: str) -> str:
    """An item with its parts on lines of their own; as it is if it cannot be read."""
    if form == "json":
        return pretty_json(text)
    try:
        # The receiver refuses entities, and what is stored is an element: nothing can expand here.
        element = ElementTree.fromstring(text)
    except ElementTree.ParseError:
        return text
    ElementTree.indent(element)
    return ElementTree.tostring(element, encoding="unicode")


def as_curl(text: str, form: str, stored: StoredReport, origin: str) -> str:
    """A command that posts the item again, in which nothing steers a terminal."""
    if form == "json":
        body = shown_json('{"results":[' + text + "]}")
    else:
        generation: Generation = stored.generation or "v3"
        root = ROOTS[generation]
        body = f"<{root}><results>{_without_steering(text)}</results></{root}>"
    url = f"{origin}/notify/{quote(stored.source, safe='')}"
    kind = shlex.quote(f"Content-Type: application/{form}")
    return f"curl -H {kind} --data-binary {shlex.quote(body)} {shlex.quote(url)}"


def _without_steering(text: str) -> str:
    """XML in which what steers is written as a reference."""
    return "".join(
        each if each.isprintable() or each in "\n\t" else f"&#{ord(each)};" for each in text
    )
