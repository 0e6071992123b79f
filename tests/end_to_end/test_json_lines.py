"""In JSON log mode every line on stdout and stderr is a JSON object.

The lines of the start and the end were plain text, and so were tracebacks, the warnings of
libraries and what refused a start. Whoever collects the log of a container reads both streams, and
one line that is no JSON stops some collectors.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.end_to_end.processes import an_endpoint, configure, dlr, running
from tests.receiver.payloads import a_json_body, an_item

JSON = '[log]\nformat = "json"\nlevel = "debug"\n'


def read(text: str) -> list[dict[str, Any]]:
    """Each line, read as JSON."""
    return [json.loads(line) for line in text.splitlines()]


@pytest.mark.parametrize("part", ["serve", "receive", "dispatch", "sandbox"])
async def test_every_line_of_a_process_is_json(tmp_path: Path, part: str) -> None:
    """From its start to its end, at the most talkative level."""
    configure(tmp_path, an_endpoint("http://127.0.0.1:9/") + JSON)
    async with running(tmp_path, part) as server:
        await server.post(a_json_body(an_item(messageId="m-1")))
        await server.stop()

    started, *lines = read(server.out.text)
    assert started["message"] == f"listening on {server.url}"
    assert started.keys() == {"at", "level", "logger", "message"}
    assert any(line["message"].startswith("database ") for line in lines)
    assert lines[-1]["message"].startswith("stopping: ")
    assert read(server.err.text)


@pytest.mark.parametrize(
    ("settings", "fault"),
    [
        ("[server]\nport = 99999\n", "server.port: expected an integer"),
        ('[server]\nbind = "0.0.0.0"\n', "server.bind: 0.0.0.0 can be reached"),
        ('[store]\ndatabase = "no/dlr.db"\n', "cannot open the database no/dlr.db"),
    ],
)
async def test_what_refuses_a_start_is_json(tmp_path: Path, settings: str, fault: str) -> None:
    """Faults of the settings, and what is found out later."""
    configure(tmp_path, settings + JSON)

    ended = await dlr(tmp_path, "serve", "--port", "0")

    assert (ended.code, ended.out) == (2, "")
    (line,) = read(ended.err)
    assert line["level"] == "error"
    assert fault in line["message"]


_TROUBLES = """
import asyncio, logging, threading, warnings
from dispatcher.observe.logs import set_up
set_up("json", "info")
warnings.warn("a library is\\nold", DeprecationWarning)
logging.getLogger("some.library").warning("%s and %s", "one")
logging.getLogger("some.library").warning("odd", extra={"facts": {"object": object()}})

def fails():
    raise RuntimeError("in a\\nthread")

threading.Thread(target=fails).start()

async def forgets():
    async def lost():
        raise RuntimeError("in a task")
    asyncio.get_running_loop().call_soon(lambda: 1 / 0)
    task = asyncio.create_task(lost())
    await asyncio.sleep(0.05)
    del task

asyncio.run(forgets())

class Bad:
    def __del__(self):
        raise RuntimeError("in a destructor")

Bad()
raise RuntimeError("at the end")
"""


def test_what_the_interpreter_says_is_json() -> None:
    """Warnings, a log line with too few arguments, and exceptions that nobody caught: in a thread,
    in a callback and a task of asyncio, in a destructor, and at the end."""
    ended = subprocess.run(
        [sys.executable, "-W", "always", "-c", _TROUBLES],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )

    lines = read(ended.stderr)
    told = [f"{line['message']} {line.get('exception', '')}" for line in lines]
    assert (ended.returncode, ended.stdout) == (1, "")
    for text in (
        "DeprecationWarning: a library is",
        "could not be written",
        "odd",
        "in a\nthread",
        "ZeroDivisionError",
        "in a task",
        "in a destructor",
        "at the end",
    ):
        assert any(text in each for each in told), (text, told)
