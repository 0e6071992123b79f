"""`dlr why`: where a report went, and by which rule it did not go elsewhere."""

from __future__ import annotations

import sys
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Literal

import click
from rich.console import Console
from rich.table import Table

from dispatcher.api.why import Why, WhyAnswer
from dispatcher.clocks.clock import wall_time
from dispatcher.commands.console import print_list, told
from dispatcher.commands.options import format_option, look, settings_of, with_settings
from dispatcher.commands.saying import say
from dispatcher.endpoints.registry import registry_of
from dispatcher.storage import Storage
from receiver.api.messages import find_message
from receiver.api.parameters import whole
from receiver.store.base import StoredReport

NAME_MOST = 24
"""Characters of an endpoint's name in a line: of 80 columns, the words need the most."""


@click.command()
@click.argument("what", metavar="REPORT|MESSAGE")
@click.option("--source", help="Of this source, when several have such a message.")
@format_option(
    ("table", "json"), "json: a list, with one entry a report, as GET /api/reports/{id}/why has it."
)
@with_settings
def why(
    config: Path | None,
    database: str | None,
    what: str,
    source: str | None,
    form: Literal["table", "json"] | None,
) -> None:
    """Explain where a report went, and why it went nowhere else.

    REPORT is the id of a report, as `dlr reports` shows it. MESSAGE is a messageId, which explains
    all reports of that message. With --source, it is always read as a messageId. Exit code 1: there
    is no such report and no such message.

    Example: dlr why 17
    """
    what = whole(what, "REPORT|MESSAGE")
    settings = settings_of(config, database)

    async def work(opened: Storage) -> None:
        reports = await _asked_for(opened, what, source)
        if not reports:
            say(f"dlr: there is no report {what!r}, and no message of this id", err=True)
            sys.exit(1)
        registry = registry_of(opened.endpoints, settings)
        looking = Why(opened.store, opened.queue, registry, wall_time)
        answers = [await looking.of(report) for report in reports]
        if form == "json":
            await print_list(_each(answers), {}, "json")
        else:
            _print(answers)

    look(config, database, work)


async def _asked_for(opened: Storage, what: str, source: str | None) -> Sequence[StoredReport]:
    """The report of this id, otherwise the reports of this message. Raises AmbiguousMessage."""
    if source is None and what.isascii() and what.isdecimal() and len(what) <= 18:
        found = await opened.store.reports_by_id([int(what)])
        if found:
            return found
    return await find_message(opened.store, what, source)


async def _each(answers: Sequence[WhyAnswer]) -> AsyncIterator[WhyAnswer]:
    for answer in answers:
        yield answer


def _print(answers: Sequence[WhyAnswer]) -> None:
    """For people: the sentence over all endpoints, and a line or more for each. It fits 80 columns,
    and is no wider elsewhere, because it is made of sentences."""
    console = Console(highlight=False)
    console.width = min(console.width, 100)
    for number, answer in enumerate(answers):
        message = "" if answer.message_id is None else f" of message {answer.message_id}"
        heading = f"report {answer.report}{message}, source {answer.source}"
        console.print(*([""] if number else []), told(heading, "bold"), sep="\n")
        console.print(told(answer.words))
        if answer.next is not None:
            console.print(told(answer.next))
        if answer.endpoints:
            console.print("", _table(answer), sep="\n")


def _table(answer: WhyAnswer) -> Table:
    table = Table(box=None, header_style="bold", pad_edge=False)
    table.add_column("endpoint", max_width=NAME_MOST, overflow="fold")
    table.add_column("verdict", no_wrap=True)
    table.add_column("why", overflow="fold")
    for each in answer.endpoints:
        table.add_row(told(each.endpoint), told(each.verdict), told(each.words))
        if each.next is not None:
            table.add_row("", "", told(each.next))
    return table
