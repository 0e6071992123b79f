"""What happened to a push, or why there was none, in words for whoever wrote the app. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final
from urllib.parse import urlsplit

from dispatcher.retrying.outcome import Answer, Outcome

_TEST_CLIENTS: Final = frozenset({"testserver", "test"})
"""What an app that listens nowhere is called by the test clients of Django, Starlette and FastAPI,
and in the examples of httpx."""

_WORDS: Final = {
    Outcome.TIMED_OUT: "your webhook did not answer in time. If it runs in the event loop of"
    " the test, do not block that loop",
    Outcome.BROKEN_OFF: "your webhook closed the connection before it answered",
}


def what_happened(url: str, outcome: Outcome, answer: Answer) -> str:
    """One sentence or two, without a secret. `url` is without credentials."""
    if answer.status is not None:
        return _answered(outcome, answer)
    if outcome is Outcome.UNREACHABLE:
        return _unreachable(url, answer.error)
    if outcome is Outcome.TLS_FAILED:
        how = "set sandbox.notify_ca_file to its certificate"
        return f"{url} is not trusted ({how}): {answer.error}"
    return _WORDS.get(outcome) or f"nothing was pushed to {url}: {answer.error}"


def _answered(outcome: Outcome, answer: Answer) -> str:
    said = f"your webhook answered {answer.status}"
    if outcome is Outcome.ACKNOWLEDGED:
        return said
    if outcome is Outcome.REDIRECTED:
        return f"{said}, a redirect, which is not followed"
    line = next(iter(answer.body.decode("utf-8", "replace").strip().splitlines()), "")
    return f"{said}: {line[:200]}" if line else said


def _unreachable(url: str, error: str | None) -> str:
    if is_of_test_client(url):
        return (
            f"nothing can be pushed to {url}: that is the address of a test client, which does"
            " not open a port. Let the app listen on a port, in a thread or process, and use"
            " its URL"
        )
    return f"nothing listens at {url}: {error}"


def is_of_test_client(url: str) -> bool:
    """Whether a URL is that of an app which listens nowhere. Flask's test client calls it
    localhost, without a port."""
    try:
        place = urlsplit(url)
        return place.hostname in _TEST_CLIENTS or (
            place.hostname == "localhost" and place.port is None
        )
    except ValueError:
        return False


# --- for a test that waits in vain ---------------------------------------------------------------

Shown = Mapping[str, Any]
"""A message, a push or a request as /sandbox shows it."""


def not_told(messages: Sequence[Shown], pushes: Sequence[Shown]) -> Iterator[str]:
    """Why the app has not been told of these messages, a line for each reason; nothing when all
    that was due has been pushed and acknowledged."""
    latest = {push["dispatch"]: push for push in pushes}
    for push in latest.values():
        if push["outcome"] != Outcome.ACKNOWLEDGED.value:
            yield _failed(push)
    pushed = {message_id for push in pushes for message_id in push["messageIds"]}
    for message in messages:
        if message["messageId"] not in pushed:
            yield f"message {message['messageId']} to {message['to']}: {_not_pushed(message)}"


def was_refused(request: Shown) -> str:
    """What a request was refused with."""
    answered = request["status"] or "no answer"
    said = f": {request['answer'][:300]}" if request["answer"] else ""
    return f"{request['method']} {request['path']} was refused with {answered}{said}"


def _failed(push: Shown) -> str:
    of = ", ".join(push["messageIds"][:3])
    again = f"the next attempt is due at {push['dueAt']}" if push["dueAt"] else "no attempt is left"
    return f"{push['explanation']} (attempt {push['number']} of message {of}; {again})"


def _not_pushed(message: Shown) -> str:
    if message["state"] == "refused":
        return f"the answer to its request was {message['status']['name']}, and no report follows"
    if message["dueAt"] is not None:
        return f"its next step is due at {message['dueAt']}; advance moves the clock"
    if message["notifyUrl"] is None:
        return "it has no notifyUrl, and no endpoint takes its reports: they wait to be pulled"
    return "no report of it was requested"
