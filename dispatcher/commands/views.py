"""`dlr views`: the SQL views that the database has for other programs."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import get_args

import click
from msgspec import Struct

from dispatcher.commands.console import Columns, ListFormat, fields, print_list, print_rows
from dispatcher.commands.options import format_option
from dispatcher.commands.saying import say
from dispatcher.queue.views import VIEWS, View


class ViewColumn(Struct, frozen=True):
    """A line of the list."""

    view: str
    column: str
    type: str
    meaning: str


COLUMNS: Columns = fields(ViewColumn, "view", "column", "type", "meaning")


@click.command()
@click.argument("view", type=click.Choice([each.name for each in VIEWS]), required=False)
@format_option(get_args(ListFormat))
def views(view: str | None, form: ListFormat | None) -> None:
    """Print the SQL views of the database, for Grafana and others.

    Every database that this version of dlr has opened has these views. SQLite: open the file
    read-only. PostgreSQL: connect with a role that may read the views and nothing else.

    An instant is a text in UTC in SQLite, timestamptz in PostgreSQL. A boolean is 0 or 1 in SQLite.
    To select a period, compare a column that ends in _us, which is in microseconds since 1970 UTC:
    in dlr_reports (received_us) and dlr_dispatches (created_us) it has an index. VIEW is the name
    of one view.

    Example: dlr views dlr_totals_by_hour
    """
    chosen = [each for each in VIEWS if view in (None, each.name)]
    if form is not None and form != "table":
        asyncio.run(print_list(_each(chosen), COLUMNS, form))
        return
    of_one = {name: COLUMNS[name] for name in ("column", "type", "meaning")}
    for each in chosen:
        print_rows(f"{each.name}: {each.rows}", _rows(each), of_one)
        say(f"Example: {each.example};")


def _rows(view: View) -> list[ViewColumn]:
    return [ViewColumn(view.name, each.name, each.kind, each.meaning) for each in view.columns]


async def _each(chosen: list[View]) -> AsyncIterator[ViewColumn]:
    for view in chosen:
        for row in _rows(view):
            yield row
