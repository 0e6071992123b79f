"""What is typed and is not there: a name is wrong usage, an id has no answer.

`dlr reports --endpoint acmee` printed an empty table and ended with 0, as if nothing had failed,
and `dlr dispatches 7-none` ended like a misspelt option. And faults named the API's fields, which
nobody had typed. The table has a row for each command that takes a name or an id.
"""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from dispatcher.commands.option_words import with_options
from tests.end_to_end.processes import an_endpoint, configure, running
from tests.receiver.payloads import a_json_body, an_item
from tests.security.commands import run_all

ACME = 'there is no endpoint "acmee". Did you mean "acme"? There are: acme'
DEFAULT = 'there is no source "defualt". Did you mean "default"? There are: default, sandbox.'
STATUS = 'there is no status "DELIVERD_TO_HANDSET". Did you mean "DELIVERED_TO_HANDSET"'
ERROR = 'there is no error "EC_ABSENT_SUBSCRIBR". Did you mean "EC_ABSENT_SUBSCRIBER"'

TYPED: tuple[tuple[str, int, str], ...] = (
    # Names: exit code 2, with what may be meant and what there is.
    ("reports --endpoint acmee", 2, ACME),
    ("reports --source defualt", 2, DEFAULT),
    ("reports --status deliverd_to_handset", 2, STATUS),
    ("reports --status 5,DELIVERD_TO_HANDSET", 2, STATUS),
    ("reports --status DELIVERED", 2, '"DELIVERED" is a group of statuses. Use --status-group.'),
    ("reports --status-group DELIVERD", 2, "--status-group: expected ACCEPTED"),
    ("reports --error EC_ABSENT_SUBSCRIBR", 2, ERROR),
    ("messages --source defualt", 2, DEFAULT),
    ("messages --status-group DELIVERD", 2, "--status-group: expected ACCEPTED"),
    ("messages m-1 --source defualt", 2, DEFAULT),
    ("dispatches --endpoint acmee", 2, ACME),
    ("dispatches --message-id m-1 --source defualt", 2, DEFAULT),
    ("totals --source defualt", 2, DEFAULT),
    ("why m-1 --source defualt", 2, DEFAULT),
    ("erase --message-id m-1 --source defualt", 2, DEFAULT),
    ("reconcile --source defualt", 2, 'Did you mean "default"'),
    ("capture --from 00:00 --to 23:59 -o x.capsule --endpoint acmee", 2, ACME),
    ("rehearse --endpoint acmee", 2, 'no endpoint of the settings "acmee". Did you mean "acme"?'),
    ("replays start --endpoint acmee --dry-run", 2, ACME),
    ("replays start --source default --to-endpoint acmee --dry-run", 2, ACME),
    ("replays start --source defualt --dry-run", 2, DEFAULT),
    ("replays start --status DELIVERD_TO_HANDSET --dry-run", 2, STATUS),
    *(
        (f"endpoints {word} acmee", 2, ACME)
        for word in ("show", "health", "pause", "resume", "retry", "test", "remove")
    ),
    ("endpoints change acmee --set window=5", 2, ACME),
    ("endpoints reset acmee", 2, "there is no endpoint"),
    # Ids: exit code 1.
    ("messages m-none", 1, "there is no report of a message 'm-none'"),
    ("reports 99", 1, "there is no report 99"),
    ("quarantine 99", 1, "there is no quarantine entry 99"),
    ("quarantine --retry 99", 1, "there is no quarantine entry 99"),
    ("quarantine --dismiss 99", 1, "there is no quarantine entry 99"),
    ("dispatches x-99", 1, "there is no dispatch 'x-99'"),
    ("dispatches --retry x-99", 1, "there is no dispatch 'x-99'"),
    ("dispatches --again x-99", 1, "there is no dispatch 'x-99'"),
    ("why none", 1, "there is no report 'none'"),
    ("replays show 99", 1, "there is no replay 99"),
    ("replays cancel 99", 1, "there is no replay 99"),
    ("replays start --dispatch x-99 --dry-run", 1, "there is no dispatch 'x-99'"),
    # The words of the command line.
    ("replays start", 2, "--id, --message-id, --bulk-id, --dispatch, --endpoint, --state"),
    (
        "replays start --source default --to http://a.example --to-endpoint acme",
        2,
        "--to, --to-endpoint: ",
    ),
    ("replays start --status-group LOST", 2, "--status-group: expected"),
    ("replays start --source default --rate 5 --dry-run", 2, "--rate: "),
    ("reports --received-since noon", 2, "--since: expected"),
    (
        "reports --endpoint acme --state unrouted",
        2,
        "--endpoint: cannot be combined with --state unrouted",
    ),
    ("dispatches --source default", 2, "--source: can only be used together with --message-id"),
    ("dispatches --created-since noon", 2, "--since: expected"),
)


def faults(err: str) -> list[str]:
    """The lines of stderr without those that say how a time was understood."""
    return [line for line in err.splitlines() if not line.startswith("--")]


async def test_what_is_not_there_is_said(tmp_path: Path) -> None:
    """On stderr, with the exit code of its kind, and nothing on stdout."""
    configure(tmp_path, an_endpoint("http://127.0.0.1:9/"))
    async with running(tmp_path, "receive") as receiver:
        assert (await receiver.post(a_json_body(an_item(messageId="m-1"))))[0] == 200
        await receiver.stop()

    ended = await run_all(tmp_path, [words.split() for words, _, _ in TYPED])

    wrong = [
        (words, one)
        for (words, code, text), one in zip(TYPED, ended, strict=True)
        if (one.code, one.out) != (code, "") or text not in one.err or len(faults(one.err)) != 1
    ]
    assert wrong == []


async def test_what_the_database_has_is_there(tmp_path: Path) -> None:
    """A source that has left the settings still has its reports, and so has a status that the
    provider added since."""
    configure(tmp_path, '[[source]]\nname = "default"\n[[source]]\nname = "old"\n')
    status = {"groupId": 3, "groupName": "DELIVERED", "id": 77, "name": "DELIVERED_TO_HANDSETS"}
    async with running(tmp_path, "receive") as receiver:
        body = a_json_body(an_item(messageId="m-1", status=status))
        assert (await receiver.post(body, path="/notify/old"))[0] == 200
        await receiver.stop()
    configure(tmp_path, '[[source]]\nname = "default"\n')

    ended = await run_all(
        tmp_path,
        [
            ("reports", "--source", "old", "--format", "json"),
            ("reports", "--status", "DELIVERED_TO_HANDSETS", "--format", "json"),
        ],
    )

    assert [len(json.loads(each.out)) for each in ended] == [1, 1]


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("bulkId: it is the source of it", "--bulk-id: it is the source of it"),
        ("ids[0]: expected a number", "--id[0]: expected a number"),
        (
            "source: only with bulkId, say bulkId=x",
            "--source: only with --bulk-id, say --bulk-id x",
        ),
        ("name one with `source`", "name one with --source"),
        ("expected source, ids, bulkId", "expected --source, --id, --bulk-id"),
        ("the source 'bulkId' sent this", "the source 'bulkId' sent this"),
    ],
)
def test_parameters_become_options(text: str, told: str) -> None:
    """Ordinary words stay what they are, and so does what was typed."""
    options = {"bulkId": "--bulk-id", "ids": "--id", "source": "--source"}

    assert with_options(text, options) == told
