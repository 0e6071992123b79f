"""Each block of the documents is true: lines can be typed, settings read, programs compiled.

Guides are followed by test_readme.py and test_guides_….py (`console`, `sh`). Transcripts of
failures are run by tests/rehearsal/test_command.py (`text`), programs by
tests/sdk/test_readme.py and tests/sdk/test_testing_guide.py (`js`, `python`).
"""

from __future__ import annotations

import asyncio
import re
import shlex
import tomllib
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import pytest

from dispatcher.service import Parts
from dispatcher.settings.settings import Settings, read_settings
from dispatcher.simulation.scenario import Scenario, read_scenario
from receiver.settings.configuration import ConfigurationError
from receiver.settings.settings import ServerSettings
from tests.docs.documents import DOCUMENTS, ROOT, Block, Typed, blocks, prose, typed_in, words_of
from tests.docs.following import NOT_RUN
from tests.docs.test_deploy import checked, tool
from tests.docs.test_openapi import described, served
from tests.docs.typed_lines import (
    Document,
    Request,
    fault_of_dlr,
    fault_of_request,
    fault_of_words,
    request_of,
)

FOLLOWED = {
    "config/UPGRADE.md": "tests/end_to_end/test_upgrade.py and test_moving.py type its lines"
}

LANGUAGES = {"console", "sh", "text", "toml", "python", "js", "yaml", "sql", ""}
"""Those that a test looks into. Blocks without a language are drawings."""


def test_each_block_is_looked_at() -> None:
    """A block in another language needs a test first."""
    assert {each.language for each in blocks()} == LANGUAGES


def typed_in_a_drawing(drawn: Iterable[Block]) -> list[str]:
    return [str(each) for each in drawn if re.search(r"^(\$|dlr|curl) ", each.text, re.MULTILINE)]


def test_no_drawing_has_what_is_typed() -> None:
    """A command in a block without a language would not be looked at."""
    planted = [Block("x", 1, "", "a ──▶ b\n"), Block("x", 5, "", "$ dlr serve\n")]

    assert typed_in_a_drawing(planted) == ["x:5"]
    assert typed_in_a_drawing(blocks("")) == []


