"""Tokens: fetched once, kept while they are good, renewed when they are refused."""

from __future__ import annotations

import asyncio
from base64 import b64encode
from collections.abc import AsyncIterator, Callable
from datetime import timedelta
from typing import Any

import pytest
from aiohttp import web
from pytest_aiohttp.plugin import AiohttpServer

from dispatcher.clocks.clock import VirtualClock
from dispatcher.pushing.http_sender import ANSWER_READ, HttpSender
from dispatcher.pushing.oauth import NoToken, Token, read_token, token_request
from dispatcher.retrying.outcome import Answer, Outcome, judge
from dispatcher.retrying.schedule import INFOBIP
from dispatcher.security.signing import OAuth
from tests.dispatcher.support import START, a_push, an_endpoint

SHORT = timedelta(milliseconds=100)
SECOND = timedelta(seconds=1)


def an_oauth(url: str = "https://idp.example/token", **changes: Any) -> OAuth:
    return OAuth(**{"token_url": url, "client_id": "me", "client_secret": "hush", **changes})


class Customer:
    """A token server and the endpoint that wants its tokens, on real sockets."""

    def __init__(self) -> None:
        self.asked: list[dict[str, str]] = []  # forms that came to the token server
        self.headers: list[dict[str, str]] = []
        self.pushed: list[str] = []  # Authorization of each push
        self.good: Callable[[str], bool] = lambda _: True
        self.answer: Callable[[], web.StreamResponse] = self.a_token
        self.asked_once = asyncio.Event()
        self.open = asyncio.Event()
        self.open.set()

    def a_token(self, **changes: Any) -> web.Response:
        token = {"access_token": f"t{len(self.asked)}", "token_type": "Bearer", "expires_in": 3600}
        return web.json_response({**token, **changes})

    async def token(self, request: web.Request) -> web.StreamResponse:
        form = await request.post()
        self.asked.append({name: str(value) for name, value in form.items()})
        self.headers.append(dict(request.headers))
        self.asked_once.set()
        await self.open.wait()
        return self.answer()

    async def push(self, request: web.Request) -> web.Response:
        shown = request.headers.get("Authorization", "")
        self.pushed.append(shown)
        return web.Response(status=200 if self.good(shown) else 401)


@pytest.fixture
def clock() -> VirtualClock:
    return VirtualClock(START)


@pytest.fixture
def customer() -> Customer:
    return Customer()


Push = Callable[..., Any]


@pytest.fixture
async def push(
    customer: Customer, clock: VirtualClock, aiohttp_server: AiohttpServer
) -> AsyncIterator[Push]:
    """Makes one attempt at the customer."""
    app = web.Application()
    app.router.add_post("/token", customer.token)
    app.router.add_post("/dlr", customer.push)
    server = await aiohttp_server(app)
    async with HttpSender(clock.now) as sender:

        async def attempt(**changes: Any) -> Answer:
            security = an_oauth(str(server.make_url("/token")), **changes.pop("oauth", {}))
            endpoint = an_endpoint(security=security, **changes)
            return await sender.send(a_push(str(server.make_url("/dlr"))), endpoint)

        yield attempt


async def test_one_token_for_many_pushes(push: Push, customer: Customer) -> None:
    """Pushes that start together wait for one token, and those after them use it."""
    customer.open.clear()
    together = [asyncio.create_task(push()) for _ in range(20)]
    await customer.asked_once.wait()
    customer.open.set()
    answers = await asyncio.gather(*together)
    answers.append(await push())

    assert {answer.status for answer in answers} == {200}
    assert len(customer.asked) == 1
    assert customer.pushed == ["Bearer t1"] * 21


