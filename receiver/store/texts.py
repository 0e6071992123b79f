"""The texts that some bytes may stand for, for a search that must not miss one. Pure.

Quarantine keeps bodies that nobody could read: compressed ones without a header that says so, in
another charset than they say, cut off. So no header is believed, and nothing is refused: each
reading is tried, and what is no text holds nothing.
"""

from __future__ import annotations

import html
import re
import zlib
from collections.abc import Iterator
from typing import Final
from urllib.parse import unquote

INFLATED_MOST: Final = 64 * 1024**2
"""Bytes that are taken out of a compressed body. One that is larger was refused."""

_LAYERS: Final = 2  # compressed twice, by an app and by a proxy

_CHARSET = re.compile(r"charset\s*=\s*[\"']?(cp[0-9]{3,4}|ibm-?[0-9]{3,4}|utf-?7)\b", re.IGNORECASE)
"""Charsets whose digits are not those of ASCII, or not always."""

_ESCAPE = re.compile(r"\\(?:u([0-9a-fA-F]{4})|([\"\\/])|[bfnrt])")


def texts_of(body: bytes, content_type: str | None = None) -> Iterator[str]:
    """Each text that `body` may stand for: inflated, in UTF-8, UTF-16 and UTF-32, and in the
    charset that it says, each as it is and without escapes."""
    for raw in bytes_of(body):
        for text in _decoded(raw, content_type):
            yield text
            if (plain := unescaped(text)) != text:
                yield plain


def bytes_of(body: bytes) -> Iterator[bytes]:
    """The body, and what is left of it when it is inflated, as far as it can be."""
    yield body
    for _ in range(_LAYERS):
        inflated = _inflated(body)
        if not inflated:
            return
        body = inflated
        yield body


def unescaped(text: str) -> str:
    r"""A text without the escapes of JSON (`\u0034`), XML (`&#52;`) and URLs (`%34`)."""
    if "\\" in text:
        text = _ESCAPE.sub(_unescaped, text)
    if "&" in text:
        text = html.unescape(text)
    return unquote(text) if "%" in text else text


def _unescaped(found: re.Match[str]) -> str:
    return chr(int(found[1], 16)) if found[1] else found[2] or " "


def _decoded(raw: bytes, content_type: str | None) -> Iterator[str]:
    try:
        yield raw.decode()
    except UnicodeDecodeError:
        yield raw.decode("latin-1")  # its digits are where they are in any charset like it
    if b"\0" in raw:
        for start in (0, 1):  # the text may begin at an odd byte
            yield raw[start:].decode("utf-16-le", "replace")
            yield raw[start:].decode("utf-16-be", "replace")
        yield raw.replace(b"\0", b"").decode("utf-8", "replace")  # UTF-32
    if (told := _CHARSET.search(content_type or "")) is not None:
        try:
            yield raw.decode(told[1], "replace")
        except LookupError:
            return


def _inflated(body: bytes) -> bytes:
    """As much as can be inflated; nothing where nothing can."""
    if body.startswith(b"\x1f\x8b"):
        return _inflate(body, 16 + zlib.MAX_WBITS)
    if len(body) > 1 and body[0] & 0x0F == 8 and (body[0] << 8 | body[1]) % 31 == 0:
        return _inflate(body, zlib.MAX_WBITS)
    return b"" if _is_text(body) else _inflate(body, -zlib.MAX_WBITS)


def _is_text(body: bytes) -> bool:
    """Whether it begins like a text: then it is no deflate without a header."""
    start = body[:64].lstrip(b"\xef\xbb\xbf\xff\xfe")
    return start.isascii() or start.startswith((b"{", b"[", b"<", b'"'))


def _inflate(body: bytes, window_bits: int) -> bytes:
    """Members of gzip one after the other, too. What is cut off gives what there is."""
    found = bytearray()
    while body and len(found) < INFLATED_MOST:
        inflating = zlib.decompressobj(window_bits)
        try:
            # In pieces: what comes before a broken place is kept.
            for start in range(0, len(body), 512):
                found += inflating.decompress(body[start : start + 512], INFLATED_MOST)
                if inflating.eof:
                    body = inflating.unused_data + body[start + 512 :]
                    break
                if len(found) >= INFLATED_MOST:
                    return bytes(found)
            else:
                return bytes(found)
        except zlib.error:
            return bytes(found)
        if window_bits < 16:
            return bytes(found)
    return bytes(found)
