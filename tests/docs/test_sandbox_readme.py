"""dispatcher/sandbox/SANDBOX.md names the magic recipients that there are."""

from __future__ import annotations

import re
from pathlib import Path

from dispatcher.sandbox.messages.outcomes import MAGIC

GUIDE = Path(__file__).parents[2] / "dispatcher" / "sandbox" / "SANDBOX.md"


def test_magic_recipients() -> None:
    """The table has each magic recipient, in the words of the code, and no other."""
    rows = re.findall(r"^\| (447700900\d{3}) \| (.*) \|$", GUIDE.read_text(), re.MULTILINE)

    assert rows == [(number, words) for number, (_, words) in MAGIC.items()]
