"""How single values are read: each rule checks one, and says in words and as JSON Schema what it
takes.

Numbers and booleans are taken from texts too, and texts from numbers, because XML has only texts
and the provider's clients send either. `None` is never handed to a rule: it is an absent field.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final, Protocol, TypeVar

from dispatcher.sandbox.errors import BODY
from dispatcher.security.urls import is_http_url, spelling_fault
from receiver.api.parameters import with_plus
from receiver.callbacks.body import Unsupported, charset_of
from receiver.dlr import fields
from receiver.dlr.errors import MalformedReport
from receiver.dlr.fields import describe
from receiver.dlr.instants import EXAMPLE, parse_instant
from receiver.dlr.model import Format
from receiver.faults import Misfit, without_credentials

T = TypeVar("T")

FAULTS_MOST: Final = 100
"""More are not told: a request of 10 MB could have a million."""

NOT_NULL: Final = "must not be null"

INT32: Final = (-(2**31), 2**31 - 1)


class Inspection:
    """One request being read: its faults, the time, where new keys come from, and where this server
    was called, such as `http://127.0.0.1:8080`."""

    def __init__(self, now: datetime, new_key: Callable[[], str], origin: str = "") -> None:
        self.now = now
        self.new_key = new_key
        self.origin = origin
        self.misfits: list[Misfit] = []

    def misfit(self, place: str, reason: str) -> None:
        """Tell what is wrong. The value at fault is read as None, and reading goes on."""
        if len(self.misfits) < FAULTS_MOST:
            self.misfits.append(Misfit(place or BODY, reason))


class Rule(Protocol):
    def read(self, value: Any, place: str, inspection: Inspection) -> Any:
        """What `value` means; None after a fault."""

    def words(self) -> str:
        """What is taken, for fields.md."""

    def schema(self) -> dict[str, Any]:
        """What is taken, as JSON Schema."""


@dataclass(frozen=True, slots=True)
class Text:
    """A text of `least` to `most` characters; what is longer than `clip` is cut off there."""

    most: int | None = None
    least: int = 0
    clip: int | None = None

    def read(self, value: Any, place: str, inspection: Inspection) -> str | None:
        text = _read(fields.text, value, place, inspection)
        if text is None:
            return None
        if self.clip is not None:
            return text[: self.clip]
        if self.most is not None and not self.least <= len(text) <= self.most:
            inspection.misfit(place, f"size must be between {self.least} and {self.most}")
            return None
        return text

    def words(self) -> str:
        if self.clip is not None:
            return f"text, clipped at {self.clip}"
        return "text" if self.most is None else f"text of {self.least} to {self.most} characters"

    def schema(self) -> dict[str, Any]:
        bounds = {} if self.most is None else {"minLength": self.least, "maxLength": self.most}
        return {"type": "string", **bounds}


@dataclass(frozen=True, slots=True)
class Integer:
    least: int = INT32[0]
    most: int = INT32[1]

    def read(self, value: Any, place: str, inspection: Inspection) -> int | None:
        number = _read(fields.integer, value, place, inspection)
        if number is None:
            return None
        if not self.least <= number <= self.most:
            inspection.misfit(place, f"must be between {self.least} and {self.most}, got {number}")
            return None
        return number

    def words(self) -> str:
        return "integer" if (self.least, self.most) == INT32 else f"{self.least} to {self.most}"

    def schema(self) -> dict[str, Any]:
        return {"type": "integer", "minimum": self.least, "maximum": self.most}


@dataclass(frozen=True, slots=True)
class Boolean:
    def read(self, value: Any, place: str, inspection: Inspection) -> bool | None:
        return _read(fields.boolean, value, place, inspection)

    def words(self) -> str:
        return "true or false"

    def schema(self) -> dict[str, Any]:
        return {"type": "boolean"}


class Choice:
    """One of some words, each with its meaning; without a mapping a word means itself."""

    def __init__(self, meanings: Mapping[str, Any] | Iterable[str]) -> None:
        self._meanings: Mapping[str, Any] = (
            meanings if isinstance(meanings, Mapping) else {word: word for word in meanings}
        )

    def read(self, value: Any, place: str, inspection: Inspection) -> Any:
        text = value.strip() if isinstance(value, str) else ""
        if text not in self._meanings:
            inspection.misfit(place, f"must be {self.words()}, got {describe(value)}")
            return None
        return self._meanings[text]

    def words(self) -> str:
        *most, last = self._meanings
        return f"{', '.join(most)} or {last}" if most else last

    def schema(self) -> dict[str, Any]:
        return {"type": "string", "enum": list(self._meanings)}


class ContentType:
    """The format of reports, with or without the charset in which they come: UTF-8."""

    def read(self, value: Any, place: str, inspection: Inspection) -> Format | None:
        text = value if isinstance(value, str) else ""
        form = _FORMATS.get(text.partition(";")[0].strip().lower())
        if form is not None and _is_utf8(text):
            return form
        expected = self.words() if form is None else f"{self.words()}, in utf-8"
        inspection.misfit(place, f"must be {expected}, got {describe(value)}")
        return None

    def words(self) -> str:
        return " or ".join(_FORMATS)

    def schema(self) -> dict[str, Any]:
        pattern = f"^({'|'.join(_FORMATS)})(; ?charset=(utf-8|UTF-8))?$"
        return {"type": "string", "pattern": pattern}


_FORMATS: Final[Mapping[str, Format]] = {"application/json": "json", "application/xml": "xml"}


def _is_utf8(content_type: str) -> bool:
    """Whether it names no other charset than that of the reports."""
    try:
        return charset_of(content_type) in (None, "utf_8")
    except Unsupported:
        return False


@dataclass(frozen=True, slots=True)
class Instant:
    """An instant at most `ahead` from now, in any form of the provider and its clients (reference,
    part 1.4), also in a query string, where a + may have become a blank. Without a zone it is UTC.
    One that is past is taken: it means at once."""

    ahead: timedelta

    def read(self, value: Any, place: str, inspection: Inspection) -> datetime | None:
        try:
            instant = parse_instant(with_plus(value.strip()))
        except (ValueError, TypeError, AttributeError):
            inspection.misfit(place, f"must be an instant such as {EXAMPLE}, got {describe(value)}")
            return None
        if instant - inspection.now > self.ahead:
            inspection.misfit(place, f"must be at most {self.ahead.days} days ahead")
            return None
        return instant

    def words(self) -> str:
        return f"instant, at most {self.ahead.days} days ahead"

    def schema(self) -> dict[str, Any]:
        return {"type": "string", "format": "date-time", "examples": [EXAMPLE]}


class HttpUrl:
    """Whether the sandbox may really call it is asked when it does: only then a name is looked
    up."""

    def read(self, value: Any, place: str, inspection: Inspection) -> str | None:
        text = _read(fields.text, value, place, inspection)
        if text is None:
            return None
        text = text.strip()
        if not is_http_url(text):
            came = describe(without_credentials(text))
            inspection.misfit(place, f"must be an http or https URL with a host, got {came}")
        elif (wrong := spelling_fault(text)) is not None:
            inspection.misfit(place, wrong)
        else:
            return text
        return None

    def words(self) -> str:
        return "http or https URL"

    def schema(self) -> dict[str, Any]:
        return {"type": "string", "format": "uri", "pattern": "^ *[hH][tT][tT][pP][sS]?://"}


class SenderId:
    """An alphanumeric sender has 3 to 11 characters, a numeric one 3 to 14 (S1, S3) or 16 digits
    (S4). S4 is followed: it is the latest of the three."""

    def read(self, value: Any, place: str, inspection: Inspection) -> str | None:
        text = _read(fields.text, value, place, inspection)
        if text is None:
            return None
        text = text.strip()
        if 3 <= len(text) <= 11 or _NUMERIC.fullmatch(text):
            return text
        inspection.misfit(place, f"must be {self.words()}, got {describe(text)}")
        return None

    def words(self) -> str:
        return "3 to 11 characters, or 3 to 16 digits"

    def schema(self) -> dict[str, Any]:
        return {"type": "string", "pattern": r"^(.{3,11}|\+?[0-9]{3,16})$"}


_NUMERIC = re.compile(r"\+?[0-9]{3,16}")


class Hex:
    """Octets as pairs of hexadecimal digits. The blanks may stand between pairs or between groups
    of them, as in "0048 0065"; the "…" of the provider's own sample (S0, S2) counts as one.
    """

    def read(self, value: Any, place: str, inspection: Inspection) -> bytes | None:
        text = _read(fields.text, value, place, inspection)
        if text is None:
            return None
        groups = text.replace("…", " ").split()
        try:
            return b"".join(bytes.fromhex(group) for group in groups)
        except ValueError:
            inspection.misfit(place, f"must be {self.words()}, got {describe(text)}")
            return None

    def words(self) -> str:
        return "pairs of hexadecimal digits"

    def schema(self) -> dict[str, Any]:
        return {"type": "string", "pattern": r"^[0-9a-fA-F\s…]*$"}


def _read(
    read: Callable[[Any, str, str], T | None], value: Any, place: str, inspection: Inspection
) -> T | None:
    try:
        return read(value, place, "")
    except MalformedReport as error:
        inspection.misfit(place, f"must be {error.expected}, got {error.came}")
        return None
