"""Asking the app what it holds of a message: over HTTP, or by a command.

The template names the message as `{messageId}`. Where in the answer something stands is said by
JMESPath, whose `length(…)` counts; a plain text is the state itself.
"""

from __future__ import annotations

import asyncio
import json
import re
import shlex
from asyncio.subprocess import PIPE
from collections.abc import Mapping, Sequence
from typing import Any, Self
from urllib.parse import quote

import aiohttp
import jmespath
from jmespath.exceptions import JMESPathError
from msgspec import Struct
from yarl import URL

from dispatcher.rehearsal.exchange import failure_of, readable
from dispatcher.rehearsal.plan import Plan
from dispatcher.rehearsal.truth import UNKNOWN, Expected, Held, Words, differences
from dispatcher.security.addresses import AddressCheck
from dispatcher.security.urls import is_http_url, spelling_fault

PLACE = "{messageId}"
COMMAND = "cmd:"
STATE = "status.name || status.groupName || state || status"
"""Where the state stands when nothing is said."""

AT_ONCE = 4
AT_ONCE_SLOW = 40
AT_ONCE_WIDE = 100
"""Questions at the same time. Python's own HTTP servers let five connections wait: one more is
dropped, and tried again by the system a second later. A slow app is asked more at once, and most
if it takes a whole window of pushes at once."""


class CannotVerify(Exception):
    """The app's state cannot be had; the text says what was asked and what came."""


class Verify(Struct, frozen=True):
    """How to ask. `count`, `callback_data` and `done_at` None: the app does not tell
    them."""

    template: str
    state: str = STATE
    count: str | None = None
    callback_data: str | None = None
    done_at: str | None = None


_NAMED = re.compile(r"(state|count|callbackData|doneAt)=(.*)", re.DOTALL)


def verify_of(template: str, paths: Sequence[str] = ()) -> Verify:
    """`paths` are `state=…`, `count=…`, `callbackData=…`, or one alone, which is the state's.

    Raises `ValueError` that says what is wrong.
    """
    if PLACE not in template:
        raise ValueError(
            f"expected {PLACE} in {template!r}; it is replaced with the id of the message"
        )
    if not template.startswith(COMMAND):
        _check_url(template)
    elif not _words(template):
        raise ValueError(f"expected a command after {COMMAND}, got nothing")
    named = {"state": STATE}
    for path in paths:
        match = _NAMED.fullmatch(path)
        name, text = (match[1], match[2]) if match else ("state", path)
        named[name] = _path(name, text)
    return Verify(
        template,
        named["state"],
        named.get("count"),
        named.get("callbackData"),
        named.get("doneAt"),
    )


def _check_url(template: str) -> None:
    url = template.replace(PLACE, "x")
    if not is_http_url(url):
        raise ValueError(f"expected an http or https URL, or {COMMAND} …, got {template!r}")
    if (wrong := spelling_fault(url)) is not None:
        raise ValueError(wrong)


def _path(name: str, text: str) -> str:
    text = text.removeprefix("$.")  # as JSONPath begins
    try:
        jmespath.compile(text)
    except JMESPathError as error:
        fault = str(error).splitlines()[0]
        raise ValueError(f"{name}: expected a JMESPath such as status.name: {fault}") from None
    return text


def _words(template: str) -> list[str]:
    return shlex.split(template.removeprefix(COMMAND))


def read(told: str, verify: Verify) -> Held:
    """What an answer tells. Raises `CannotVerify`."""
    if not told.strip():
        return UNKNOWN
    try:
        value = json.loads(told)
    except ValueError:
        return Held(told.strip())
    if not isinstance(value, dict | list):
        return Held(told.strip())
    return Held(
        _scalar(value, verify.state, "state"),
        _whole(value, verify.count),
        _scalar(value, verify.callback_data, "callbackData"),
        _scalar(value, verify.done_at, "doneAt"),
    )


def _found(value: Any, path: str, name: str) -> Any:
    try:
        return jmespath.search(path, value)
    except JMESPathError as error:
        fault = str(error).splitlines()[0]
        raise CannotVerify(f"--verify-path {name}={path}: {readable(fault)}") from None


def _scalar(value: Any, path: str | None, name: str) -> str | None:
    found = None if path is None else _found(value, path, name)
    if found is None or isinstance(found, str):
        return found
    if isinstance(found, dict | list):
        shown = readable(json.dumps(found), 80)
        raise CannotVerify(f"--verify-path {name}={path}: expected a text, got {shown}")
    return json.dumps(found)


def _whole(value: Any, path: str | None) -> int | None:
    found = None if path is None else _found(value, path, "count")
    if found is None or (isinstance(found, int) and not isinstance(found, bool)):
        return found
    shown = readable(json.dumps(found), 80)
    raise CannotVerify(f"--verify-path count={path}: expected a whole number, got {shown}")


