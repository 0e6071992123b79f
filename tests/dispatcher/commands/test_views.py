"""`dlr views`: each view with its columns, without a database."""

from __future__ import annotations

import csv
import io

from click.testing import CliRunner

from dispatcher.cli import cli
from dispatcher.queue.views import VIEWS


def test_views() -> None:
    """CSV has a line for each column. The table has each view with what its rows are, or one view;
    a name that is none is refused."""
    run = CliRunner().invoke
    listed = list(csv.DictReader(io.StringIO(run(cli, ["views", "--format", "csv"]).stdout)))
    assert [(row["view"], row["column"], row["type"]) for row in listed] == [
        (view.name, column.name, column.kind) for view in VIEWS for column in view.columns
    ]
    shown = " ".join(run(cli, ["views"]).stdout.split())
    assert all(f"{view.name}: {view.rows}" in shown for view in VIEWS)
    assert "dlr_reports:" not in run(cli, ["views", "dlr_attempts"]).stdout
    assert run(cli, ["views", "report"]).exit_code == 2
