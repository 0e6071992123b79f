"""The rows of filters: the query, OpenAPI and the command line say the same of each."""

from __future__ import annotations

import pytest

from dispatcher.api.dispatches import DISPATCH_FILTERS, DispatchQuery
from dispatcher.commands.api_options import parameters
from receiver.answers import BadQuery
from receiver.api.filters import MESSAGE_FILTERS, REPORT_FILTERS, MessageQuery
from receiver.api.parameters import Filter, choice, read_query
from receiver.store.base import ReportQuery


@pytest.mark.parametrize(
    ("rows", "query"),
    [
        (REPORT_FILTERS, ReportQuery),
        (MESSAGE_FILTERS, MessageQuery),
        (DISPATCH_FILTERS, DispatchQuery),
    ],
)
def test_a_row_is_a_field_and_an_option(rows: tuple[Filter, ...], query: type) -> None:
    """Each filter goes into a field of the query that is asked, has words, and is an option of the
    command line that reads as the same parameter; only another name of one is not."""
    names = [row.name for row in rows]

    assert len(set(names)) == len(names)
    for row in rows:
        assert row.field in query.__annotations__
        assert row.parameter.words
        if row.option is not None:
            option = (row.old_option or row.option).split("/")[0].removeprefix("--")
            assert list(parameters(**{option.replace("-", "_"): "x"})) == [row.name]
    assert [row.name for row in rows if row.option is None] == ["from"] * ("from" in names)


def test_a_new_filter_is_one_row() -> None:
    """A row is read by its kind, into its field, and refused in the words of all."""
    row = Filter("routedTo", choice(["a", "b"]), "Only to this.")

    assert read_query({"routedTo": "a"}, [row]) == {"routed_to": "a"}
    assert (row.option, row.parameter.words) == ("--routed-to", "Only to this.")
    with pytest.raises(BadQuery, match="routedTo: expected a, b, got 'c'"):
        read_query({"routedTo": "c"}, [row])
    with pytest.raises(BadQuery, match="routed: unknown parameter; expected routedTo"):
        read_query({"routed": "a"}, [row])
