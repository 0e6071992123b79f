"""The bytes of a body, from how they travelled to a text in UTF-8. Pure.

content coding   gzip or deflate is undone, never beyond the size limit
format           JSON or XML, as the Content-Type says; where it says nothing, by the first byte
charset          a byte order mark tells; otherwise the Content-Type; otherwise, in XML, the
                 declaration; otherwise it is UTF-8

Two mistakes of proxies and clients are taken as what they mean: a Content-Type that is there twice,
and a Content-Encoding that names no coding (`none`) or, instead of one, the charset (`UTF-8`).
"""

from __future__ import annotations

import codecs
import encodings
import encodings.aliases
import pkgutil
import re
import zlib
from email.message import Message
from functools import lru_cache

from msgspec import Struct

from receiver.answers import NotTaken
from receiver.dlr.errors import MalformedBody
from receiver.dlr.model import Format

CODINGS = ("gzip", "deflate")


class Unsupported(MalformedBody):
    """A body in a format, a charset or a content coding that is not read here. It is answered 415
    with `code`, and kept."""

    def __init__(self, code: str, reason: str) -> None:
        super().__init__("", reason)
        self.code = code


class BodyText(Struct, frozen=True):
    """A body ready to be read, in its format and in UTF-8 without a byte order mark.

    `raw` is the body without its content coding, in the charset in which it came: the bytes that
    quarantine keeps. Where `fault` says that the body is no text, `utf8` is `raw`, or empty if not
    even the content coding could be undone.
    """

    format: Format
    raw: bytes
    utf8: bytes
    fault: MalformedBody | None = None


def received_text(
    body: bytes, content_type: str | None, content_encoding: str | None, inflated_most: int
) -> BodyText:
    """The text of a body as it came over the wire, by these two headers.

    Raises NotTaken for one that is too large when it is inflated, which is not even kept.
    """
    if content_encoding is None and (plain := plain_format(content_type)) is not None:
        return text_of(body, plain)
    fault: MalformedBody | None = None
    told: str | None = None
    try:
        told = charset_of(content_type)
        coding = coding_of(content_encoding)
        if coding is not None:
            body = inflate(body, coding, inflated_most)
    except MalformedBody as error:
        fault = error
    form = format_of(content_type, body)
    if form is None:
        form = sniffed(body)
        expected = f"expected JSON or XML, got {quoted(content_type or '')}"
        if not isinstance(fault, Unsupported):
            fault = Unsupported("unsupported_media_type", expected)
    if fault is not None:
        return BodyText(form, body, b"", fault)
    if told is None and form == "json":  # XML declares its own
        told = charset(content_encoding or "")
    return text_of(body, form, told)


def text_of(raw: bytes, form: Format, told: str | None = None) -> BodyText:
    """The text of bytes whose format is known. `told` is the charset of the Content-Type."""
    try:
        return BodyText(form, raw, as_utf8(raw, form, told))
    except MalformedBody as error:
        return BodyText(form, raw, raw, error)


def too_large(limit: int, after: str = "") -> NotTaken:
    return NotTaken(413, "too_large", f"the body is larger than {limit} bytes{after}")


# --- content coding ----------------------------------------------------------------------------


def coding_of(header: str | None) -> str | None:
    """`gzip`, `deflate`, or `None` for a body that is not coded. Raises Unsupported for others.

    What says that there is none, and the name of a charset, is no coding.
    """
    words = ((header or "").strip().lower().removeprefix("x-")).split(",")
    coding = ",".join(word for word in map(str.strip, words) if word not in _NO_CODING)
    if not coding or charset(coding) is not None:
        return None
    if coding not in CODINGS:
        expected = f"expected a Content-Encoding of {' or '.join(CODINGS)}, got {quoted(coding)}"
        raise Unsupported("unsupported_content_encoding", expected)
    return coding


_NO_CODING = frozenset({"", "identity", "none", "binary", "7bit", "8bit"})


def inflate(body: bytes, coding: str, limit: int) -> bytes:
    """`body` without its coding. Takes no more than about `limit` bytes of memory, whatever it is.

    `deflate` is read with the zlib header and, as some clients send it, without. Raises NotTaken
    beyond the limit, and MalformedBody for what is not coded as it says, is cut off, or goes on
    after its end.
    """
    try:
        return b"".join(_members(body, coding, limit))
    except zlib.error as error:
        raise MalformedBody("", f"not {coding}: {error}") from error