class Verifier:
    """Asks one app. Use it as an asynchronous context manager."""

    def __init__(self, verify: Verify, plan: Plan, sockets: AddressCheck | None = None) -> None:
        self._verify = verify
        self._sockets = sockets
        self._plan = plan
        self._seconds = plan.timeout.total_seconds()
        self._at_once = asyncio.Semaphore(AT_ONCE)
        self._slow = False
        self._session: aiohttp.ClientSession | None = None

    def many(self, *, wide: bool) -> None:
        """The app takes long to answer and can answer many at once, or a whole window."""
        self._at_once = asyncio.Semaphore(AT_ONCE_WIDE if wide else AT_ONCE_SLOW)
        self._slow = True

    async def __aenter__(self) -> Self:
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(socket_factory=self._sockets),
            timeout=aiohttp.ClientTimeout(total=self._seconds),
            trust_env=False,
        )
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._session is not None:
            await self._session.close()

    async def ask(self, message_id: str) -> Held:
        """What the app tells of a message. Raises `CannotVerify`."""
        async with self._at_once:
            template = self._verify.template
            if template.startswith(COMMAND):
                told = await self._run(_words(template), message_id)
            else:
                told = await self._get(template.replace(PLACE, quote(message_id, safe="")))
        return read(told, self._verify)

    async def all(self, message_ids: Sequence[str]) -> dict[str, Held]:
        held = await asyncio.gather(*(self.ask(each) for each in message_ids))
        return dict(zip(message_ids, held, strict=True))

    async def known(self, message_id: str, unknown: Held) -> Held:
        """What the app tells of a message as soon as it tells anything, else when patience ends."""
        end = self._end_of_patience()
        while (held := await self.ask(message_id)).state in (None, unknown.state):
            if _now() > end:
                break
            await asyncio.sleep(self._plan.poll.total_seconds())
        return held

    async def any_known(self, message_ids: Sequence[str], unknown: Held) -> Mapping[str, Held]:
        """What the app tells of these messages as soon as it tells anything of one, and once more a
        moment later; else when patience ends."""
        end = self._end_of_patience()
        while True:
            held = await self.all(message_ids)
            told = any(each.state not in (None, unknown.state) for each in held.values())
            await asyncio.sleep(self._plan.poll.total_seconds())
            if told:
                return await self.all(message_ids)
            if _now() > end:
                return held

    async def settled(self, expected: Sequence[Expected], words: Words) -> Mapping[str, Held]:
        """What the app holds when it holds what is expected at two looks in a row, else when
        patience ends: an app that works behind a queue is right a moment later, and one that lets
        a late report win is wrong a moment later."""
        ids = [each.message_id for each in expected]
        end = self._end_of_patience()
        before = None
        while True:
            held = await self.all(ids)
            right = not differences(expected, held, words)
            if (right and held == before) or _now() > end:
                return held
            before = held
            await asyncio.sleep(self._plan.poll.total_seconds())

    async def behind(
        self, fence: str, expected: Sequence[Expected], words: Words
    ) -> tuple[bool, Mapping[str, Held]]:
        """Whether the app gets to know the message `fence`, and what it holds then, as `settled`
        says. A slow app is asked for all of it at once, and for as long as it is not right once
        more."""
        if self._slow:
            known, held = await asyncio.gather(self.ask(fence), self._two_looks(expected))
            right = held[0] == held[1] and not differences(expected, held[1], words)
            if right and words.known(known):
                return True, held[1]
        stored = words.known(await self.known(fence, words.unknown))
        return stored, await self.settled(expected, words)

    async def _two_looks(
        self, expected: Sequence[Expected]
    ) -> tuple[Mapping[str, Held], Mapping[str, Held]]:
        """What the app holds now, and a moment later: asked before the first answer is here."""
        ids = [each.message_id for each in expected]

        async def later() -> dict[str, Held]:
            await asyncio.sleep(self._plan.poll.total_seconds())
            return await self.all(ids)

        return await asyncio.gather(self.all(ids), later())

    def _end_of_patience(self) -> float:
        return _now() + self._plan.patience.total_seconds()

    async def _get(self, url: str) -> str:
        assert self._session is not None, "Verifier is used as a context manager"
        try:
            async with self._session.get(URL(url, encoded=True)) as response:
                text = await response.text(errors="replace")
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            failure = failure_of(error, self._seconds)
            raise CannotVerify(f"GET {_shown(url)}: {failure}") from error
        if response.status in (204, 404, 410):
            return ""
        if response.status != 200:
            raise CannotVerify(
                f"GET {_shown(url)}: expected 200, or 404 for a message that is not known, got"
                f" {response.status}: {readable(text, 100)}"
            )
        return text

    async def _run(self, words: Sequence[str], message_id: str) -> str:
        """The words of the command are no shell's: nothing in a message id is run."""
        command = [word.replace(PLACE, message_id) for word in words]
        try:
            process = await asyncio.create_subprocess_exec(*command, stdout=PIPE, stderr=PIPE)
        except OSError as error:
            raise CannotVerify(f"{command[0]}: {error.strerror or error}") from error
        try:
            async with asyncio.timeout(self._seconds):
                out, err = await process.communicate()
        except TimeoutError:
            raise CannotVerify(f"{command[0]}: has not ended in {self._seconds:g} s") from None
        finally:
            if process.returncode is None:
                process.kill()
                await process.wait()
        if process.returncode:
            last = readable(err.decode(errors="replace").strip(), 100)
            raise CannotVerify(
                f"{command[0]}: expected exit code 0, and no output for a message that is not"
                f" known, got {process.returncode}: {last}"
            )
        return out.decode(errors="replace")


def _now() -> float:
    return asyncio.get_running_loop().time()


def _shown(url: str) -> str:
    return readable(str(URL(url, encoded=True).with_user(None).with_query(None)))
