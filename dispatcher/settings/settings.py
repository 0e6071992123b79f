"""The settings of `dlr serve` and its parts. `config/dlr.toml` shows each with its default."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields
from datetime import timedelta
from pathlib import Path
from typing import Annotated, Literal

from dispatcher.retrying.outcome import statuses
from dispatcher.retrying.presets import PRESETS
from dispatcher.settings.forms import HeaderValue, HttpUrl, Regex, header_fault
from dispatcher.settings.reconcile import ReconcileSettings
from dispatcher.settings.sandbox import SandboxSettings
from dispatcher.settings.security import OutgoingSettings, SecuritySettings, TlsSettings
from receiver.dlr.number import is_prefix
from receiver.settings.configuration import Between, Form
from receiver.settings.durations import duration_text
from receiver.settings.reader import read
from receiver.settings.settings import Name, ReceiverSettings, repeated_names
from receiver.settings.settings import RetentionSettings as ReceiverRetention
from receiver.settings.settings import SourceSettings as ReceiverSource

OWN_URLS = "notify-url"
"""The endpoint of reports that came with a URL of their own (own_urls.py). No other is named so."""

StatusGroup = Literal["ACCEPTED", "PENDING", "UNDELIVERABLE", "DELIVERED", "EXPIRED", "REJECTED"]

_HEADER_NAME = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+")


def _reads(read: Callable[[str], object]) -> Callable[[str], bool]:
    """Whether `read` understands a text."""

    def understands(text: str) -> bool:
        try:
            read(text)
        except ValueError:
            return False
        return True

    return understands


Statuses = Annotated[str, Form("statuses such as 2xx, 200 or 200-204", _reads(statuses))]

PresetOrCustom = Annotated[
    str, Form('"custom" or a name of `dlr schedule --list`', {*PRESETS, "custom"}.__contains__)
]

PresetOrDefault = Annotated[
    str, Form('"default" or a name of `dlr schedule --list`', {*PRESETS, "default"}.__contains__)
]


_Text = Annotated[str, Form("a text that is not empty", bool)]

_NumberPrefix = Annotated[
    str,
    Form("the beginning of a number such as 4179", is_prefix),
]


@dataclass(frozen=True, slots=True)
class OutcomeSettings:
    """What the answers of an endpoint mean. Without this table those of its schedule hold."""

    acknowledge: tuple[Statuses, ...] = ("2xx",)
    body_matches: Regex = ""  # any body
    stop_on: tuple[Statuses, ...] = ()
    retry_4xx: bool = True  # 429 is repeated in any case: it says "later"
    honour_retry_after: bool = False
    retry_after_max: Annotated[timedelta, Between(timedelta(0), timedelta(days=30))] = timedelta(
        hours=24
    )

    def faults(self) -> Iterable[tuple[str, str]]:
        acknowledge = statuses(*self.acknowledge)
        if not acknowledge:
            yield "acknowledge", "expected at least one status, got none"
        if both := acknowledge & statuses(*self.stop_on):
            yield "stop_on", f"{min(both)} already acknowledges: keep it in only one of the two"
        if self.retry_after_max != timedelta(hours=24) and not self.honour_retry_after:
            yield "retry_after_max", "is only used with honour_retry_after = true"


@dataclass(frozen=True, slots=True)
class EndpointSettings:
    """A customer URL, how it is called, and which reports go there.

    The bounds of `bucket_size`, `connect_timeout` and `read_timeout` are those of the provider's
    notification profiles; `window` and `read_timeout` may be less here, for tests of a slow
    customer. `read_timeout` is the longest silence, not the whole answer.
    """

    name: Name
    url: HttpUrl = field(repr=False)  # may hold a password
    content_type: Literal["application/json", "application/xml"] = "application/json"
    generation: Literal["as-received", "v2", "v3"] = "as-received"
    bucket_size: Annotated[int, Between(1, 2_000)] = 100  # reports in one request, at most
    window: Annotated[int, Between(1, 10_000)] = 20  # requests under way at once
    connect_timeout: Annotated[
        timedelta, Between(timedelta(milliseconds=300), timedelta(seconds=30))
    ] = timedelta(seconds=10)
    read_timeout: Annotated[
        timedelta, Between(timedelta(milliseconds=100), timedelta(seconds=90))
    ] = timedelta(seconds=10)
    rate_limit: Annotated[float, Between(0, 5_000)] = 0.0  # requests a second; 0: none
    ordered: bool = False
    breaker_failures: Annotated[int, Between(0, 10_000)] = 0  # in a row; 0: no breaker
    breaker_probe: Annotated[timedelta, Between(timedelta(seconds=1), timedelta(days=1))] = (
        timedelta(seconds=30)
    )
    schedule: PresetOrDefault = "default"  # that of [schedule]
    headers: dict[str, HeaderValue] = field(default_factory=dict)
    sources: tuple[str, ...] = ()  # empty: all
    reports: Literal["all", "final", "intermediate", "none"] = "all"
    status_groups: tuple[StatusGroup, ...] = ()  # empty: all
    senders: tuple[_Text, ...] = ()  # empty: all, here and below
    to_prefixes: tuple[_NumberPrefix, ...] = ()
    bulk_ids: tuple[_Text, ...] = ()
    application_ids: tuple[_Text, ...] = ()
    entity_ids: tuple[_Text, ...] = ()
    callback_data_prefix: str = ""
    callback_data_fields: dict[str, str] = field(default_factory=dict)
    outcome: OutcomeSettings | None = None  # those of its schedule
    security: SecuritySettings = field(default_factory=SecuritySettings)
    tls: TlsSettings = field(default_factory=TlsSettings)

    def faults(self) -> Iterable[tuple[str, str]]:
        for name in self.headers:
            if not _HEADER_NAME.fullmatch(name):
                got = f"one of {len(name)} characters"  # which may be a whole header
                yield "headers", f"expected names of HTTP headers, got {got}"
            elif (fault := header_fault(name)) is not None:
                yield f"headers.{name}", fault
        if 0 < self.rate_limit < RATE_LEAST:
            yield "rate_limit", f"expected 0 or at least {RATE_LEAST:g}, got {self.rate_limit:g}"
        if self.breaker_probe != timedelta(seconds=30) and not self.breaker_failures:
            yield "breaker_probe", "is only used with breaker_failures above 0"
        if self.reports == "none":
            for name in RULES:
                if getattr(self, name):
                    yield name, 'selects reports, but reports = "none" takes none'


RATE_LEAST = 0.001
"""Requests a second: one in a quarter of an hour. Slower is a pause."""

RULES = (  # which reports go to an endpoint; all that are given must agree
    "sources",
    "status_groups",
    "senders",
    "to_prefixes",
    "bulk_ids",
    "application_ids",
    "entity_ids",
    "callback_data_prefix",
    "callback_data_fields",
)


_Wait = Annotated[timedelta, Between(timedelta(0), timedelta(days=365))]


@dataclass(frozen=True, slots=True)
class DispatchSettings:
    """When a failed attempt is repeated. All but `preset` describe the schedule `custom`.

    The formula is `(first + step·n²) · factorⁿ`; its defaults are Infobip's.
    """

    preset: PresetOrCustom = "infobip"
    first: _Wait = timedelta(minutes=1)
    step: _Wait = timedelta(minutes=1)
    factor: Annotated[float, Between(1, 100)] = 1.0
    retries: Annotated[int, Between(0, 10_000)] = 20
    cap: _Wait = timedelta(hours=24)
    waits: tuple[_Wait, ...] = ()  # empty: the formula
    repeat_last: bool = False
    jitter: Annotated[float, Between(0, 1)] = 0.0

    def faults(self) -> Iterable[tuple[str, str]]:
        changed = [each.name for each in fields(self) if getattr(self, each.name) != each.default]
        if self.preset != "custom":
            for name in changed:
                if name != "preset":
                    yield name, f'is only used with preset = "custom", not "{self.preset}"'
        elif self.waits:
            yield from self._faults_of_waits(changed)
        elif self.repeat_last:
            yield "repeat_last", "there are no waits, so the last one cannot be repeated"

    def _faults_of_waits(self, changed: Sequence[str]) -> Iterator[tuple[str, str]]:
        for name in ("first", "step", "factor"):
            if name in changed:
                yield name, "belongs to the formula, but there are waits: keep one of the two"
        for index, wait in enumerate(self.waits):
            if wait > self.cap:
                longest = duration_text(self.cap)
                yield f"waits[{index}]", f"is longer than cap, {longest}: {duration_text(wait)}"
        count = len(self.waits)
        if self.repeat_last and self.retries < count:
            yield "retries", f"expected at least {count}, because there are {count} waits"
        if not self.repeat_last and "retries" in changed and self.retries != count:
            yield "retries", f"there are {count} waits: repeat_last = true repeats the last of them"


@dataclass(frozen=True, slots=True)
class RetentionSettings(ReceiverRetention):
    """Ended dispatches go with their attempts, by the age of the dispatch or the attempts' number.
    Not those that wait, however old: they end by their schedule."""

    attempts: timedelta = timedelta(days=90)
    attempts_max: Annotated[int, Between(0)] = 0


@dataclass(frozen=True, slots=True)
class SourceSettings(ReceiverSource):
    """A sender of callbacks, and where it can be asked what it sent. `None`: nowhere."""

    reconcile: ReconcileSettings | None = None


@dataclass(frozen=True, slots=True)
class WebSettings:
    """The pages in the browser."""

    pages: bool = True
    mask_numbers: bool = False  # of recipients and callers, in pages only


@dataclass(frozen=True, slots=True)
class Settings(ReceiverSettings):
    """Everything that `dlr serve` needs. It is the receiver's settings too, so that `receive`,
    `dispatch` and `serve` read one and the same file.
    """

    source: tuple[SourceSettings, ...] = (SourceSettings("default"),)
    endpoint: tuple[EndpointSettings, ...] = ()
    schedule: DispatchSettings = DispatchSettings()
    outgoing: OutgoingSettings = field(default_factory=OutgoingSettings)
    sandbox: SandboxSettings = field(default_factory=SandboxSettings)
    web: WebSettings = WebSettings()
    retention: RetentionSettings = RetentionSettings()

    def faults(self) -> Iterable[tuple[str, str]]:
        # Not super(): a dataclass with slots is another class than the one super() remembers.
        yield from ReceiverSettings.faults(self)
        yield from repeated_names("endpoint", self.endpoint)
        for number, endpoint in enumerate(self.endpoint):
            if (fault := fault_of_name(endpoint.name)) is not None:
                yield f"endpoint[{number}].name", fault
        yield from self._unknown_sources()

    def _unknown_sources(self) -> Iterator[tuple[str, str]]:
        known = sources_of(self)
        for number, endpoint in enumerate(self.endpoint):
            for place, text in unknown_sources(endpoint.sources, known):
                yield f"endpoint[{number}].{place}", text


SANDBOX = "sandbox"
"""The source of the reports that the sandbox makes."""


def sources_of(settings: Settings) -> list[str]:
    """The sources that an endpoint can name."""
    return [*(each.name for each in settings.source), SANDBOX]


PATHS_TAKEN = {
    "new": "/endpoints/new is the page that adds an endpoint",
    ".": "clients remove it from a path",
    "..": "clients remove it from a path, together with the part before it",
}
"""Names under which an endpoint could not be shown, and why."""


def fault_of_name(name: str) -> str | None:
    """Why a new endpoint cannot have this name."""
    if name == OWN_URLS:
        return (
            f"{OWN_URLS} is the endpoint of reports that bring their own URL; choose another name"
        )
    if name.startswith("replay-") and name.removeprefix("replay-").isdecimal():
        return "names such as replay-1 are reserved for replays; choose another name"
    if name in PATHS_TAKEN:
        return (
            f"{name} is reserved, because {PATHS_TAKEN[name]}; choose another name. If there has"
            f" been such an endpoint, `dlr endpoints resume {name} --as NAME` gives what waits for"
            " it to the one of the new name"
        )
    return None


def unknown_sources(named: Sequence[object], known: Collection[str]) -> Iterator[tuple[str, str]]:
    """A fault for each source that an endpoint names and that there is not."""
    words = "the name of a [[source]] (" + ", ".join(f'"{name}"' for name in known) + ")"
    for index, name in enumerate(named):
        if isinstance(name, str) and name not in known:
            yield f"sources[{index}]", f'expected {words}, got "{name}"'


def find_file(named: Path | None, working_directory: Path) -> Path | None:
    """The file to read: the one that is named, be it there or not; else `dlr.toml`, else
    `config/dlr.toml` of the working directory; `None` when there is neither.
    """
    if named is not None:
        return named
    usual = (working_directory / "dlr.toml", working_directory / "config" / "dlr.toml")
    return next((each for each in usual if each.is_file()), None)


def read_settings(file: Path | None, environment: Mapping[str, str]) -> Settings:
    """The settings from `file`, or from where they usually are when it is `None`, and from the
    `DLR_…` variables. Raises `ConfigurationError` with all faults.
    """
    return read(Settings, find_file(file, Path()), environment)
