"""The guides for operators are true: their commands run and print what is shown, in their order."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.dispatcher.observe.test_metrics import all_metrics
from tests.docs.documents import ROOT, blocks_of, shown_in, typed_in, words_of
from tests.docs.following import check
from tests.docs.test_blocks import faults_of_links, faults_of_mentioned
from tests.docs.typed_lines import fault_of_words
from tests.end_to_end.processes import an_endpoint, configure, running
from tests.receiver.payloads import V2_JSON

GUIDES = ("config/OPERATE.md", "config/TROUBLESHOOTING.md")


def text_of(guide: str) -> str:
    return (ROOT / guide).read_text("utf-8")


@pytest.mark.parametrize("guide", GUIDES)
async def test_the_commands_print_what_is_shown(guide: str, tmp_path: Path) -> None:
    """Beside a `dlr serve` that has taken a report."""
    async with running(tmp_path, "serve") as server:
        assert (await server.post(V2_JSON))[0] == 200
        port = server.url.rpartition(":")[2]
        configure(tmp_path, an_endpoint("http://127.0.0.1:9/") + f"[server]\nport = {port}\n")
        shown = [each for block in blocks_of(guide, text_of(guide)) for each in shown_in(block)]
        assert len(shown) > 3
        for command in shown:
            printed = command.printed.replace("http://127.0.0.1:8080", server.url)
            addresses = {"http://127.0.0.1:8080": server.url}
            await check(type(command)(command.typed, printed), tmp_path, addresses)


@pytest.mark.parametrize("guide", GUIDES)
def test_what_they_name_is_there(guide: str) -> None:
    """Commands in sentences and in blocks, links, metrics, and headings in the list above."""
    text = text_of(guide)
    assert faults_of_mentioned(guide, text) == []
    assert list(faults_of_links(ROOT / guide, text)) == []
    for block in blocks_of(guide, text):
        for typed in typed_in(block) if block.language == "sh" else ():
            for words in words_of(typed.text):
                if words[0] == "dlr":
                    assert fault_of_words(words[1:]) is None, typed


@pytest.mark.parametrize("guide", GUIDES)
def test_each_metric_that_they_name_exists(guide: str) -> None:
    """In tables as in sentences."""
    named = set(re.findall(r"`(dlr_\w+)`", text_of(guide)))
    assert named
    assert named <= all_metrics()
