"""The request of a dispatch, as it is shown."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass

import pytest

from dispatcher.api.dispatch_request import PushRequest, request_of
from dispatcher.endpoints.endpoint import Endpoint
from dispatcher.security.signing import Basic, HeaderSecret, Hmac, OAuth, StandardWebhooks
from tests.contracts.report_store import an_sms
from tests.dispatcher.support import Bench, a_bench, an_endpoint

ACME = an_endpoint(headers={"X-Key": "secret-1"})
BETA = an_endpoint("beta", content_type="application/xml", generation="v3")


@dataclass
class InForce:
    """Implements EndpointsInForce."""

    known: list[Endpoint]

    async def endpoints(self) -> list[Endpoint]:
        return self.known


@pytest.fixture
async def bench() -> AsyncIterator[Bench]:
    async with a_bench(ACME, BETA) as made:
        yield made


async def shown(bench: Bench, name: str, *in_force: Endpoint) -> PushRequest:
    found = await bench.queue.dispatch(name)
    assert found is not None
    return await request_of(
        bench.store, bench.queue, InForce([*in_force]), found[0], bench.clock.now()
    )


async def test_what_was_acknowledged_at_once_is_made_again(bench: Bench) -> None:
    """What is shown is what was pushed: XML is kept, and JSON is made again from the reports."""
    await bench.receive(an_sms("a"), an_sms("b"))
    await bench.worker.tick()

    for number, push in enumerate(bench.sender.pushes, 1):
        request = await shown(bench, f"db-{number}", ACME, BETA)
        assert request.made_again == (push.endpoint == "acme")
        assert request.body == push.body
        assert request.headers["Content-Type"] == push.content_type
        assert request.headers["webhook-id"] == push.webhook_id


async def test_what_waits_is_shown_as_it_is_kept(bench: Bench) -> None:
    """With the number of its last attempt, and without the values of its secrets."""
    bench.sender.answers(503)
    await bench.receive(an_sms("a"))
    await bench.worker.tick()

    request = await shown(bench, "db-1", ACME)

    assert not request.made_again
    assert request.body == bench.sender.pushes[0].body
    assert request.headers["X-Key"] == "…"
    assert request.headers["dlr-attempt"] == "1"


@pytest.mark.parametrize(
    ("security", "hidden"),
    [
        (Basic(username="me", password="secret"), {"Authorization"}),
        (HeaderSecret(header="X-Proof", value="secret"), {"X-Proof"}),
        (Hmac(secret_key="secret"), {"X-Infobip-Signature"}),
        (
            StandardWebhooks(secret_key="whsec_" + "c2VjcmV0" * 4),
            {"webhook-timestamp", "webhook-signature"},
        ),
        (
            OAuth(token_url="http://idp.example/", client_id="me", client_secret="secret"),
            {"Authorization"},
        ),
    ],
)
async def test_of_what_proves_the_sender_only_the_name_is_shown(
    bench: Bench, security: Basic, hidden: set[str]
) -> None:
    """Whatever proves who sends, also a signature, which could be sent once more."""
    await bench.receive(an_sms("a"))
    await bench.worker.tick()

    request = await shown(bench, "db-1", an_endpoint(security=security))

    assert {name for name, value in request.headers.items() if value == "…"} == hidden


async def test_of_an_endpoint_that_is_gone_what_is_known_is_shown(bench: Bench) -> None:
    """Which headers it had, nobody knows any more."""
    await bench.receive(an_sms("a"))
    await bench.worker.tick()

    assert set((await shown(bench, "db-1")).headers) == {
        "Content-Type",
        "webhook-id",
        "dlr-attempt",
    }