def _members(body: bytes, coding: str, limit: int) -> list[bytes]:
    """A gzip body may be several, one after the other."""
    pieces: list[bytes] = []
    size = 0
    rest = body
    while rest or not pieces:
        inflating = zlib.decompressobj(_window_bits(rest, coding))
        piece = inflating.decompress(rest, limit - size + 1)
        size += len(piece)
        if size > limit:
            raise too_large(limit, " after decompression")
        if not inflating.eof:
            raise MalformedBody(f"byte {len(body)}", f"not {coding}: it is truncated")
        pieces.append(piece)
        rest = inflating.unused_data
        if rest and (coding != "gzip" or len(pieces) == _MEMBERS_MOST):
            raise MalformedBody(
                f"byte {len(body) - len(rest)}", (f"not {coding}: there is more data after its end")
            )
    return pieces


_MEMBERS_MOST = 1_000  # 10 MB of empty ones would be half a million


def _window_bits(body: bytes, coding: str) -> int:
    if coding == "gzip":
        return 16 + zlib.MAX_WBITS
    has_header = len(body) > 1 and body[0] & 0x0F == 8 and (body[0] << 8 | body[1]) % 31 == 0
    return zlib.MAX_WBITS if has_header else -zlib.MAX_WBITS


# --- format ------------------------------------------------------------------------------------

_SNIFFED = frozenset(
    {"", "application/octet-stream", "text/plain", "application/x-www-form-urlencoded"}
)
"""What clients send that set no content type, or whose library sets one for them."""

_TAGS = (b"<", b"\0<", b"\xff\xfe<", b"\xff\xfe\0\0<", b"\xfe\xff\0<", b"\0\0\xfe\xff\0\0\0<")
"""How `<` begins a body in UTF-8, UTF-16 and UTF-32."""


def format_of(content_type: str | None, body: bytes) -> Format | None:
    """The format to read `body` in; `None` = neither of ours, to be answered with 415.

    A content type that says nothing is settled by the first byte that is no blank.
    """
    kind = _kind(content_type)
    return sniffed(body) if kind in _SNIFFED else _format_named(kind)


def _kind(content_type: str | None) -> str:
    return as_one(content_type or "").partition(";")[0].strip().lower()


def _format_named(kind: str) -> Format | None:
    if kind == "application/json" or kind.endswith("+json"):
        return "json"
    if kind in ("application/xml", "text/xml") or kind.endswith("+xml"):
        return "xml"
    return None


@lru_cache(maxsize=256)
def plain_format(content_type: str | None) -> Format | None:
    """The format of a Content-Type that names one, and no charset; `None` for any other."""
    if content_type is None or "charset" in content_type.lower():
        return None
    return _format_named(_kind(content_type))


def as_one(content_type: str) -> str:
    """A Content-Type that is there twice, once: the proxy that added it said the same. Two
    different ones stay as they are."""
    if "," not in content_type:
        return content_type
    each = [one.strip() for one in content_type.split(",")]
    kinds = {one.partition(";")[0].rstrip().lower() for one in each}
    told = {one.lower(): one for one in each if ";" in one}
    if len(kinds) != 1 or len(told) > 1:
        return content_type
    return next(iter(told.values()), each[0])


def sniffed(body: bytes) -> Format:
    """XML if it begins like it, otherwise JSON."""
    start = body[:1024].removeprefix(b"\xef\xbb\xbf").lstrip()
    return "xml" if start.startswith(_TAGS) else "json"


# --- charset -----------------------------------------------------------------------------------

_NOT_CHARSETS = frozenset(
    {"aliases", "base64_codec", "bz2_codec", "hex_codec", "quopri_codec", "rot_13", "uu_codec"}
    | {"zlib_codec", "charmap", "undefined", "mbcs", "oem"}
    # Quadratic in what they read, or languages of their own: no charset of any document.
    | {"idna", "punycode", "unicode_escape", "raw_unicode_escape"}
)


def _known_charsets() -> dict[str, str]:
    """Python's names of charsets. Only these are looked up: it remembers each name it is asked for,
    known or not, and senders could make it remember a lot.
    """
    modules = {module.name for module in pkgutil.iter_modules(encodings.__path__)}
    names = {name: name for name in modules} | encodings.aliases.aliases
    return {name: of for name, of in names.items() if of not in _NOT_CHARSETS}


_CHARSETS = _known_charsets()


