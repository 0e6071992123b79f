"""Runs many `dlr` commands in one folder, each in a process of its own that this one forks.

What a command imports is imported once, before: starting a hundred of them anew takes minutes. Read
from stdin is JSON, a list of [words, environment]; printed is JSON, a list of [code, out, err].
"""

from __future__ import annotations

import json
import os
import signal
import sys
import tempfile
from collections.abc import Mapping, Sequence
from importlib import import_module
from typing import NoReturn

from dispatcher.cli import MODULES, main

SECONDS = 60
"""After which a command is killed."""


def _run(words: Sequence[str], environment: Mapping[str, str]) -> tuple[int, str, str]:
    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
        if (child := os.fork()) == 0:
            os.dup2(out.fileno(), 1)
            os.dup2(err.fileno(), 2)
            _become(words, environment)
        _, status = os.waitpid(child, 0)
        out.seek(0)
        err.seek(0)
        told = out.read().decode(), err.read().decode()
        return os.waitstatus_to_exitcode(status), *told


def _become(words: Sequence[str], environment: Mapping[str, str]) -> NoReturn:
    """The command, to its end, as `python -m dispatcher` has it."""
    signal.alarm(SECONDS)
    os.environ.update(environment)
    sys.argv = ["dlr", *words]
    code = 0
    try:
        main()
    except SystemExit as ended:
        code = ended.code if isinstance(ended.code, int) else 0 if ended.code is None else 1
    except BaseException:  # noqa: BLE001  (with --debug all come here, as to the interpreter)
        sys.excepthook(*sys.exc_info())
        code = 1
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


if __name__ == "__main__":
    for module in set(MODULES.values()):
        import_module(f"dispatcher.commands.{module}")
    os.environ["COLUMNS"] = "200"
    json.dump([_run(*each) for each in json.load(sys.stdin)], sys.stdout)
