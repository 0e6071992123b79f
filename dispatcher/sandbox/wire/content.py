"""What of a message goes over the air, in how many parts, and whether it is refused for it."""

from __future__ import annotations

import hashlib
import re
from typing import Final

from msgspec import Struct

from dispatcher.sandbox.characters.binary import binary_parts, header_fault
from dispatcher.sandbox.characters.parts import PARTS_MAX
from dispatcher.sandbox.characters.text import convert
from dispatcher.sandbox.messages.send import BinaryContent, Refusal, TextContent
from dispatcher.sandbox.messages.statuses import (
    MISSING_TO,
    REJECTED_DESTINATION,
    REJECTED_INVALID_UDH,
    REJECTED_MESSAGE_TOO_LONG,
)
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


def text_content(values: Values, urls: Values | None) -> Content:
    """Of `text`, `transliteration` and the language's fields, with the request's `urlOptions`."""
    text = values["text"]
    words = {name: values.get(name) for name in ("transliteration", "languageCode")}
    shifts = {name: values.get(name) for name in ("singleShift", "lockingShift")}
    asked = (words["transliteration"], words["languageCode"], *shifts.values())
    to_send = shortened(text, urls) if urls else text
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
    return Content(TextContent(text, converted.text, *asked), converted.parts, refusal)


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


# --- urlOptions ----------------------------------------------------------------------------------

_LINK = re.compile(r"https?://[^\s<>\"]*[^\s<>\".,;:!?)\]']", re.IGNORECASE)

SHORT_DOMAIN: Final = "sms.example"
"""Where short links of the sandbox lead without a `customDomain`: nowhere. That is ours."""


def shortened(text: str, options: Values) -> str:
    """`text` with short links, which is what `shortenUrl` asks for; without it the other options
    have no effect (OAS). How a short link looks is ours: eight letters of the link's digest.
    """
    if not options["shortenUrl"]:
        return text
    protocol = "" if options["removeProtocol"] else "https://"
    domain = options["customDomain"] or SHORT_DOMAIN

    def short(link: re.Match[str]) -> str:
        return f"{protocol}{domain}/{hashlib.sha256(link[0].encode()).hexdigest()[:8]}"

    return _LINK.sub(short, text)
