"""`dlr endpoints` and `dlr reports --unrouted`."""

from __future__ import annotations

import asyncio
import json
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from dispatcher.cli import cli
from dispatcher.commands.endpoints_output import typed
from dispatcher.storage import storage
from receiver.answers import BadQuery
from receiver.settings.configuration import ConfigurationError
from tests.contracts.report_store import a_callback, an_sms

FILE = """
[[endpoint]]
name = "acme"
url = "http://me:s3cret@acme.example/dlr"
headers = { Authorization = "App s3cret" }
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working directory with settings and a database that has a report."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "dlr.toml").write_text(FILE)

    async def fill() -> None:
        async with storage("dlr.db") as opened:
            await opened.store.add([a_callback(an_sms("m1"))])

    asyncio.run(fill())
    return tmp_path


def run(*words: str, given: str | None = None) -> Result:
    """Nothing that is printed ever holds a secret."""
    done = CliRunner(env={"COLUMNS": "250"}).invoke(cli, words, input=given)
    assert "s3cret" not in done.output
    return done


def dlr(*words: str, given: str | None = None) -> str:
    done = run("endpoints", *words, given=given)
    assert done.exit_code == 0, done.exception or done.output
    return done.output


def shown(name: str) -> dict[str, Any]:
    views = json.loads(dlr("--format", "json"))
    (found,) = [each for each in views if each["name"] == name]
    return dict(found)


def fault(*words: str) -> str:
    done = run("endpoints", *words)
    assert isinstance(done.exception, BadQuery | ConfigurationError), done.output
    return str(done.exception)


@pytest.mark.usefixtures("folder")
def test_lists() -> None:
    """Without a word the endpoints are listed, as a table or as JSON, without secrets."""
    assert "acme  http://acme.example/dlr" in dlr()
    assert shown("acme")["headers"] == {"Authorization": "set"}


@pytest.mark.usefixtures("folder")
def test_add_and_change() -> None:
    """An endpoint is added and changed by the names of the settings file."""
    words = ["--set", "window=5", "--set", "reports=final", "--set", 'senders=["InfoSMS"]']
    assert (
        dlr("add", "beta", "--url", "http://10.0.0.1/", *words) == "beta: added, http://10.0.0.1/\n"
    )
    added = shown("beta")
    assert (added["window"], added["reports"], added["senders"]) == (5, "final", ["InfoSMS"])

    dlr("change", "beta", "--set", "connect_timeout=5s", "--unset", "window")
    changed = shown("beta")
    assert (changed["connectTimeout"], changed["window"], changed["reports"]) == ("5s", 20, "final")


@pytest.mark.usefixtures("folder")
def test_a_secret_is_read_from_stdin() -> None:
    """A secret need not stand on the command line, where a history keeps it."""
    words = ["--set", "security.type=basic", "--set", "security.username=me"]
    dlr("change", "acme", *words, "--secret", "security.password", given="s3cret\n")

    assert shown("acme")["security"] == {"type": "basic", "username": "set", "password": "set"}
    assert dlr("--format", "csv").count("\n") == 2


@pytest.mark.usefixtures("folder")
def test_pause_resume_remove_reset() -> None:
    """Each word does what it says, and prints it."""
    assert dlr("pause", "acme") == "acme: paused; its reports wait and use up no retries\n"
    assert shown("acme")["paused"]
    assert dlr("resume", "acme") == "acme: resumed\n"
    assert dlr("remove", "acme") == "acme: removed; 0 waiting dispatches cancelled\n"
    assert dlr("--format", "json") == "[]\n"
    assert dlr("reset", "acme") == "acme: as the settings file says\n"
    assert shown("acme")["origin"] == "file"


@pytest.mark.usefixtures("folder")
def test_the_operators_word_goes_anywhere(folder: Path) -> None:
    """What is said here may name files and is not checked: it is the operator's own word."""
    missing = str(folder / "ca.pem")
    words = ("change", "acme", "--set", f"tls.ca_file={missing}")
    assert fault(*words).startswith("tls.ca_file: cannot be read")
    dlr("change", "acme", "--set", "url=http://127.0.0.1:9/")