@pytest.mark.parametrize(
    ("expires_in", "kept", "old"),
    [
        (3600, timedelta(seconds=3539), timedelta(seconds=3540)),
        ("3600", timedelta(seconds=3539), timedelta(seconds=3540)),
        (100, timedelta(seconds=89), timedelta(seconds=90)),
        (0, None, timedelta(0)),
        (-5, None, timedelta(0)),
        (1e300, timedelta(days=364), timedelta(days=365)),
        (None, timedelta(days=3650), None),
    ],
)
async def test_a_token_is_renewed_shortly_before_it_ends(
    push: Push,
    customer: Customer,
    clock: VirtualClock,
    expires_in: object,
    kept: timedelta | None,
    old: timedelta | None,
) -> None:
    """A minute, or a tenth of its life, before its end a new token is fetched; one that says
    nothing of its end is used until it is refused."""
    customer.answer = lambda: customer.a_token(expires_in=expires_in)
    await push()

    if kept is not None:
        clock.advance_to(START + kept)
        await push()
        assert len(customer.asked) == 1
    if old is not None:
        clock.advance_to(START + old)
        await push()
        assert len(customer.asked) == 2
        assert customer.pushed[-1] == "Bearer t2"


async def test_a_refused_token_is_renewed_once(push: Push, customer: Customer) -> None:
    """After a 401 a new token is fetched and the push is made again, within the same attempt."""
    await push()
    customer.good = lambda shown: shown == "Bearer t2"  # the customer has revoked t1

    answer = await push()

    assert answer.status == 200
    assert customer.pushed == ["Bearer t1", "Bearer t1", "Bearer t2"]


async def test_refused_for_good(push: Push, customer: Customer) -> None:
    """A new token that is refused too ends the attempt: nothing turns round in circles."""
    customer.good = lambda _: False

    answer = await push()

    assert (answer.status, judge(answer)) == (401, Outcome.REFUSED)
    assert (len(customer.asked), len(customer.pushed)) == (2, 2)


async def test_pushes_refused_together_renew_once(push: Push, customer: Customer) -> None:
    """Ten pushes that are refused with the same token fetch one new token between them."""
    await push()
    customer.good = lambda shown: shown != "Bearer t1"

    answers = await asyncio.gather(*(push() for _ in range(10)))

    assert {answer.status for answer in answers} == {200}
    assert len(customer.asked) == 2


async def test_the_form(push: Push, customer: Customer) -> None:
    """The token is asked for with client credentials: id and secret as Basic, or in the form."""
    await push(oauth={"scope": "a b", "resource": "https://acme.example/"})
    await push(name="other", oauth={"client_authentication": "body"})

    assert customer.asked == [
        {
            "grant_type": "client_credentials",
            "scope": "a b",
            "resource": "https://acme.example/",
        },
        {"grant_type": "client_credentials", "client_id": "me", "client_secret": "hush"},
    ]
    basic = "Basic " + b64encode(b"me:hush").decode()
    assert [each.get("Authorization") for each in customer.headers] == [basic, None]
    assert customer.headers[0]["Accept"] == "application/json"


def test_odd_characters_of_a_secret() -> None:
    """Id and secret are encoded as in a form before they become Basic (RFC 6749, 2.3.1)."""
    request = token_request(an_oauth(client_id="a:b", client_secret="p w+é"))

    coded = b64encode(b"a%3Ab:p+w%2B%C3%A9").decode()
    assert request.headers["Authorization"] == f"Basic {coded}"
    assert "hush" not in repr(an_oauth())


def a_redirect() -> web.Response:
    return web.Response(status=307, headers={"Location": "/token"})


@pytest.mark.parametrize(
    ("answer", "error"),
    [
        (
            lambda: web.json_response({"error": "invalid_client", "why": "hush"}, status=401),
            "the token endpoint answered 401 invalid_client",
        ),
        (
            lambda: web.Response(status=503, text="down"),
            "the token endpoint answered 503",
        ),
        (a_redirect, "the token endpoint answered 307"),
        (
            lambda: web.Response(text="<html>"),
            "the token endpoint's answer is not a JSON object with a token",
        ),
        (
            lambda: web.json_response({"token_type": "Bearer"}),
            "the token endpoint's answer has no token that is valid in a header",
        ),
        (
            lambda: web.json_response({"access_token": "a\r\nX-Evil: 1"}),
            "the token endpoint's answer has no token that is valid in a header",
        ),
        (
            lambda: web.json_response({"access_token": "a", "token_type": "mac"}),
            "the token endpoint returned a token whose type is not Bearer",
        ),
        (
            lambda: web.Response(body=b" " * (ANSWER_READ + 1)),
            "the token endpoint: the answer has more than 65536 bytes",
        ),
    ],
)
async def test_no_token(
    push: Push, customer: Customer, answer: Callable[[], web.StreamResponse], error: str
) -> None:
    """A token endpoint that gives no token is an outcome of its own; nothing is pushed, and nothing
    of its answer is repeated but the error code of the RFC."""
    customer.answer = answer

    told = await push()

    assert (told.failure, told.error) == (Outcome.NO_TOKEN, error)
    assert customer.pushed == []


