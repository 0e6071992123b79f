"""The programs with which the provider's documents show how to send, in each of their languages.

tests/data/sandbox/samples has them as they stand in the documents S1, S2 and S3 (S0 and S4 show
bodies only: tests/sandbox/test_seed_samples.py). Those in curl, PHP, Ruby, Python and JavaScript
are run: only their address is another, without TLS, and a placeholder is filled in. Of those in
Java, C# and Go, and of the one for jQuery, which wants a browser, the request is taken and sent; so
are the requests that are shown as HTTP. Each is answered as its document shows.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Mapping
from http.client import HTTPConnection
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import xmltodict

from dispatcher.sandbox.pytest_plugin import DlrSandbox
from tests.end_to_end.processes import LIMIT
from tests.sandbox.test_seed_samples import DATA, documented, from_xml, without_ids
from tests.sdk.driven import missing, node_modules_with

SAMPLES = {each.name: each.read_text("utf-8") for each in sorted((DATA / "samples").iterdir())}


def addressed(text: str, base_url: str) -> str:
    """A program or request of the documents that speaks to the sandbox."""
    host, _, port = base_url.removeprefix("http://").partition(":")
    text = re.sub(r"https?://(?:api\.infobip|example)\.com", base_url, text)
    for pattern, instead in (
        # A shell wants its lines joined: in one of S1's programs no line is.
        (r" ?\\?\n -(?=[Hd] )", " -"),
        # Python, Ruby and Node speak TLS on purpose.
        (r'HTTPSConnection\("[a-z.]+"\)', f'HTTPConnection("{host}:{port}")'),
        (r"use_ssl = true", "use_ssl = false"),
        # Python 3 sends no text that is not of Latin-1, as S3's is not.
        (r"payload, headers\)", "payload.encode(), headers)"),
        (r"\('follow-redirects'\)\.https", "('follow-redirects').http"),
        (r"'hostname': 'example\.com'", f"'hostname': '{host}', 'port': {port}"),
    ):
        text = re.sub(pattern, instead, text)
    return text


# --- programs that are run -----------------------------------------------------------------------

COMMANDS: dict[str, tuple[str, list[str]]] = {
    "curl": ("curl", ["sh", "PROGRAM"]),
    "php": ("php", ["php", "PROGRAM"]),
    "ruby": ("ruby", ["ruby", "PROGRAM"]),
    "python": (sys.executable, [sys.executable, "PROGRAM"]),
    "node": ("node", ["node", "PROGRAM"]),
    "javascript": ("node", ["node", "--require", "BROWSER", "PROGRAM"]),
}
"""By language: what must be installed, and how a program is run."""

BROWSER = 'global.XMLHttpRequest = require("xmlhttprequest-ssl").XMLHttpRequest;\n'
"""What a program for browsers finds there."""

MODULES = ("follow-redirects@1.15.9", "xmlhttprequest-ssl@2.1.2")


@pytest.fixture(scope="module")
def modules(request: pytest.FixtureRequest) -> Path:
    return node_modules_with(" ".join(MODULES), request.config.cache.mkdir("samples-node"))


def run(language: str, text: str, folder: Path, modules: Path) -> str:
    """What a program prints."""
    needed, command = COMMANDS[language]
    if shutil.which(needed) is None:
        missing(f"{needed} is missing; .ci/run installs it")
    files = {"PROGRAM": folder / "program", "BROWSER": folder / "browser.js"}
    files["PROGRAM"].write_text(text, "utf-8")
    files["BROWSER"].write_text(BROWSER, "utf-8")
    done = subprocess.run(
        [str(files.get(word, word)) for word in command],
        env={**os.environ, "NODE_PATH": str(modules)},
        capture_output=True,
        text=True,
        timeout=LIMIT,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


# --- programs whose request is taken -------------------------------------------------------------


class Request(NamedTuple):
    path: str
    headers: Mapping[str, str]
    body: str


def taken(language: str, text: str) -> Request:
    """The request of a program, or of one that is shown as HTTP."""
    if language.startswith("http"):
        return _shown(text)
    path = re.search(r"//(?:example|api\.infobip)\.com(/sms/\S+?)\"", text)
    assert path
    if language == "jquery":
        named = re.search(r'"headers": (\{.*?\})', text, re.DOTALL)
        assert named
        return Request(path[1], json.loads(named[1]), _literal(language, text))
    headers = dict(re.findall(r'(?i)(?:header|Header\.Add)\("([\w-]+)", "(.+?)"\)', text))
    return Request(path[1], headers, _literal(language, text))


def _shown(text: str) -> Request:
    """Some have an empty line before the body, and some have lost it."""
    first, *lines = text.split("\n")
    headers = {}
    while re.match(r"[\w-]+: ", lines[0]):
        name, _, value = lines.pop(0).partition(": ")
        headers[name] = value
    del headers["Host"]
    return Request(first.split()[1], headers, "\n".join(lines).strip())


def _literal(language: str, text: str) -> str:
    """The longest text in a program: its body."""
    body: str
    if language == "go":
        body = max(re.findall(r"`([^`]*)`", text), key=len)
        return body
    if language == "jquery":
        return text.partition("JSON.stringify(")[2].rpartition("),\n};")[0]
    if verbatim := re.search(r'@"((?:[^"]|"")*)"', text):
        return verbatim[1].replace('""', '"')
    longest = max(re.findall(r'"((?:[^"\\]|\\.)*)"', text), key=len)
    body = json.loads(f'"{longest}"')
    return body


def sent(request: Request, base_url: str) -> str:
    """The body of the answer."""
    connection = HTTPConnection(base_url.removeprefix("http://"), timeout=LIMIT)
    try:
        connection.request("POST", request.path, request.body.encode(), dict(request.headers))
        return connection.getresponse().read().decode()
    finally:
        connection.close()


# --- what the documents answer -------------------------------------------------------------------

AS_OF_S1 = "MESSAGE_ACCEPTED"
AS_OF_S2 = "PENDING_ENROUTE"


def expected(name: str) -> Any:
    """The answer that the document shows, with the numbers that its request really names."""
    document, language = name.split(".")
    answer = documented(document)
    if document == "s2" and language == "python":
        # It posts to /sms/2/binary/advanced, where S0 shows no counts.
        for message in answer["messages"]:
            message.pop("smsCount", None)
    if name == "s3.http-xml":
        del answer["trackingProcessKey"]  # this one asks for no tracking
    return answer


def read(answer: str) -> Any:
    """JSON, or XML as JSON."""
    if answer.lstrip().startswith("<"):
        return from_xml(xmltodict.parse(answer)["smsResponse"])
    return json.loads(answer)


def _without_keys(answer: Any) -> Any:
    """The sandbox makes another key of tracking each time."""
    key = answer.get("trackingProcessKey")
    assert key is None or re.fullmatch("[0-9A-F]{32}", key)
    return {**answer, "trackingProcessKey": key and "made"}


@pytest.mark.parametrize("name", SAMPLES)
def test_each_sample(name: str, dlr_sandbox: DlrSandbox, modules: Path, tmp_path: Path) -> None:
    """A program of the documents sends, and what it is answered is what its document shows."""
    document, language = name.split(".")
    if not document.startswith("s3"):
        answered = AS_OF_S2 if document == "s2" else AS_OF_S1
        dlr_sandbox.outcome(answered=answered)
    text, url = SAMPLES[name].replace("{authorization}", "App key"), dlr_sandbox.base_url

    if language in COMMANDS:
        answer = run(language, addressed(text, url), tmp_path, modules)
    else:
        answer = sent(taken(language, text), url)

    assert _without_keys(without_ids(read(answer))) == _without_keys(expected(name))
    asked_in_xml = "xml" in name or name == "s1-one.http-json"
    assert answer.lstrip().startswith("<") == asked_in_xml