def charset(name: str) -> str | None:
    """The charset that Python has under this name; `None` when it has none."""
    if not name.isascii() or len(name) > 40:
        return None
    return _CHARSETS.get(re.sub("[^a-z0-9.]+", "_", name.lower()).strip("_").replace(".", "_"))


@lru_cache(maxsize=256)  # a sender says the same each time
def charset_of(content_type: str | None) -> str | None:
    """The charset of a Content-Type; `None`: it has none. Raises Unsupported for unknown ones."""
    if content_type is None or "charset" not in content_type.lower():
        return None
    header = Message()
    header["Content-Type"] = as_one(content_type).encode("ascii", "replace").decode()
    name = header.get_param("charset")
    if not isinstance(name, str) or not name.strip():
        return None
    found = charset(name.strip().strip("'"))
    if found is None:
        raise Unsupported("unsupported_charset", f"there is no charset {quoted(name)}")
    return found


_MARKS = (
    (codecs.BOM_UTF8, "utf_8"),
    (codecs.BOM_UTF32_LE, "utf_32_le"),  # before UTF-16, whose mark it begins with
    (codecs.BOM_UTF32_BE, "utf_32_be"),
    (codecs.BOM_UTF16_LE, "utf_16_le"),
    (codecs.BOM_UTF16_BE, "utf_16_be"),
)
_FIRST_OF_MARKS = frozenset(mark[:1] for mark, _ in _MARKS)
_DECLARATION = re.compile(rb"\s*<\?xml\s[^>]{0,200}?\?>")
_DECLARED = re.compile(rb"""encoding\s*=\s*["']([A-Za-z0-9._-]+)["']""")
_UTF8 = frozenset({"utf_8", "ascii"})


def as_utf8(body: bytes, form: Format, told: str | None) -> bytes:
    """`body` in UTF-8 without a byte order mark. `told` is the charset of the Content-Type.

    An XML declaration that does not say UTF-8 is blanked, so that nothing contradicts the bytes and
    every place in the document stays where it was. Raises MalformedBody for bytes that the charset
    does not have, and for a declared charset that there is not.
    """
    if body[:1] in _FIRST_OF_MARKS:
        mark, marked = next((each for each in _MARKS if body.startswith(each[0])), (b"", told))
        body, told = body[len(mark) :], marked
    if form == "json":
        return body if told is None else _decoded(body, told)
    if told is None and (told := _by_zeros(body)) is None:
        return _as_declared(body)
    return _blanked(_decoded(body, told))


def _as_declared(body: bytes) -> bytes:
    declaration = _DECLARATION.match(body)
    declared = declaration and _DECLARED.search(declaration[0])
    if not declared:
        return body
    name = declared[1].decode()
    if (found := charset(name)) is None:
        raise MalformedBody("line 1", f"there is no encoding {quoted(name)}")
    # What declares itself in these bytes is no UTF-16, whatever it says.
    if found in _UTF8 or found.startswith(("utf_16", "utf_32")):
        return body if name.lower() in ("utf-8", "us-ascii") else _blanked(body)
    return _blanked(_decoded(body, found))


def _blanked(body: bytes) -> bytes:
    declaration = _DECLARATION.match(body)
    if not declaration:
        return body
    return re.sub(rb"[^\r\n]", b" ", declaration[0]) + body[declaration.end() :]


def _by_zeros(body: bytes) -> str | None:
    """UTF-16 without a mark shows itself in the first character of a document."""
    return {b"<\0": "utf_16_le", b"\0<": "utf_16_be"}.get(body[:2])


def _decoded(body: bytes, name: str) -> bytes:
    """Bytes in UTF-8 are left as they are: what is wrong in one item must not cost the others."""
    if name in _UTF8:
        return body
    if name in ("utf_16", "utf_32"):  # without a mark: by where the zeros are
        name += "_be" if body[:1] == b"\0" else "_le"
    try:
        return body.decode(name).encode()
    except UnicodeDecodeError as error:
        raise MalformedBody(f"byte {error.start}", f"not {name}: {error.reason}") from error
    except UnicodeError as error:
        raise MalformedBody("", f"not {name}: {error}") from error


def quoted(text: str) -> str:
    """A sender's word in a message of ours: short, and nothing but visible ASCII."""
    short = text if len(text) <= 40 else text[:39] + "…"
    return f'"{short.encode("ascii", "backslashreplace").decode()}"'
