"""`dlr check` says in one round whatever a process would refuse at its start.

The open bind came only when the rest was right, after "no fault" on stdout, and repeated names only
when each table could be read. A database that cannot be opened and an address of another machine
were never told.
"""

from __future__ import annotations

import socket
from collections.abc import Mapping
from pathlib import Path

import pytest

from receiver.settings.settings import ServerSettings
from tests.end_to_end.processes import an_endpoint, configure, dlr, started
from tests.security.commands import run_all

OPEN = "server.bind: 0.0.0.0 can be reached by other machines"

TOKEN = '[[api.token]]\nname = "t"\nsecret = "0123456789abcdef"\n'

ALL_WRONG = """
[server]
bind = "0.0.0.0"
port = 99999
[store]
database = "nowhere/dlr.db"
[[source]]
name = "s"
[source.hmac]
[[source]]
name = "s"
[[endpoint]]
name = "acme"
url = "http://acme.example/"
window = 0
[[endpoint]]
name = "acme"
url = "http://acme.example/"
"""


async def test_everything_is_told_in_one_round(tmp_path: Path) -> None:
    """Faults of values, of values together, and what a start refuses; nothing on stdout."""
    configure(tmp_path, ALL_WRONG)

    ended = await dlr(tmp_path, "check")

    assert (ended.code, ended.out) == (2, "")
    for fault in (
        "server.port: expected an integer from 0 to 65535",
        "source[0].hmac.keys: expected",
        'source[1].name: expected a unique name, got "s" again',
        "endpoint[0].window: expected",
        'endpoint[1].name: expected a unique name, got "acme" again',
        OPEN,
        "store.database: there is no directory nowhere",
    ):
        assert ended.err.count(fault) == 1, (fault, ended.err)
    assert ended.err.count("\n") == 7


REFUSED: Mapping[str, tuple[str, str]] = {
    "an open bind": ('[server]\nbind = "0.0.0.0"\n', OPEN),
    "an address of another machine": (
        '[server]\nbind = "203.0.113.9"\nwithout_credentials = "allowed"\n',
        "server.bind: cannot listen on 203.0.113.9:8080",
    ),
    "no database": ('[store]\ndatabase = "dlr.toml"\n', "store.database: the database cannot be"),
    "no directory": ('[store]\ndatabase = "no/dlr.db"\n', "store.database: there is no directory"),
    "one port for both": (
        "[server]\nport = 8123\ndispatch_port = 8123\n",
        "server.dispatch_port: expected another port than port",
    ),
}
"""What `serve`, `receive` and `dispatch` refuse, each alone in the settings."""


@pytest.mark.parametrize("case", REFUSED)
async def test_what_a_start_refuses_check_refuses(tmp_path: Path, case: str) -> None:
    """Both end with code 2 and print nothing to stdout."""
    text, fault = REFUSED[case]
    configure(tmp_path, text)

    checked, started = await run_all(tmp_path, [("check",), ("serve", "--port", "0")])

    assert (checked.code, checked.out) == (2, "")
    assert fault in checked.err
    assert checked.err.count("\n") == 1
    assert (started.code, started.out) == (2, "")


async def test_what_only_a_sandbox_refuses_is_a_warning(tmp_path: Path) -> None:
    """A service with tokens may listen to others, and its settings are right. That a sandbox would
    not start with them is said all the same."""
    configure(tmp_path, '[server]\nbind = "0.0.0.0"\n' + TOKEN)

    checked, sandbox = await run_all(tmp_path, [("check",), ("sandbox", "--port", "0")])

    assert checked.code == 0
    assert "no fault" in checked.out
    assert checked.err.startswith("dlr: only `dlr sandbox` would not start: server.bind: 0.0.0.0")
    assert sandbox.code == 2


async def test_a_port_in_use_is_a_warning(tmp_path: Path) -> None:
    """Settings are checked beside the running process, which has the port."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        configure(tmp_path, f"[server]\nport = {port}\n")

        ended = await dlr(tmp_path, "check")

    assert ended.code == 0
    assert f"server.port: {port} is in use" in ended.err


async def test_effective_is_what_differs_from_the_defaults(tmp_path: Path) -> None:
    """Of an endpoint too; secrets are `set`."""
    configure(
        tmp_path,
        "[server]\nport = 9123\n"
        + an_endpoint("http://acme.example/", reports="final")
        + 'headers = { X-Key = "hidden" }\n',
    )

    whole, changed, defaults = await run_all(
        tmp_path,
        [("check",), ("check", "--effective"), ("check", "--effective", "--config", "/dev/null")],
    )

    assert changed.out.splitlines()[1:] == [
        "  server.port = 9123",
        "  endpoint.acme.name = acme",
        "  endpoint.acme.url = http://acme.example/",
        "  endpoint.acme.headers.X-Key = set",
        "  endpoint.acme.reports = final",
    ]
    assert len(whole.out.splitlines()) > 80
    assert len(defaults.out.splitlines()) == 1


async def test_receive_and_dispatch_share_one_file(tmp_path: Path) -> None:
    """Each listens on a port of its own. The second one to start found the port taken."""
    with socket.socket() as first, socket.socket() as second:
        first.bind(("127.0.0.1", 0))
        port = first.getsockname()[1]
        second.bind(("127.0.0.1", 0))
        other = second.getsockname()[1]
    configure(tmp_path, f"[server]\nport = {port}\ndispatch_port = {other}\n")

    async with started(tmp_path, "receive") as receiver, started(tmp_path, "dispatch") as other_one:
        await receiver.out.find(f"listening on http://127.0.0.1:{port}$")
        await other_one.out.find(f"listening on http://127.0.0.1:{other}$")


@pytest.mark.parametrize(
    ("port", "dispatch_port", "listens_on"),
    [(8080, None, 8081), (9000, None, 9001), (0, None, 0), (65_535, None, 0), (8080, 7000, 7000)],
)
def test_where_dispatch_listens(port: int, dispatch_port: int | None, listens_on: int) -> None:
    """On the next port, or where the settings say."""
    server = ServerSettings(port=port, dispatch_port=dispatch_port)

    assert server.port_of_dispatch == listens_on
