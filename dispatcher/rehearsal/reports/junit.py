"""The run as JUnit XML, which GitHub, GitLab and Jenkins show.

A weak check is a success with words in `system-out`: a build must not fail for it. What was only
answered or not judged is skipped, with the reason.
"""

from __future__ import annotations

from itertools import groupby
from xml.etree.ElementTree import Element, SubElement, indent, tostring

from dispatcher.rehearsal.rehearsed import Rehearsed
from dispatcher.rehearsal.verdict import Result


def render(run: Rehearsed) -> str:
    root = Element("testsuites", {"name": "dlr rehearse", **_counts(run.results)})
    for group, results in groupby(run.results, lambda result: result.group):
        _add_suite(root, run, group, tuple(results))
    indent(root)
    return '<?xml version="1.0" encoding="UTF-8"?>\n' + tostring(root, "unicode") + "\n"


def _counts(results: tuple[Result, ...]) -> dict[str, str]:
    return {
        "tests": str(len(results)),
        "failures": str(sum(result.verdict == "failed" for result in results)),
        "errors": "0",
        "skipped": str(sum(_is_skipped(result) for result in results)),
        "time": f"{sum(result.seconds for result in results):.3f}",
    }


def _is_skipped(result: Result) -> bool:
    return result.verdict in ("answered only", "not judged")


def _add_suite(root: Element, run: Rehearsed, group: str, results: tuple[Result, ...]) -> None:
    at = run.started_at.strftime("%Y-%m-%dT%H:%M:%S")
    suite = SubElement(root, "testsuite", {"name": group, "timestamp": at, **_counts(results)})
    properties = SubElement(suite, "properties")
    for name, value in (("url", run.url), ("seed", str(run.seed))):
        SubElement(properties, "property", name=name, value=value)
    for result in results:
        _add_case(suite, result)


def _add_case(suite: Element, result: Result) -> None:
    case = SubElement(
        suite,
        "testcase",
        classname=f"rehearsal.{result.group}",
        name=result.check,
        time=f"{result.seconds:.3f}",
    )
    if result.verdict == "failed":
        SubElement(case, "failure", message=result.text, type="failed").text = str(result)
    elif _is_skipped(result):
        SubElement(case, "skipped", message=f"{result.verdict}: {result.text}")
    else:
        SubElement(case, "system-out").text = str(result)