async def test_the_next_attempt_asks_again(push: Push, customer: Customer) -> None:
    """A failure is not kept: the attempt that the schedule makes next gets its token."""
    customer.answer = lambda: web.Response(status=500)
    assert (await push()).failure is Outcome.NO_TOKEN
    assert INFOBIP.waits[0] == timedelta(minutes=1)

    customer.answer = customer.a_token
    assert (await push()).status == 200


async def test_a_failure_is_shared(push: Push, customer: Customer) -> None:
    """Pushes that wait together for a token that does not come have asked for it once."""
    customer.open.clear()
    customer.answer = lambda: web.Response(status=500)
    together = [asyncio.create_task(push()) for _ in range(10)]
    await customer.asked_once.wait()
    customer.open.set()

    answers = await asyncio.gather(*together)

    assert {answer.failure for answer in answers} == {Outcome.NO_TOKEN}
    assert len(customer.asked) == 1


async def test_a_token_endpoint_that_says_nothing(push: Push, customer: Customer) -> None:
    """The endpoint's timeouts hold for its token endpoint, and the outcome says which it was."""
    customer.open.clear()

    told = await push(read_timeout=SHORT)
    customer.open.set()

    assert (told.failure, told.error) == (
        Outcome.NO_TOKEN,
        "the token endpoint: no answer in time",
    )


async def test_a_push_that_is_broken_off_leaves_the_token_to_others(
    push: Push, customer: Customer
) -> None:
    """The push that asked for the token may end early; those that wait with it get the token."""
    customer.open.clear()
    first = asyncio.create_task(push())
    await customer.asked_once.wait()
    second = asyncio.create_task(push())
    await asyncio.sleep(0)
    first.cancel()
    customer.open.set()

    assert (await second).status == 200
    assert len(customer.asked) == 1


async def test_a_token_endpoint_inside_is_not_asked(push: Push, customer: Customer) -> None:
    """The token endpoint of a URL from outside is under the same address check as its pushes."""
    told = await push(checked=True)

    assert told.failure is Outcome.NO_TOKEN
    assert told.error is not None
    assert "127.0.0.1 is loopback" in told.error
    assert customer.asked == []


async def test_each_endpoint_has_its_own_token(push: Push, customer: Customer) -> None:
    """Endpoints share no token, and new credentials of one do not use the token of the old."""
    await push(name="a")
    await push(name="b")
    await push(name="b", oauth={"client_secret": "new"})

    assert customer.pushed == ["Bearer t1", "Bearer t2", "Bearer t3"]


def test_an_attempt_with_oauth_may_take_four_exchanges() -> None:
    """The lease is as long as an attempt can be: token, push, new token, push again."""
    plain = an_endpoint(connect_timeout=SECOND, read_timeout=SECOND)
    oauth = an_endpoint(connect_timeout=SECOND, read_timeout=SECOND, security=an_oauth())

    assert (plain.attempt_time, oauth.attempt_time) == (2 * SECOND, 8 * SECOND)


@pytest.mark.parametrize(
    "body",
    [b"", b"null", b"[]", b'{"access_token": 5}', b"\xff", b'{"access_token": null}', b"{" * 1000],
)
def test_any_answer_is_a_token_or_none(body: bytes) -> None:
    """What is no token is told as such, whatever the bytes are."""
    with pytest.raises(NoToken):
        read_token(200, body, START)


def test_a_token_prints_no_secret() -> None:
    """A token in a log would be as good as the credentials."""
    assert "abc" not in repr(Token("abc", None))
    assert read_token(200, b'{"access_token": "abc"}', START) == Token("abc", None)
