"""With several receivers, a process that takes callbacks accepts each connection. It hands the
connection to the first one when it asks for anything else. Nobody outside can tell: they answer,
count and tell as one process does, in whatever pieces a request comes, and whatever came before it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from dispatcher.service import Parts, service
from dispatcher.settings.settings import read_settings
from tests.receiver.callbacks.test_short_way import REQUESTS, SETTINGS, comparable
from tests.receiver.payloads import a_json_body, an_item
from tests.receiver.served import Reply, Wire, connected, get, request

TOKEN = "0123456789abcdef"
API = ("Authorization", f"Bearer {TOKEN}")


def asked(path: str, *headers: tuple[str, str], method: str = "GET", body: bytes = b"") -> bytes:
    return request(body, path=path, method=method, headers=headers)


KEPT = [
    request(a_json_body(an_item(messageId="kept-1"))),
    asked("/healthz"),
    request(a_json_body(an_item(messageId="kept-2"))),
    asked("/api/reports", API),
    asked("/api/replays", API, method="POST", body=b" " * 1_500 + b"{}"),
    asked("/nowhere"),
]
"""Requests of one connection, each sent when the one before is answered."""


def pieces(data: bytes) -> Iterator[list[bytes]]:
    """A request as different networks and clients bring it."""
    head = data.index(b"\r\n\r\n") + 4
    yield [data]
    yield [data[:head], data[head:]]
    yield [data[:3], data[3:9], data[9:20], data[20 : head - 2], data[head - 2 :]]


async def answers_of(url: str) -> Any:
    """What is answered to everything above, and what is shown of it afterwards."""
    found: dict[str, Any] = {}
    for name, data in REQUESTS.items():
        async with connected(url) as wire:
            await wire.send(data)
            found[name] = comparable(await wire.reply())
    for cut in range(3):
        for first in (0, 1):
            async with connected(url) as wire:
                for data in KEPT[first:] + KEPT[:first]:
                    found[f"{cut} {first} {data[:40]!r}"] = await in_pieces(
                        wire, list(pieces(data))[cut]
                    )
    for pieces_of_all in (
        [b"".join(KEPT)],
        slices(b"".join(KEPT), 37),
        slices(b"".join(KEPT), 700),
    ):
        async with connected(url) as wire:
            for piece in pieces_of_all:
                await wire.send(piece)
            found[f"before the answers, {len(pieces_of_all[0])}"] = [
                plain(await wire.reply()) for _ in KEPT
            ]
    async with connected(url) as wire:
        await wire.send(asked("/api/replays", API, method="POST", body=b" " * 300_000))
        found["large"] = comparable(await wire.reply())
    found["metrics"] = sorted(
        line
        for line in (await get(url, "/metrics", API)).body.decode().splitlines()
        if line.startswith(("dlr_callback", "dlr_reports", "dlr_quarantined", "dlr_commit_call"))
    )
    kinds = (await get(url, "/api/callbacks/not-taken", API)).json["notTaken"]
    found["not taken"] = sorted(
        (kind["reason"], kind["what"], str(kind["source"]), kind["callbacks"]) for kind in kinds
    )
    return found


async def in_pieces(wire: Wire, data: Sequence[bytes]) -> Any:
    for piece in data:
        await wire.send(piece)
    return plain(await wire.reply())


def slices(data: bytes, size: int) -> list[bytes]:
    return [data[start : start + size] for start in range(0, len(data), size)]


def plain(reply: Reply) -> Any:
    """Without instants, which differ."""
    status, headers, body = comparable(reply)
    return status, headers, b"" if b'"receivedAt"' in body else body


async def test_nobody_can_tell_which_process_answers(tmp_path: Path) -> None:
    """One process answers everything; then two receivers get all requests, and keep callbacks."""
    found = []
    for receivers in (1, 2):
        folder = tmp_path / str(receivers)
        folder.mkdir()
        (folder / "dlr.toml").write_text(
            f'[server]\nport = 0\nbody_limit = "2KB"\nreceivers = {receivers}\n'
            f'[store]\ndatabase = "{folder}/dlr.db"\n{SETTINGS}'
            f'[[api.token]]\nname = "t"\nscope = "operate"\nsecret = "{TOKEN}"\n'
        )
        settings = read_settings(folder / "dlr.toml", {})
        async with service(settings, parts=Parts(dispatches=False)) as running:
            found.append(await answers_of(running.url))
            async with connected(running.url) as wire:
                await wire.send(REQUESTS["chunked"] + asked("/healthz"))
                assert (await wire.reply()).status == 200
                # Only the parser knows where a chunked body ends, and it has read on.
                assert (await wire.reply()).status == (200 if receivers == 1 else 0)
    one, several = found
    for name, reply in one.items():
        assert several[name] == reply, name
