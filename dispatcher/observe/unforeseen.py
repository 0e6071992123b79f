"""Errors that nobody has foreseen: how they are logged, and what the history says of them."""

from __future__ import annotations

import logging
from pathlib import Path
from traceback import extract_tb

log = logging.getLogger("dlr.dispatcher")


def tell_unforeseen(what: str, error: BaseException) -> None:
    """In one line, and without the error's text, which may hold a secret. The rest at `debug`."""
    frames = extract_tb(error.__traceback__)
    where = f" ({Path(frames[-1].filename).name}:{frames[-1].lineno})" if frames else ""
    log.error("%s; this is a defect of dlr: %s%s", what, type(error).__name__, where)
    log.debug("%s", what, exc_info=error)


def unforeseen(error: BaseException) -> str:
    """The text of an attempt that such an error has ended."""
    return f"unforeseen: {type(error).__name__}"