@pytest.mark.usefixtures("folder")
@pytest.mark.parametrize(
    ("words", "text"),
    [
        (("pause", "nobody"), 'there is no endpoint "nobody". There are: acme'),
        (("reset", "nobody"), 'there is no endpoint "nobody" in the settings file'),
        (("add", "acme", "--url", "http://x/"), 'there is already an endpoint "acme"'),
        (("add", "b", "--url", "x"), "url: expected an http or https URL with a host"),
        (
            ("add", "b", "--url", "http://x/a b"),
            "url: expected a URL as RFC 3986 defines it: write http",
        ),
        (("add", "b", "--url", "http://xn--.x/"), 'url: expected a host name, got "xn--.x", which'),
        (("add", "b", "--url", "http://x/", "--set", "url=http://y/"), "url: it has an argument"),
        (("change", "acme"), "nothing to change: give --set"),
        (("change", "acme", "--set", "window"), "--set: expected key=value"),
        (("change", "acme", "--set", "window=0"), "window: expected an integer from 1"),
        (("change", "acme", "--set", "sources=['eu']"), "sources[0]: expected the name"),
        (("change", "acme", "--unset", "windo"), "windo: there is no such setting; did you mean"),
        (("change", "acme", "--set", "headers.X=s3cret\r\nY: 1"), "headers.X: expected a text"),
    ],
)
def test_errors(words: tuple[str, ...], text: str) -> None:
    """What cannot be done is said in words, and never shows a secret."""
    assert fault(*words).startswith(text)


def test_the_group_passes_on_what_it_is_given(folder: Path, monkeypatch: Any) -> None:
    """--config and --database may stand before the word or behind it."""
    monkeypatch.chdir("/")
    places = ("--config", str(folder / "dlr.toml"), "--database", str(folder / "dlr.db"))

    assert dlr(*places, "pause", "acme") == dlr("pause", "acme", *places)


def test_each_word_has_an_example() -> None:
    """Each command's help has an example of itself."""
    for word in ("add", "change", "pause", "resume", "remove", "reset"):
        assert f"Example: dlr endpoints {word} acme" in " ".join(dlr(word, "--help").split())


@pytest.mark.parametrize(
    ("given", "table"),
    [
        (["window=5"], {"window": 5}),
        (["window = 5 "], {"window": 5}),
        (["reports=final"], {"reports": "final"}),
        (['reports="final"'], {"reports": "final"}),
        (["ordered=true"], {"ordered": True}),
        (["rate_limit=0.5"], {"rate_limit": 0.5}),
        (["read_timeout=1m30s"], {"read_timeout": "1m30s"}),
        (['status_groups=["EXPIRED", "REJECTED"]'], {"status_groups": ["EXPIRED", "REJECTED"]}),
        (['headers={ "X-A" = "b" }'], {"headers": {"X-A": "b"}}),
        (['headers."X.Y"=a=b'], {"headers": {"X.Y": "a=b"}}),
        (
            ["security.type=basic", "security.username=me"],
            {"security": {"type": "basic", "username": "me"}},
        ),
        (["url=5\nname = 6"], {"url": "5\nname = 6"}),
        (["callback_data_prefix="], {"callback_data_prefix": ""}),
    ],
)
def test_what_is_typed(given: list[str], table: dict[str, Any]) -> None:
    """A value is read as TOML, and what is no TOML is a text; dots in a key lead into tables."""
    assert typed(given) == table


@pytest.mark.parametrize(
    "given",
    [["=5"], ["a..b=5"], ["a b=5"], ["a\nb=5"], ["a=1", "a=2"], ["a=1", "a.b=2"], ["a.b=2", "a=1"]],
)
def test_what_cannot_be_meant(given: list[str]) -> None:
    """A key that is none, or is given twice, is refused."""
    with pytest.raises(BadQuery):
        typed(given)


@pytest.mark.usefixtures("folder")
def test_unread_reports_are_counted_and_not_their_ids() -> None:
    """Ids have gaps: of a transaction that was rolled back, and of each new day on PostgreSQL."""
    with closing(sqlite3.connect("dlr.db")) as database, database:
        database.execute("UPDATE report SET id = id + 1000000000")
        database.execute("UPDATE sqlite_sequence SET seq = seq + 1000000000 WHERE name = 'report'")

    done = run("reports", "--unrouted", "--format", "ndjson")

    assert done.stderr == "not every endpoint has read the newest 1 report yet\n"


@pytest.mark.usefixtures("folder")
def test_unrouted_reports() -> None:
    """`dlr reports --unrouted` lists what no endpoint took, and says what is not judged yet."""
    done = run("reports", "--unrouted", "--format", "ndjson")
    told = "not every endpoint has read the newest 1 report yet\n"
    assert (done.stdout, done.stderr) == ("", told)

    dlr("remove", "acme")

    (line,) = run("reports", "--unrouted", "--format", "ndjson").stdout.splitlines()
    assert json.loads(line)["report"]["messageId"] == "m1"
    assert run("reports", "--unrouted", "--to", "1").exit_code != 0
