"""`dlr` beside what others would use: an afternoon's receiver, Celery with Redis, Jasmin's thrower.

Rounds alternate. Pushes go one by one, 32 at a time, to an endpoint that answers at once.
"""

from __future__ import annotations

import importlib.util
import os
import random
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NamedTuple

from tests.benchmarks.bodies import body
from tests.benchmarks.load import Load, load
from tests.benchmarks.processes import Running, cpu_seconds, dlr, server
from tests.benchmarks.push import WINDOW, Rates, await_pushes, dispatched
from tests.benchmarks.results import Row, arguments, print_rows
from tests.benchmarks.sink import received

AFTERNOON = "FastAPI + SQLAlchemy"
CELERY = "Celery + Redis"
JASMIN = "Jasmin's thrower"

RECEIVER = "tests.benchmarks.others.afternoon"
TASKS = "tests.benchmarks.others.celery_tasks"
PUSH = f"{TASKS}.push"
THROWER = Path(__file__).with_name("jasmin_thrower.py")
JASMIN_PYTHON = os.environ.get("JASMIN_PYTHON", "")


def _lacks(*packages: str) -> list[str]:
    return [name for name in packages if importlib.util.find_spec(name) is None]


def missing() -> dict[str, str]:
    """Which of the others cannot run here, and why."""
    found: dict[str, str] = {}
    if lacking := _lacks("fastapi", "uvicorn", "sqlalchemy"):
        found[AFTERNOON] = f"no {', '.join(lacking)} (pip install '.[bench]')"
    if lacking := _lacks("celery", "redis", "urllib3"):
        found[CELERY] = f"no {', '.join(lacking)} (pip install '.[bench]')"
    elif shutil.which("redis-server") is None:
        found[CELERY] = "no redis-server (Debian's package of this name)"
    if not JASMIN_PYTHON:
        found[JASMIN] = "JASMIN_PYTHON does not name the interpreter of an environment with jasmin"
    return found


def rows(*, rounds: int, seconds: float, pushes: int) -> Iterator[Row]:
    left_out = missing()
    if AFTERNOON not in left_out:
        yield from _receivers(rounds, seconds)
    yield from _dispatchers(rounds, pushes, left_out)


def _receivers(rounds: int, seconds: float) -> Iterator[Row]:
    ours: list[Load] = []
    theirs: list[Load] = []
    with (
        TemporaryDirectory() as folder,
        dlr("receive", Path(folder, "dlr.db")) as receiver,
        server([RECEIVER, str(Path(folder, "afternoon.db"))]) as afternoon,
    ):
        for _ in range(rounds):
            ours.append(load(receiver, "json", seconds=seconds))
            theirs.append(load(afternoon, "json", seconds=seconds))
    assert not any(each.refused for each in (*ours, *theirs))
    for what, figure in (("JSON, 1 a request", "rate"), ("  by CPU", "cpu_rate")):
        yield Row(
            what=what,
            measured=[getattr(each, figure) for each in ours],
            unit="/s",
            ceiling=AFTERNOON,
            beside=[getattr(each, figure) for each in theirs],
        )


Way = Callable[[Running, int], tuple[float, float]]
"""Makes so many pushes to a sink: the seconds from the first to the last, and those of CPU."""


def _dispatchers(rounds: int, pushes: int, left_out: Mapping[str, str]) -> Iterator[Row]:
    ours = Rates([], [])
    with server(["tests.benchmarks.sink"]) as sink, ExitStack() as stack:
        ways: dict[str, Way] = {}
        if CELERY not in left_out:
            ways[CELERY] = partial(_celery, stack.enter_context(_worker()))
        if JASMIN not in left_out:
            ways[JASMIN] = _jasmin
        theirs = {name: Rates([], []) for name in ways}
        for _ in range(rounds if ways else 0):
            ours.add(pushes, *_dlr(sink, pushes))
            for name, way in ways.items():
                theirs[name].add(pushes, *way(sink, pushes))
    for name, rates in theirs.items():
        for what, figure in (("push, 1 report each", "passed"), ("  by CPU", "cpu")):
            yield Row(
                what=what,
                measured=getattr(ours, figure),
                unit="/s",
                ceiling=name,
                beside=getattr(rates, figure),
            )


def _dlr(sink: Running, pushes: int) -> tuple[float, float]:
    with TemporaryDirectory() as folder:
        return dispatched(Path(folder, "dlr.db"), sink, pushes, 1)


class Worker(NamedTuple):
    """A worker of Celery's, and the broker through which it is given tasks."""

    pid: int
    broker: str


@contextmanager
def _worker() -> Iterator[Worker]:
    with TemporaryDirectory() as folder, _redis(folder) as broker:
        words = ["celery", "-A", TASKS, "worker", "--pool", "threads", "--loglevel", "ERROR"]
        words += ["--concurrency", str(WINDOW), "--without-gossip", "--without-mingle"]
        environment = {**os.environ, "PUSHES_REDIS": broker}
        with _process([sys.executable, "-m", *words], environment) as worker:
            yield Worker(worker.pid, broker)


@contextmanager
def _redis(folder: str) -> Iterator[str]:
    """A Redis that keeps what it is told on the disk, flushed each second, and its address."""
    words = ["redis-server", "--port", "0", "--unixsocket", f"{folder}/redis.sock"]
    words += ["--dir", folder, "--save", "", "--appendonly", "yes"]
    with _process(words, dict(os.environ)) as process:
        assert process.stdout is not None
        if not any("ready to accept connections" in line for line in process.stdout):
            raise RuntimeError("redis-server ended before it was ready")
        yield f"redis+socket://{folder}/redis.sock"


@contextmanager
def _process(words: list[str], environment: dict[str, str]) -> Iterator[subprocess.Popen[str]]:
    out, err = subprocess.PIPE, subprocess.DEVNULL
    with subprocess.Popen(words, stdout=out, stderr=err, text=True, env=environment) as process:
        try:
            yield process
        finally:
            process.terminate()


def _celery(worker: Worker, sink: Running, pushes: int) -> tuple[float, float]:
    """The CPU is the worker's, without Redis and without what hands the tasks in."""
    from celery import Celery

    rng = random.Random(1)
    app = Celery(broker=worker.broker)
    received(sink, restart=True)
    app.send_task(PUSH, (sink.url, "{}"))  # a worker that has made a push has started
    await_pushes(sink, 1)
    received(sink, restart=True)
    before = cpu_seconds(worker.pid)
    for _ in range(pushes):
        app.send_task(PUSH, (sink.url, body("json", 1, rng).decode()))
    await_pushes(sink, pushes)
    cpu = cpu_seconds(worker.pid) - before
    app.close()
    return received(sink, restart=True).seconds, cpu


def _jasmin(sink: Running, pushes: int) -> tuple[float, float]:
    received(sink, restart=True)
    words = [JASMIN_PYTHON, str(THROWER), sink.url, str(pushes)]
    done = subprocess.run(words, stdout=subprocess.PIPE, check=True, timeout=600)
    return received(sink, restart=True).seconds, float(done.stdout)


def main() -> None:
    parser = arguments(__doc__, rounds=3)
    parser.add_argument("--seconds", type=float, default=3.0)
    parser.add_argument("--pushes", type=int, default=5_000)
    given = parser.parse_args()
    print_rows(rows(rounds=given.rounds, seconds=given.seconds, pushes=given.pushes))
    print_missing()


def print_missing() -> None:
    for name, reason in missing().items():
        print(f"left out: {name}: {reason}")


if __name__ == "__main__":
    main()
