"""What of a message goes over the air, in how many parts, and whether it is refused for it."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Iterator
from typing import Final

from msgspec import Struct

from dispatcher.sandbox.characters.binary import binary_parts, header_fault
from dispatcher.sandbox.characters.parts import PARTS_MAX
from dispatcher.sandbox.characters.text import convert
from dispatcher.sandbox.messages.send import (
    BinaryContent,
    Refusal,
    ShortLink,
    ShortLinks,
    TextContent,
)
from dispatcher.sandbox.messages.statuses import (
    MISSING_TO,
    REJECTED_DESTINATION,
    REJECTED_INVALID_UDH,
    REJECTED_MESSAGE_TOO_LONG,
)
from dispatcher.sandbox.wire.rules import Inspection
from dispatcher.sandbox.wire.tables import Values

BYTES_MOST: Final = 4000
"""A longer message is refused with status 25, like one of more than 25 parts (statuses of the
provider). A text of more characters than that is not even counted."""

NUMBER = re.compile(r"\+?([1-9][0-9]{4,14})")
"""International format: 15 digits are E.164's most; that 5 are the least is ours."""

TOO_LONG: Final = Refusal(*REJECTED_MESSAGE_TOO_LONG)


class Content(Struct, frozen=True):
    """A content with its parts; `refusal` None when it can be sent."""

    content: TextContent | BinaryContent
    parts: int
    refusal: Refusal | None = None
    links: ShortLinks | None = None


def text_contents(values: Values, shortening: Shortening | None, count: int) -> Iterator[Content]:
    """As `text_content`, for so many destinations: each has short links of its own."""
    content = text_content(values, shortening)
    yield content
    for _ in range(count - 1):
        yield content if content.links is None else text_content(values, shortening)


def text_content(values: Values, shortening: Shortening | None) -> Content:
    """Of `text`, `transliteration` and the language's fields."""
    text = values["text"]
    words = {name: values.get(name) for name in ("transliteration", "languageCode")}
    shifts = {name: values.get(name) for name in ("singleShift", "lockingShift")}
    asked = (words["transliteration"], words["languageCode"], *shifts.values())
    to_send, links = (text, None) if shortening is None else shortened(text, shortening)
    if len(to_send) > BYTES_MOST:
        return Content(TextContent(text, to_send, *asked), 0, TOO_LONG)
    converted = convert(
        to_send,
        transliteration=words["transliteration"],
        language_code=words["languageCode"],
        single_shift=shifts["singleShift"],
        locking_shift=shifts["lockingShift"],
    )
    refusal = TOO_LONG if converted.parts > PARTS_MAX else None
    return Content(TextContent(text, converted.text, *asked), converted.parts, refusal, links)


def binary_content(values: Values) -> Content:
    """Of `hex`, `dataCoding` and `esmClass`."""
    data, coding, esm_class = values["hex"], values["dataCoding"], values["esmClass"]
    content = BinaryContent(data, coding, esm_class)
    if len(data) > BYTES_MOST:
        return Content(content, 0, TOO_LONG)
    if header_fault(data, coding, esm_class) is not None:
        return Content(content, 0, Refusal(*REJECTED_INVALID_UDH))
    parts = binary_parts(data, coding, esm_class)
    return Content(content, parts, TOO_LONG if parts > PARTS_MAX else None)


def destination(to: str | None) -> tuple[str, Refusal | None]:
    """The number without its plus, or what came and why it is refused. Reports and replies have no
    plus in any of the provider's examples."""
    to = (to or "").strip()
    if not to:
        return "", Refusal(*MISSING_TO)
    number = NUMBER.fullmatch(to)
    return (number[1], None) if number else (to, Refusal(*REJECTED_DESTINATION))


# --- short links ---------------------------------------------------------------------------------

_LINK = re.compile(r"https?://[^\s<>\"]*[^\s<>\".,;:!?)\]']", re.IGNORECASE)

SHORT_PATH: Final = "l"
"""Under which the sandbox answers short links. Documented is that there are short links, and not
how they look."""


class Shortening(Struct, frozen=True):
    """How links are shortened: `base` is what a short link begins with. `told_to`, `tracked` and
    `converts` as in ShortLinks."""

    base: str
    new_key: Callable[[], str]
    tracked: bool = True
    told_to: str | None = None
    converts: bool = False


def shortening_of(
    urls: Values | None,
    inspection: Inspection,
    *,
    base_url: str | None = None,
    converts: bool = False,
) -> Shortening | None:
    """What `urlOptions` ask for; without `shortenUrl` the other options have no effect (OAS). Where
    there are none, what the older `tracking.track = URL` asks for, with its `baseUrl`; with it a
    click `converts`. Without a domain of one's own, short links lead here."""
    if not (converts if urls is None else urls["shortenUrl"]):
        return None
    urls = urls or {}
    base = (base_url or inspection.origin).rstrip("/")
    if (domain := urls.get("customDomain")) is not None:
        base = f"https://{domain}"
    if urls.get("removeProtocol"):
        base = base.partition("://")[2]
    tracked = urls.get("trackClicks", True)
    return Shortening(
        f"{base}/{SHORT_PATH}/",
        inspection.new_key,
        tracked,
        urls.get("trackingUrl") if tracked else None,
        converts,
    )


def shortened(text: str, shortening: Shortening) -> tuple[str, ShortLinks | None]:
    """`text` with a new short link for each link, and these links."""
    links: list[ShortLink] = []

    def short(link: re.Match[str]) -> str:
        told = f"{shortening.new_key()} {len(links)} {link[0]}"
        code = hashlib.sha256(told.encode()).hexdigest()[:12]
        links.append(ShortLink(code, link[0], shortening.base + code))
        return links[-1].short

    to_send = _LINK.sub(short, text)
    tracked = (shortening.tracked, shortening.told_to, shortening.converts)
    return to_send, ShortLinks(links, *tracked) if links else None