# --- lines that are typed ----------------------------------------------------------------------


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working directory with the files that the lines name."""
    (tmp_path / "config").symlink_to(ROOT / "config")
    (tmp_path / "outage.capsule").touch()
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture(scope="module")
def document(tmp_path_factory: pytest.TempPathFactory) -> Document:
    """What `dlr sandbox` says of its API."""

    async def asked() -> Document:
        folder = tmp_path_factory.mktemp("document")
        async with served(folder, parts=Parts(sandbox=True)) as (_, client):
            return await described(client)

    return asyncio.run(asked())


@pytest.mark.parametrize(
    "typed",
    [each for block in blocks("sh") if block.file not in FOLLOWED for each in typed_in(block)],
    ids=lambda each: each.place,
)
@pytest.mark.usefixtures("folder")
def test_each_line_can_be_typed(document: Document, typed: Typed) -> None:
    """`dlr` takes its words, the API takes what `curl` sends, and the rest is known."""
    assert not list(faults_of_line(typed.text, document)), f"{typed.place}: {typed.text}"


def faults_of_line(line: str, document: Document) -> Iterator[str]:
    for program, *words in words_of(line):
        for word in words:
            if word.startswith("config/") and not (ROOT / word).exists():
                yield f"there is no {word}"
        if program in ("dlr", ".venv/bin/dlr"):
            fault = fault_of_dlr(words)
        elif program == "curl":
            fault = fault_of_request(request_of(words), document)
        else:
            known = " ".join([program, *words]) in NOT_RUN
            fault = None if known else f"{program}: nobody looks at it; NOT_RUN has no reason"
        if fault is not None:
            yield fault


@pytest.mark.parametrize(
    ("line", "fault"),
    [
        ("dlr serve --prot 80", "No such option '--prot'"),
        ("dlr serv", "there is no command dlr serv"),
        ("dlr endpoints add beta --url https://a.example --sett x=1", "No such option '--sett'"),
        ("dlr endpoints ad beta", "there is no command dlr endpoints ad"),
        ("dlr endpoints add", "Missing argument"),
        ("dlr replays start --state lost", "'lost' is not one of"),
        ("dlr listen --port many", "'many' is not a valid"),
        ("dlr simulate config/scenarios/no.toml", "there is no config/scenarios/no.toml"),
        ("dlr check config/dlr.toml", "unexpected extra argument"),
        ("true && dlr check --strict", "No such option '--strict'"),
        ("curl http://127.0.0.1:8080/api/report", "there is no GET /api/report"),
        ("curl -X DELETE http://127.0.0.1:8080/api/reports", "there is no DELETE /api/reports"),
        ("curl http://127.0.0.1:8080/api/reports?limits=1", "/api/reports takes no limits"),
        ("curl http://127.0.0.1:8080/api/endpoints -d '{\"name\":5}'", '"url" is a required'),
        ("curl http://127.0.0.1:8080/api/replays -d '{\"ids\":}'", "Expecting value"),
        ("wget http://127.0.0.1:8080/", "wget: nobody looks at it"),
    ],
)
@pytest.mark.usefixtures("folder")
def test_a_line_that_cannot_be_typed_is_told(document: Document, line: str, fault: str) -> None:
    """An option, a command, a value, a path, a parameter or a body that is not known."""
    assert fault in " ".join(faults_of_line(line, document))


def test_an_option_of_curl_that_is_not_looked_at_is_told() -> None:
    """What changes a request must be understood here first."""
    with pytest.raises(ValueError, match="--upload-file"):
        request_of(["--upload-file", "x", "http://127.0.0.1:8080/notify"])
    with pytest.raises(ValueError, match="unrecognized arguments: more"):
        request_of(["http://127.0.0.1:8080/notify", "more"])


def test_what_curl_sends() -> None:
    """As curl has it: a body makes a POST."""
    words = ["-s", "http://127.0.0.1:8080/x?a=1&b=", "-H", "Content-Type:text/plain", "-d", "{}"]

    assert request_of(words) == Request("POST", "/x", ["a", "b"], "text/plain", "{}")
    assert request_of(["http://127.0.0.1:8080/x"]) == Request("GET", "/x")


def test_what_is_not_run_is_in_the_documents() -> None:
    """Nothing is left over in the list."""
    lines = {
        " ".join(words)
        for block in blocks("sh")
        for typed in typed_in(block)
        for words in words_of(typed.text)
    }

    assert NOT_RUN.keys() <= lines


def mentioned(file: str, text: str) -> list[tuple[str, str]]:
    """Each `dlr …` in a sentence or a table, with its place."""
    return [
        (f"{file}:{number}", found)
        for number, line in enumerate(prose(text).splitlines(), 1)
        for found in re.findall(r"`(dlr [^`]+)`", line)
    ]


def faults_of_mentioned(file: str, text: str) -> list[str]:
    return [
        f"{place}: {line}: {fault}"
        for place, line in mentioned(file, text)
        if (fault := fault_of_words(shlex.split(line.rstrip(" …"))[1:])) is not None
    ]


SETTINGS_AND_SCENARIOS = sorted(
    path.relative_to(ROOT).as_posix() for path in (ROOT / "config").rglob("*.toml")
)


@pytest.mark.parametrize("file", [*DOCUMENTS, *SETTINGS_AND_SCENARIOS])
def test_each_command_in_a_sentence_exists(file: str) -> None:
    """With its options; for values there may stand words."""
    assert faults_of_mentioned(file, (ROOT / file).read_text("utf-8")) == []


def test_commands_are_mentioned() -> None:
    """So the test above looks at something."""
    found = [
        each for file in DOCUMENTS for each in mentioned(file, (ROOT / file).read_text("utf-8"))
    ]

    assert len(found) > 50


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("Use `dlr serv`.", "x:1: dlr serv: there is no command dlr serv"),
        ("| `dlr replays show --cofig F ID` |", "No such option '--cofig'"),
        ("`dlr demo`\nand `dlr check FILE`", "x:2: dlr check FILE: dlr check takes no FILE"),
        ("`dlr endpoints --cofig F`", "No such option '--cofig'"),
    ],
)
def test_a_command_in_a_sentence_that_is_not_there_is_told(text: str, fault: str) -> None:
    """And where."""
    (told,) = faults_of_mentioned("x", text)

    assert fault in told


# --- links -------------------------------------------------------------------------------------


def anchors(text: str) -> set[str]:
    """The headings of a document as GitHub makes anchors of them."""
    titles = re.findall(r"^#+ (.*)$", prose(text), re.MULTILINE)
    return {re.sub(r"[^\w -]", "", title.lower()).replace(" ", "-") for title in titles}


def faults_of_links(file: Path, text: str) -> Iterator[str]:
    for target in re.findall(r"\]\(([^)\s]+)\)", prose(text)):
        path, _, anchor = target.partition("#")
        if re.match("https?://", target):
            continue
        linked = file.parent / path if path else file
        if not linked.exists():
            yield f"there is no {path}"
        elif anchor and anchor not in anchors(linked.read_text("utf-8") if path else text):
            yield f"{linked.name} has no heading #{anchor}"


ON_GITHUB = [f".github/{name}.md" for name in ("CONTRIBUTING", "SECURITY", "CHANGELOG")]


@pytest.mark.parametrize("file", [*DOCUMENTS, *ON_GITHUB])
def test_each_link_leads_somewhere(file: str) -> None:
    """To a file of the project, and a heading of it."""
    assert list(faults_of_links(ROOT / file, (ROOT / file).read_text("utf-8"))) == []


@pytest.mark.parametrize(
    ("text", "faults"),
    [
        ("[a](nowhere.md)", ["there is no nowhere.md"]),
        ("# One\n[a](#two)", ["x.md has no heading #two"]),
        ("[a](other.md#the-one)", ["other.md has no heading #the-one"]),
        ("# Once, or twice?\n[a](#once-or-twice) [b](other.md#one) [c](https://a.example/)", []),
    ],
)
def test_a_link_that_leads_nowhere_is_told(tmp_path: Path, text: str, faults: list[str]) -> None:
    """A file or a heading that is not there."""
    (tmp_path / "other.md").write_text("## One\n")
    (tmp_path / "x.md").write_text(text)

    assert list(faults_of_links(tmp_path / "x.md", text)) == faults


# --- settings and scenarios --------------------------------------------------------------------


AN_ENDPOINT = '[[endpoint]]\nname = "acme"\nurl = "https://acme.example/dlr"\n'

SECRETS = {
    "whsec_…": "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",
    'sha256 = "…"': f'sha256 = "{"0" * 64}"',
    '"…"': '"something"',
}
"""What a document leaves out, and something to stand for it."""


def read(text: str, folder: Path) -> Settings | Scenario:
    """A block, read by whatever reads such a file. Raises ConfigurationError."""
    for left_out, value in SECRETS.items():
        text = text.replace(left_out, value)
    table: dict[str, Any] = tomllib.loads(text)
    if isinstance(part := table.get("endpoint"), dict) and part.keys() <= {"outcome", "security"}:
        text = AN_ENDPOINT + text  # it stands below its [[endpoint]]
    file = folder / "block.toml"
    file.write_text(text, "utf-8")
    return read_scenario(file) if "duration" in table else read_settings(file, {})


@pytest.mark.parametrize("block", blocks("toml"), ids=str)
def test_each_block_of_toml_is_read(tmp_path: Path, block: Block) -> None:
    """By the reader of the settings, or of scenarios; and it changes something."""
    found = read(block.text, tmp_path)

    assert found != Settings()


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ('[server]\nbnid = "::1"', "server.bnid: there is no such setting"),
        ('[[endpoint]]\nname = "a"', "endpoint[0].url: expected"),
        ('[endpoint.outcome]\nacknowledge = ["2yy"]', "outcome.acknowledge"),
        ('duration = "1h"\nseeed = 3', "seeed: there is no such setting"),
        ('duration = "1h"\n[[phase]]\nbehaves = "sulks"', "phase[0].behaves: expected"),
    ],
)
def test_a_block_of_toml_that_cannot_be_read_is_told(tmp_path: Path, text: str, fault: str) -> None:
    """A setting that is unknown, missing or wrong."""
    with pytest.raises(ConfigurationError) as told:
        read(text, tmp_path)

    assert fault in str(told.value)


# --- programs and data -------------------------------------------------------------------------


@pytest.mark.parametrize("block", blocks("python"), ids=str)
def test_each_block_of_python_compiles(block: Block) -> None:
    """Whatever its examples leave to the reader."""
    compile(block.text, str(block), "exec")


@pytest.mark.parametrize("block", blocks("yaml"), ids=str)
def test_each_block_of_yaml_is_a_configuration_of_prometheus(block: Block, tmp_path: Path) -> None:
    """With the rules beside it; it scrapes where dlr listens."""
    promtool = tool("promtool", "apt-get install prometheus")
    (tmp_path / "alerts.yml").symlink_to(ROOT / "config" / "deploy" / "alerts.yml")
    (tmp_path / "prometheus.yml").write_text(block.text, "utf-8")

    assert "SUCCESS" in checked(promtool, "check", "config", tmp_path / "prometheus.yml")
    assert f"127.0.0.1:{ServerSettings().port}" in block.text
