"""How values look on a page: instants, spans of time, ids, numbers, states. Pure."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, Literal

import msgspec
from markupsafe import Markup, escape

from dispatcher.observe.logs import masked
from receiver.answers import timestamp
from receiver.dlr.instants import parse_instant
from receiver.faults import without_credentials
from receiver.shown import shown, shown_lines

ID_ENDS = 10
"""Characters that stay of each end of a long id."""


def _instant(at: datetime | str) -> datetime:
    return parse_instant(at) if isinstance(at, str) else at


def instant(at: datetime | str | None, now: datetime) -> Markup:
    """An instant relative to `now`, with the exact one on hover. A script puts that into the
    viewer's zone, and keeps the distance up to date."""
    if at is None:
        return Markup("–")
    exact = _instant(at).astimezone(UTC)
    return Markup('<time datetime="{}" title="{}">{}</time>').format(
        timestamp(exact), exact.strftime("%Y-%m-%d %H:%M:%S UTC"), distance(exact - now)
    )


def distance(span: timedelta) -> str:
    """`3 min ago`, `in 4 h 10 min`, `now`."""
    if abs(span) < timedelta(seconds=1):
        return "now"
    return f"in {duration(span)}" if span > timedelta() else f"{duration(-span)} ago"


_UNITS = ((86_400, "d"), (3_600, "h"), (60, "min"), (1, "s"))


def duration(span: timedelta | float) -> str:
    """A span of time, or seconds, in its two largest units: `2 d 3 h`, `4 min 12 s`, `80 ms`."""
    seconds = span.total_seconds() if isinstance(span, timedelta) else span
    seconds = round(seconds, 3)  # else the last half of a millisecond before one would be 1000 ms
    if seconds < 1:
        return f"{seconds * 1000:.0f} ms"
    left, parts = int(seconds), []
    for size, unit in _UNITS:
        count, left = divmod(left, size)
        if count:
            parts.append(f"{count} {unit}")
        if len(parts) == 2 or (parts and not count):
            break
    return " ".join(parts)


def short(text: str | int | None) -> Markup:
    """A long id cut in its middle. The whole is on hover, and is what gets copied."""
    whole = "" if text is None else str(text)
    if len(whole) <= 2 * ID_ENDS + 1:
        return Markup('<code class="id">{}</code>').format(whole)
    cut = f"{whole[:ID_ENDS]}…{whole[-ID_ENDS:]}"
    return Markup('<code class="id" data-copy="{0}" title="{0}">{1}</code>').format(whole, cut)


def count(number: float | None) -> str:
    """A number with its thousands apart."""
    return "–" if number is None else f"{number:,}"


def counted(number: int, one: str, more: str = "") -> str:
    """A number of things: `1 report`, `2 reports`. `more` is the plural if it is not `one` with an
    s."""
    return f"{number:,} {one}" if number == 1 else f"{number:,} {more or one + 's'}"


def percent(share: float | None) -> str:
    return "–" if share is None else f"{share:.1%}"


def number(text: Any, masks: bool) -> str:
    """A phone number, masked if the settings say so."""
    if text is None:
        return "–"
    return masked(str(text)) if masks else shown(str(text))


def hide_numbers(text: str, masks: bool) -> str:
    """Text in which a number may stand anywhere; with `masks`, whatever may be one is masked."""
    return re.sub(r"\d{7,}", lambda found: masked(found[0]), text) if masks else text


Tone = Literal["good", "wait", "bad", "idle"]
"""What a colour means. Words say the same beside it."""

_TONES: Mapping[str, Tone] = {
    "DELIVERED": "good",
    "PENDING": "wait",
    "ACCEPTED": "wait",
    "UNDELIVERABLE": "bad",
    "EXPIRED": "bad",
    "REJECTED": "bad",
    "acknowledged": "good",
    "waiting": "wait",
    "leased": "wait",
    "exhausted": "bad",
    "cancelled": "idle",
    "paused": "wait",
    "held": "wait",
    "unread": "wait",
    "unusable": "bad",
    "failed": "bad",
    "redirected": "bad",
    "refused": "bad",
    "unreachable": "bad",
    "timed_out": "bad",
    "broken_off": "bad",
    "tls_failed": "bad",
    "not_http": "bad",
    "not_allowed": "bad",
    "no_token": "bad",
    "wrong_answer": "bad",
    "left the settings": "wait",
    "breaker open": "bad",
    "failing": "bad",
    "some fail": "wait",
    "works": "good",
    "weak": "wait",
    "passed": "good",
    "running": "wait",
    "done": "good",
    "stopped": "bad",
}


def chip(word: str | None) -> Markup:
    """A status or a state: a colour, and the word itself."""
    if not word:
        return Markup('<span class="chip idle">no status</span>')
    return Markup('<span class="chip {}">{}</span>').format(_TONES.get(word, "idle"), word)


def commands(text: str) -> Markup:
    """A sentence in which what stands between `backquotes` is a command that can be copied."""
    parts = text.split("`")
    shown = (
        Markup("<code>{}</code> {}").format(part, copy_button(part)) if at % 2 else escape(part)
        for at, part in enumerate(parts)
    )
    return Markup("").join(shown)


def chip_as(words: str, word: str) -> Markup:
    """Other words in the colour of a state."""
    return Markup('<span class="chip {}">{}</span>').format(_TONES.get(word, "idle"), words)


def pretty_json(text: str) -> str:
    """JSON with one field a line, its numbers and texts written as they came; anything else as it
    is."""
    try:
        return msgspec.json.format(text, indent=2)
    except msgspec.DecodeError:
        return text


def sentence(error: Exception) -> str:
    """The text of an error as a sentence."""
    text = str(error)
    return f"{text[:1].upper()}{text[1:]}."


def copy_button(text: str, words: str = "copy") -> Markup:
    """A button that a script brings to life; without one it is not there."""
    return Markup('<button type="button" class="copy" data-copy="{}" hidden>{}</button>').format(
        text, escape(words)
    )


FILTERS: Mapping[str, Callable[..., Any]] = {
    "chip": chip,
    "commands": commands,
    "chip_as": chip_as,
    "copy_button": copy_button,
    "count": count,
    "counted": counted,
    "duration": duration,
    "hide_numbers": hide_numbers,
    "instant": instant,
    "number": number,
    "percent": percent,
    "pretty_json": pretty_json,
    "safe_url": without_credentials,  # it loses user, password and query
    "short": short,
    "visible": shown,  # one line in which nothing steers: direction marks, control characters
    "visible_lines": shown_lines,
}
