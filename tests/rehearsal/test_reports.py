"""What a run is told as: JSON, JUnit, HTML and text, whatever the webhook says."""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime
from html.parser import HTMLParser
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest
from junitparser import Failure, JUnitXml, Skipped

from dispatcher.rehearsal.exchange import Exchange
from dispatcher.rehearsal.rehearsed import Rehearsed
from dispatcher.rehearsal.reports import html, json_report, junit, text
from dispatcher.rehearsal.verdict import VERDICTS, Result, Verdict

HOSTILE = "</code><script>alert(1)</script><img src=x onerror=alert(2)> \x1b[31m ]]> {{ 7*7 }} \x00"


def a_result(verdict: Verdict = "failed", said: str = "no") -> Result:
    exchange = Exchange(
        sent="1 report",
        seconds=0.004,
        status=500,
        headers={"content-type": said},
        body=said.encode(),
        size=len(said),
    )
    return Result(
        check=f"check-{verdict.replace(' ', '-')}",
        group="formats",
        asks="a report & more",
        verdict=verdict,
        text=f"a push was not accepted: {exchange}",
        sent=("1 report",),
        came=(str(exchange),),
        why="because",
        rule="a rule",
        document="a document",
        mend="so",
        seconds=0.5,
        measures={"p50Ms": 1.5},
    )


def a_run(*results: Result, **changes: Any) -> Rehearsed:
    settings: dict[str, Any] = {
        "url": "http://app/dlr",
        "seed": 7,
        "started_at": datetime(2026, 3, 2, 12, tzinfo=UTC),
        "seconds": 2.5,
        "verified": False,
        "results": results,
    }
    return Rehearsed(**{**settings, **changes})


EVERY = a_run(*(a_result(verdict) for verdict in VERDICTS))


def test_json() -> None:
    """JSON has the fields that the guide documents, and no others."""
    told = json.loads(json_report.render(EVERY))
    guide = (Path(json_report.__file__).parents[1] / "REHEARSE.md").read_text()
    documented = re.findall(r"^\| `(\w+)` \|", guide.split("## JSON")[1].split("\n## ")[0], re.M)

    assert len(documented) == len(set(documented))
    assert set(documented) == {*told, *told["checks"][0]}
    assert told["verdict"] == "failed"
    assert told["counts"] == dict.fromkeys(VERDICTS, 1)
    assert told["startedAt"] == "2026-03-02T12:00:00Z"
    assert told["checks"][0]["measures"] == {"p50Ms": 1.5}


def test_junit(tmp_path: Path) -> None:
    """JUnit is read by a reader of it: one failure, the unseen skipped, counts that agree."""
    file = tmp_path / "rehearsal.xml"
    file.write_text(junit.render(EVERY), "utf-8")
    (suite,) = JUnitXml.fromfile(str(file))

    assert (suite.name, suite.tests, suite.failures, suite.skipped) == ("formats", 5, 1, 2)
    kinds = {case.name: [type(each) for each in case.result] for case in suite}
    assert kinds == {
        "check-failed": [Failure],
        "check-weak": [],
        "check-passed": [],
        "check-answered-only": [Skipped],
        "check-not-judged": [Skipped],
    }
    properties = {
        each.get("name"): each.get("value") for each in ElementTree.parse(file).iter("property")
    }
    assert properties == {"url": "http://app/dlr", "seed": "7"}


def test_junit_holds_whatever_was_said(tmp_path: Path) -> None:
    """Control characters and markup of a webhook leave the XML readable."""
    file = tmp_path / "rehearsal.xml"
    file.write_text(junit.render(a_run(a_result(said=HOSTILE))), "utf-8")
    (suite,) = JUnitXml.fromfile(str(file))
    (case,) = suite

    assert "<script>alert(1)</script>" in case.result[0].message
    assert case.result[0].text.count("\x1b") == 0


class Page(HTMLParser):
    """Elements and attributes of a page."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.elements: set[str] = set()
        self.attributes: dict[str, set[str | None]] = {}
        self.words = ""
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.add(tag)
        for name, value in attrs:
            self.attributes.setdefault(name, set()).add(value)

    def handle_data(self, data: str) -> None:
        self.words += data


def test_html_is_safe() -> None:
    """Nothing that a webhook says becomes an element, and nothing is loaded or run."""
    page = Page(html.render(a_run(a_result(said=HOSTILE), a_result("passed", said=HOSTILE))))

    assert "<script>alert(1)</script>" in page.words  # as a text
    assert "{{ 7*7 }}" in page.words
    assert not page.elements & {"script", "img", "link", "iframe", "object", "a", "form"}
    assert not set(page.attributes) & {"src", "href", "style", "onerror", "onclick"}
    assert any("default-src 'none'" in (v or "") for v in page.attributes["content"])


def test_html_is_complete() -> None:
    """Each result is there with what was sent, what came, why, the rule and how to mend it."""
    words = Page(html.render(EVERY)).words

    for verdict in VERDICTS:
        assert f"check-{verdict.replace(' ', '-')}" in words
    for part in ("1 report", "500, no", "because", "a rule", "a document", "so", EVERY.summary):
        assert part in words


def test_text() -> None:
    """Text has a line for each check, all of what failed or is weak, and the verdict."""
    told = text.render(EVERY)

    assert "passed        check-passed" in told
    assert re.findall(r"^  mend   so$", told, re.M) == ["  mend   so"] * 2
    assert told.endswith(
        "verdict  failed\n1 failed, 1 weak, 1 passed, 1 answered only, 1 not judged in 2.5 s\n"
    )
    assert "\x1b" not in text.render(a_run(a_result(said=HOSTILE)))


@pytest.mark.parametrize(
    ("verdicts", "fault", "whole"),
    [
        (["passed", "weak", "not judged"], None, "weak"),
        (["passed", "answered only"], None, "passed"),
        (["passed", "failed", "weak"], None, "failed"),
        (["not judged"], None, "not judged"),
        (["not judged"], "connection refused", "failed"),
        ([], None, "not judged"),
    ],
)
def test_the_whole(verdicts: list[Verdict], fault: str | None, whole: str) -> None:
    """A run is as good as its worst check; one that did not get in has failed."""
    assert a_run(*map(a_result, verdicts), fault=fault).verdict == whole
