"""Which alerts would fire, judged by the process's own figures of now. Pure.

The rules are those of config/deploy/alerts.yml, in its order; a test holds this table to the file.
Prometheus judges them over time and over all processes, and stays the one that alerts. What needs a
history is not judged here, unless the counts since the process began rule it out.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Annotated, Final, Literal

from msgspec import Meta, Struct
from prometheus_client import Metric

from receiver.answers import Count

_NEEDS_PROMETHEUS = "not judged here: needs Prometheus"
_HOUR = 3_600


class Alert(Struct, frozen=True, rename="camel"):
    """One of the alerts, as this process judges it."""

    name: str
    severity: Literal["page", "ticket"]
    summary: Annotated[str, Meta(description="what is the matter while it fires")]
    runbook: Annotated[str, Meta(description="what to know and to do")]
    expression: Annotated[str, Meta(description="what Prometheus evaluates (PromQL)")]
    for_seconds: Annotated[
        Count, Meta(description="Prometheus alerts once the condition has held for this long")
    ]
    firing: Annotated[
        bool | None,
        Meta(description="whether the condition holds now; null: this process cannot tell"),
    ]
    subjects: Annotated[
        Sequence[str],
        Meta(description="for which endpoints, or kinds of places, it fires; the worst first"),
    ]
    judged_by: Annotated[str, Meta(description="the figure, or why there is none")]


class _Verdict(Struct, frozen=True):
    firing: bool | None
    judged_by: str
    subjects: Sequence[str] = ()


Labels = Mapping[str, str]


class _Unmeasured(Exception):
    """This process has no such metric."""


_Judge = Callable[["_Figures"], _Verdict]


class _Figures:
    """The samples of a registry, as the judges ask for them. NaN is none: nobody can know it."""

    def __init__(self, families: Iterable[Metric]) -> None:
        # By the name of the sample. A metric that has no sample yet is there, with none.
        self._samples: dict[str, list[tuple[Labels, float]]] = defaultdict(list)
        for family in families:
            total = "_total" if family.type == "counter" else ""
            self._samples.setdefault(family.name + total, [])
            for sample in family.samples:
                if not math.isnan(sample.value):
                    self._samples[sample.name].append((sample.labels, sample.value))

    def of(self, name: str) -> Sequence[tuple[Labels, float]]:
        """Raises _Unmeasured."""
        if name not in self._samples:
            raise _Unmeasured
        return self._samples[name]

    def by(self, name: str, label: str) -> Mapping[str, float]:
        """The largest value for each value of a label; of a gauge without labels under ""."""
        found: dict[str, float] = {}
        for labels, value in self.of(name):
            subject = labels.get(label, "")
            found[subject] = max(value, found.get(subject, value))
        return found


def _cannot_tell(_: _Figures) -> _Verdict:
    return _Verdict(None, _NEEDS_PROMETHEUS)


def _not_ready(figures: _Figures) -> _Verdict:
    ready = figures.by("dlr_ready", "")[""]
    return _Verdict(ready == 0, f"dlr_ready is {_text(ready)}")


def _above(name: str, limit: float, label: str = "", *, unit: str = "") -> _Judge:
    """A gauge above its limit, for each value of a label."""

    def judge(figures: _Figures) -> _Verdict:
        found = figures.by(name, label)
        return _worst(name, found, [each for each in found if found[each] > limit], limit, unit)

    return judge


def _below(name: str, limit: float, *, unit: str = "") -> _Judge:
    """A gauge without labels below its limit."""

    def judge(figures: _Figures) -> _Verdict:
        found = figures.by(name, "").get("")
        if found is None:
            return _Verdict(False, f"{name} has no value now")
        figure = f"{name} is {_text(found)}{unit}; the limit is {_text(limit)}{unit}"
        return _Verdict(found < limit, figure)

    return judge


def _worst(
    name: str, found: Mapping[str, float], over: Iterable[str], limit: float, unit: str
) -> _Verdict:
    """`over` are the subjects for which it fires. The figure is the worst of them, or of all."""
    firing = sorted(over, key=lambda each: -found[each])
    if not found:
        return _Verdict(False, f"{name} has no value now")
    worst = firing[0] if firing else max(found, key=lambda each: found[each])
    of = f" for {worst}" if worst else ""
    figure = f"{name} is {_text(found[worst])}{unit}{of}; the limit is {_text(limit)}{unit}"
    return _Verdict(bool(firing), figure, [each for each in firing if each])


def _not_read_on(figures: _Figures) -> _Verdict:
    name, limit = "dlr_oldest_unread_report_age_seconds", 900
    unread = figures.by("dlr_unread_reports", "endpoint")
    ages = figures.by(name, "endpoint")
    over = (each for each in ages if ages[each] > limit and unread.get(each, 0) > 0)
    return _worst(name, ages, over, limit, " s")


def _unrouted(figures: _Figures) -> _Verdict:
    name, limit = "dlr_unrouted_reports", 100
    final = figures.by(name, "final").get("true", 0)
    figure = f'{name}{{final="true"}} is {_text(final)}; the limit is {limit}'
    return _Verdict(final > limit, figure)


def _near_loss(figures: _Figures) -> _Verdict:
    seconds = figures.by("dlr_endpoint_seconds_to_first_loss", "endpoint")
    attempts = figures.by("dlr_endpoint_attempts_to_first_loss", "endpoint")
    if not seconds:
        return _Verdict(False, "dlr_endpoint_seconds_to_first_loss has no value: nothing waits")
    soonest = sorted(seconds, key=lambda each: seconds[each])
    firing = [each for each in soonest if seconds[each] < 12 * _HOUR and attempts[each] <= 3]
    worst = (firing or soonest)[0]
    figure = (
        f"dlr_endpoint_seconds_to_first_loss is {_text(seconds[worst])} s for {worst}, which has"
        f" {_text(attempts[worst])} attempts left; the limits are {12 * _HOUR} s and 3"
    )
    return _Verdict(bool(firing), figure, firing)


def _counts_at_least(
    name: str,
    least: float,
    labels: Sequence[str],
    having: Callable[[Labels], bool] = lambda _: True,
    selector: str = "",
) -> _Judge:
    """A counter that must have counted so much within some time, of what `having` takes, which is
    `selector` in PromQL. While it has not even done so since the process began, the alert cannot
    fire for what this process did."""

    def judge(figures: _Figures) -> _Verdict:
        totals: dict[tuple[str, ...], float] = defaultdict(float)
        for each, value in figures.of(name):
            if having(each):
                totals[tuple(each[label] for label in labels)] += value
        return _ruled_out(name + selector, max(totals.values(), default=0), least)

    return judge


def _slow_commits(figures: _Figures) -> _Verdict:
    """Without any commit above half a second, no quantile is."""
    upto = figures.by("dlr_commit_seconds_bucket", "le")
    return _ruled_out("dlr_commit_seconds above 0.5 s", upto["+Inf"] - upto["0.5"], 1)


def _ruled_out(name: str, since_start: float, least: float) -> _Verdict:
    figure = f"{name} is {_text(since_start)} since the process began"
    if since_start < least:
        return _Verdict(False, f"{figure}; fewer than {_text(least)} cannot fire")
    return _Verdict(None, f"{figure}; over time {_NEEDS_PROMETHEUS}")


def _text(figure: float) -> str:
    return f"{figure:.10g}"


class Rule(Struct, frozen=True):
    """An alert of the file: `expression` is its `expr` in one line, `runbook` its description."""

    name: str
    severity: Literal["page", "ticket"]
    summary: str
    runbook: str
    expression: str
    judge: _Judge
    for_seconds: int = 0


RULES: Final = (
    Rule(
        "DlrDown",
        "page",
        "dlr cannot be scraped",
        (
            "Callbacks are refused. The platform repeats each one for 41:30 h, then it is "
            "lost. Start dlr again; its log says why it ended."
        ),
        'up{job="dlr"} == 0',
        _cannot_tell,
        for_seconds=60,
    ),
    Rule(
        "DlrNotReady",
        "page",
        "dlr is not ready",
        ("GET /readyz says why: the store cannot be written, or a task of dlr has ended."),
        "dlr_ready == 0",
        _not_ready,
        for_seconds=120,
    ),
    Rule(
        "DlrRunsShort",
        "ticket",
        "Connections or pushes run short",
        (
            "Allow the process more open files (LimitNOFILE). GET /readyz says what is"
            " short; `dlr endpoints` shows which endpoints have many leased dispatches."
        ),
        "max by (instance, kind) (dlr_places_short) > 0",
        _above("dlr_places_short", 0, "kind"),
        for_seconds=600,
    ),
    Rule(
        "DlrStoreUnavailable",
        "page",
        "dlr cannot store callbacks",
        (
            "They are answered 503 or 500, and the platform repeats them for 41:30 h. Is "
            "the disk full? dlr's log has the error."
        ),
        (
            "sum by (instance)"
            ' (increase(dlr_callbacks_total{outcome=~"unavailable|failed"}[5m])) > 0'
        ),
        _counts_at_least(
            "dlr_callbacks_total",
            1,
            (),
            lambda labels: labels["outcome"] in ("unavailable", "failed"),
            '{outcome=~"unavailable|failed"}',
        ),
        for_seconds=60,
    ),
    Rule(
        "DlrDiskFull",
        "page",
        "The database's disk has less than 1 GiB left",
        (
            "On a full disk callbacks are answered 503 and nothing is pushed. Make room, or"
            " keep less: `dlr purge --dry-run` shows what could go."
        ),
        "dlr_disk_free_bytes < 1024 * 1024 * 1024",
        _below("dlr_disk_free_bytes", 1024 * 1024 * 1024, unit=" bytes"),
        for_seconds=300,
    ),
    Rule(
        "DlrDatabaseLogHeld",
        "ticket",
        "The database's log has grown above 256 MiB",
        (
            "Another process, such as a shell or a copy tool, has read the database for a "
            "long time. dlr's log names it: end it."
        ),
        "dlr_database_wal_bytes > 256 * 1024 * 1024",
        _above("dlr_database_wal_bytes", 256 * 1024 * 1024, unit=" bytes"),
        for_seconds=300,
    ),
    Rule(
        "DlrSlowCommits",
        "ticket",
        "Commits take more than half a second",
        (
            "Each callback waits for its commit. Is the disk slow, nearly full, or busy "
            "with something else?"
        ),
        (
            "histogram_quantile(0.99, sum by (instance, le)"
            " (rate(dlr_commit_seconds_bucket[5m]))) > 0.5"
        ),
        _slow_commits,
        for_seconds=600,
    ),
    Rule(
        "DlrCallbacksRefused",
        "ticket",
        "Callbacks to a source are refused",
        (
            "They are answered 401. Either a secret was changed on one side only, or a "
            "stranger is trying. dlr's log has the reason and the address."
        ),
        "sum by (instance, source) (rate(dlr_callbacks_refused_total[10m])) > 0.1",
        _counts_at_least("dlr_callbacks_refused_total", 61, ("source",)),
        for_seconds=600,
    ),
    Rule(
        "DlrCallbacksNotTaken",
        "ticket",
        "Callbacks were not taken because of what their sender has to change",
        (
            "`dlr check --live` shows the path or header at fault. The platform repeats"
            " them for 41:30 h, then they are lost."
        ),
        ("sum by (instance, source, reason) (increase(dlr_callbacks_not_taken_total[1h])) >= 3"),
        _counts_at_least("dlr_callbacks_not_taken_total", 3, ("source", "reason")),
    ),
    Rule(
        "DlrQuarantineGrows",
        "ticket",
        "More than a hundred of a source went to quarantine within an hour",
        (
            "`dlr quarantine` lists them with the reason. `dlr quarantine --retry all` "
            "reads them again after an upgrade."
        ),
        "sum by (instance, source, kind) (increase(dlr_quarantined_total[1h])) > 100",
        _counts_at_least("dlr_quarantined_total", 101, ("source", "kind")),
    ),
    Rule(
        "DlrOldestWaiting",
        "ticket",
        "An endpoint has not taken a push for more than six hours",
        (
            "After its last retry (41:30 h by default) the dispatch is exhausted, and only "
            "`dlr replays start` pushes its reports again."
        ),
        "dlr_oldest_waiting_dispatch_age_seconds > 6 * 3600",
        _above("dlr_oldest_waiting_dispatch_age_seconds", 6 * _HOUR, "endpoint", unit=" s"),
        for_seconds=300,
    ),
    Rule(
        "DlrEndpointNearLoss",
        "page",
        "The first dispatch to an endpoint is exhausted within twelve hours",
        (
            "The customer must recover before that. `dlr endpoints pause NAME` stops the "
            "count. Later, only `dlr replays start` pushes the reports again."
        ),
        (
            "dlr_endpoint_seconds_to_first_loss < 12 * 3600 and"
            " dlr_endpoint_attempts_to_first_loss <= 3"
        ),
        _near_loss,
        for_seconds=300,
    ),
    Rule(
        "DlrNotReadOn",
        "page",
        "Reports for an endpoint have been waiting unread for more than 15 minutes",
        (
            "No dispatcher is running, the endpoint is paused, or its window is too small. "
            "`dlr endpoints health NAME` tells which."
        ),
        "dlr_oldest_unread_report_age_seconds > 900 and dlr_unread_reports > 0",
        _not_read_on,
        for_seconds=300,
    ),
    Rule(
        "DlrExhausted",
        "ticket",
        "Dispatches to an endpoint are exhausted",
        (
            "`dlr dispatches --state exhausted` lists them. Nothing is lost: once the "
            "customer is back, `dlr replays start --state exhausted` pushes them again."
        ),
        (
            "sum by (instance, endpoint)"
            ' (increase(dlr_dispatches_ended_total{state="exhausted"}[15m])) > 0'
        ),
        _counts_at_least(
            "dlr_dispatches_ended_total",
            1,
            ("endpoint",),
            lambda labels: labels["state"] == "exhausted",
            '{state="exhausted"}',
        ),
    ),
    Rule(
        "DlrAttemptsFail",
        "ticket",
        "More than half of the attempts to an endpoint fail",
        (
            "They are retried. `dlr dispatches --endpoint NAME` lists them, and `dlr "
            "dispatches ID` shows the status and error of each attempt."
        ),
        (
            "sum by (instance, endpoint)"
            ' (rate(dlr_attempts_total{outcome!="acknowledged"}[10m])) > 0.5 * sum by'
            " (instance, endpoint) (rate(dlr_attempts_total[10m]))"
        ),
        _counts_at_least(
            "dlr_attempts_total",
            1,
            ("endpoint",),
            lambda labels: labels["outcome"] != "acknowledged",
            '{outcome!="acknowledged"}',
        ),
        for_seconds=900,
    ),
    Rule(
        "DlrNotReplayed",
        "ticket",
        "Exhausted dispatches have not been replayed for a day",
        (
            "Once the customer is back, `dlr replays start --endpoint NAME --state exhausted` "
            "pushes their reports again. Retention removes them later."
        ),
        "dlr_exhausted_not_replayed > 0",
        _above("dlr_exhausted_not_replayed", 0, "endpoint"),
        for_seconds=24 * _HOUR,
    ),
    Rule(
        "DlrUnrouted",
        "ticket",
        "More than a hundred of the newest final reports were taken by no endpoint",
        (
            "No endpoint's rules fit them, so nobody gets them. `dlr reports --unrouted` "
            "lists them, and `dlr why ID` says why. After the rules are right, `dlr replays start "
            "--to-endpoint NAME` pushes them."
        ),
        'dlr_unrouted_reports{final="true"} > 100',
        _unrouted,
        for_seconds=900,
    ),
)
"""In the order of the file."""


def alerts_of(families: Iterable[Metric]) -> Sequence[Alert]:
    """Each alert, judged by what a registry has collected now."""
    figures = _Figures(families)
    return [_alert(rule, _verdict(rule, figures)) for rule in RULES]


def _verdict(rule: Rule, figures: _Figures) -> _Verdict:
    try:
        return rule.judge(figures)
    except _Unmeasured:
        return _Verdict(None, "this process does not measure it")


def _alert(rule: Rule, verdict: _Verdict) -> Alert:
    return Alert(
        name=rule.name,
        severity=rule.severity,
        summary=rule.summary,
        runbook=rule.runbook,
        expression=rule.expression,
        for_seconds=rule.for_seconds,
        firing=verdict.firing,
        subjects=verdict.subjects,
        judged_by=verdict.judged_by,
    )
