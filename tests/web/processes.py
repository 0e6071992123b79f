"""A real `dlr` process for a browser to look at, and a customer's endpoint, both for synchronous
tests."""

from __future__ import annotations

import json
import subprocess
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.request import Request, urlopen

from tests.end_to_end.processes import LIMIT
from tests.forks import python


@dataclass
class Dlr:
    """A running process: where it listens, and what it has printed."""

    url: str
    folder: Path
    lines: list[str]
    token: str | None = None  # for `until_pushed`

    def ask(self, method: str, path: str, body: Any = None, token: str | None = None) -> Any:
        """The JSON that a request is answered with."""
        headers = {"Content-Type": "application/json"}
        if token is not None:
            headers["Authorization"] = f"Bearer {token}"
        data = None if body is None else json.dumps(body).encode()
        request = Request(self.url + path, data, headers, method=method)
        with urlopen(request, timeout=LIMIT) as response:
            return json.loads(response.read() or b"null")

    def until(self, path: str, holds: Callable[[Any], bool], token: str | None = None) -> Any:
        """What GET of this path answers, once `holds` says so of it."""
        end = time.monotonic() + LIMIT
        while not holds(answered := self.ask("GET", path, token=token)):
            assert time.monotonic() < end, answered
            threading.Event().wait(0.02)
        return answered

    def until_pushed(self, attempts: int) -> None:
        """Ask until as many attempts have been recorded."""

        def made(page: Any) -> bool:
            return bool(sum(each["attempts"] for each in page["dispatches"]) >= attempts)

        self.until("/api/dispatches?limit=1000", made, token=self.token)

    def post_reports(self, *reports: dict[str, Any], source: str = "default") -> None:
        self.ask("POST", f"/notify/{source}", {"results": list(reports)})


@contextmanager
def running(folder: Path, words: Sequence[str], config: str) -> Iterator[Dlr]:
    """A process until the block ends."""
    (folder / "dlr.toml").write_text(config, "utf-8")
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(
            python("dispatcher", *words, "--port", "0"),
            cwd=folder,
            stdout=subprocess.PIPE,
            stderr=log,
            text=True,
        )
    lines: list[str] = []
    listening = threading.Event()
    assert process.stdout is not None
    reader = threading.Thread(target=_read, args=(process.stdout, lines, listening))
    reader.start()
    try:
        listening.wait(LIMIT)
        urls = [line.split()[-1] for line in lines if line.startswith("listening on ")]
        assert urls, f"it does not listen: {(folder / 'log').read_text('utf-8')}"
        yield Dlr(urls[0], folder, lines)
    finally:
        process.terminate()
        try:
            process.wait(LIMIT)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        reader.join()
        process.stdout.close()


def _read(out: Any, lines: list[str], listening: threading.Event) -> None:
    for line in out:
        lines.append(line.rstrip("\n"))
        if line.startswith("listening on "):
            listening.set()
    listening.set()  # it has ended: whoever waits finds no such line


@dataclass
class Customer:
    """An endpoint of a customer: answers what it is told to, and keeps what it got."""

    url: str
    status: int = 200
    answer: str = ""
    got: list[Any] = field(default_factory=list)


@contextmanager
def customer() -> Iterator[Customer]:
    """On a free port of this machine."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            here.got.append(json.loads(body))
            self.send_response(here.status)
            answer = here.answer.encode()
            self.send_header("Content-Length", str(len(answer)))
            self.end_headers()
            self.wfile.write(answer)

        def log_message(self, *_: Any) -> None:
            """Says nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    here = Customer(f"http://127.0.0.1:{server.server_port}/dlr")
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield here
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
