"""Two customers of ours chose the same messageId.

The second one's report was answered 200 and swallowed as a duplicate of the first one's: it was
never stored, and never pushed. The second one's next report ended the first one's message, in the
list and in `dlr messages`. Sources are tenants: what one posts is never another's.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from tests.end_to_end.processes import Customer, an_endpoint, configure, customer, dlr, running
from tests.receiver.payloads import a_json_body, an_item

STORED = (200, {"stored": 1, "duplicates": 0, "quarantined": 0})
REPEATED = (200, {"stored": 0, "duplicates": 1, "quarantined": 0})

ENROUTE = {"groupId": 1, "groupName": "PENDING", "id": 7, "name": "PENDING_ENROUTE"}
DELIVERED = {"groupId": 3, "groupName": "DELIVERED", "id": 5, "name": "DELIVERED_TO_HANDSET"}
REJECTED = {"groupId": 5, "groupName": "REJECTED", "id": 12, "name": "REJECTED_NOT_ENOUGH_CREDITS"}


def a_report(status: dict[str, Any], to: str = "41793026727") -> bytes:
    return a_json_body(an_item(messageId="order-1001", status=status, to=to))


def two_tenants(url: str, *, ordered: bool = False) -> str:
    """Sources alpha and beta, each with a customer of its own behind it."""
    more = "ordered = true\n" if ordered else ""
    return "".join(
        f'[[source]]\nname = "{name}"\n'
        + an_endpoint(f"{url}/{name}", name=f"cust-{name}")
        + f'sources = ["{name}"]\n{more}'
        for name in ("alpha", "beta")
    )


def came_to(of: Customer, path: str) -> list[str]:
    """The statuses that a customer was told, in order."""
    bodies = [json.loads(push.body) for push in of.pushes if push.path == path]
    return [item["status"]["name"] for body in bodies for item in body["results"]]


async def test_the_same_report_is_one_of_each(tmp_path: Path) -> None:
    """The same report at two sources is stored and pushed for both; a repeat is one of its own
    source, also after a restart."""
    async with customer() as there:
        configure(tmp_path, two_tenants(there.url))
        async with running(tmp_path, "serve") as server:
            for name in ("alpha", "beta"):
                assert await server.post(a_report(DELIVERED), path=f"/notify/{name}") == STORED
            await there.came.reach(2)
            assert sorted(push.path for push in there.pushes) == ["/alpha", "/beta"]
            assert await server.post(a_report(DELIVERED), path="/notify/beta") == REPEATED
            await server.stop()
        async with running(tmp_path, "serve") as server:
            assert await server.post(a_report(DELIVERED), path="/notify/alpha") == REPEATED
            counted = {each["source"]: each["duplicates"] for each in await server.all("reports")}
            assert counted == {"alpha": 1, "beta": 1}
            for name in counted:
                _, totals = await server.get(f"/api/totals?source={name}")
                assert totals["total"]["reports"] == 1


async def test_one_does_not_end_the_others_message(tmp_path: Path) -> None:
    """Beta's last word leaves alpha's message where alpha's reports say, wherever it is shown; and
    whoever does not say whose message is meant, is asked."""
    async with customer() as there, customer() as elsewhere:
        configure(tmp_path, two_tenants(there.url))
        async with running(tmp_path, "serve") as server:
            await server.post(a_report(ENROUTE), path="/notify/alpha")
            _, message = await server.get("/api/messages/order-1001")
            assert (message["source"], message["final"]) == ("alpha", False)
            await server.post(a_report(REJECTED, to="491700000009"), path="/notify/beta")
            await there.came.reach(2)

            stands = {"alpha": ("PENDING_ENROUTE", False), "beta": (REJECTED["name"], True)}
            for name, (status, final) in stands.items():
                _, message = await server.get(f"/api/messages/order-1001?source={name}")
                assert (message["status"]["name"], message["final"]) == (status, final)
                assert [each["source"] for each in message["reports"]] == [name]
                assert [each["endpoint"] for each in message["dispatches"]] == [f"cust-{name}"]
                told = await dlr(tmp_path, "messages", "order-1001", "--source", name)
                assert (told.code, told.err) == (0, "")
                assert told.out.startswith(f"order-1001 {status} ")
            listed = await server.all("messages")
            assert {m["source"]: (m["status"]["name"], m["final"]) for m in listed} == stands
            (one,) = (await server.get("/api/messages?source=alpha"))[1]["messages"]
            assert one["source"] == "alpha"

            status, answer = await server.get("/api/messages/order-1001")
            assert (status, answer["error"]["code"]) == (409, "ambiguous")
            assert answer["error"]["details"] == {"sources": ["alpha", "beta"]}
            status, answer = await server.get("/api/messages/order-1001?source=gamma")
            assert (status, answer["error"]["code"]) == (404, "not_found")
            asked = 'dlr: 2 sources have a message "order-1001": alpha, beta; give one of them'
            to_both = ("replays", "start", "--message-id", "order-1001", "--to", elsewhere.url)
            erase = ("erase", "--message-id", "order-1001")
            for words in (("messages", "order-1001"), to_both, erase):
                told = await dlr(tmp_path, *words)
                assert (told.code, told.err, told.out) == (2, f"{asked} with --source\n", "")

            told = await dlr(tmp_path, *to_both, "--source", "beta")
            assert (told.code, told.err) == (0, "")
            assert came_to(elsewhere, "/") == [REJECTED["name"]]
            told = await dlr(tmp_path, *erase, "--source", "beta")
            assert (told.code, told.err) == (0, "")
            _, message = await server.get("/api/messages/order-1001")
            assert (message["source"], message["final"]) == ("alpha", False)
            assert came_to(there, "/alpha") == ["PENDING_ENROUTE"]


async def test_one_does_not_hold_up_the_other(tmp_path: Path) -> None:
    """Where the order is kept, alpha's report that is not acknowledged yet holds up alpha's later
    ones, and none of beta's."""
    async with customer(lambda push: 503 if push.path == "/alpha" else 200) as there:
        configure(tmp_path, two_tenants(there.url, ordered=True))
        async with running(tmp_path, "serve") as server:
            await server.post(a_report(ENROUTE), path="/notify/alpha")
            await there.came.reach(1)  # both at once would go in one push
            await server.post(a_report(DELIVERED), path="/notify/alpha")
            for number, status in enumerate((ENROUTE, REJECTED), 2):
                await server.post(a_report(status), path="/notify/beta")
                await there.came.reach(number)

            assert came_to(there, "/beta") == ["PENDING_ENROUTE", REJECTED["name"]]
            assert came_to(there, "/alpha") == ["PENDING_ENROUTE"]


async def test_one_endpoint_of_both(tmp_path: Path) -> None:
    """An endpoint that keeps the order and takes both sources gets beta's report though one of
    alpha's with the same messageId is on its way there."""

    def by_number(push: Any) -> int:
        return 503 if b"41793026727" in push.body else 200

    async with customer(by_number) as there:
        sources = "".join(f'[[source]]\nname = "{name}"\n' for name in ("alpha", "beta"))
        configure(tmp_path, sources + an_endpoint(f"{there.url}/both") + "ordered = true\n")
        async with running(tmp_path, "serve") as server:
            await server.post(a_report(ENROUTE), path="/notify/alpha")
            await there.came.reach(1)
            await server.post(a_report(DELIVERED, to="491700000009"), path="/notify/beta")
            await there.came.reach(2)

            assert came_to(there, "/both") == ["PENDING_ENROUTE", "DELIVERED_TO_HANDSET"]
