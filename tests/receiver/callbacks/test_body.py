"""From the bytes on the wire to UTF-8: content codings and charsets, pure and over a socket."""

from __future__ import annotations

import codecs
import encodings.aliases
import gzip
import tracemalloc
import zlib
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from receiver.answers import NotTaken
from receiver.callbacks.body import (
    Unsupported,
    as_utf8,
    charset,
    charset_of,
    coding_of,
    format_of,
    inflate,
    received_text,
)
from receiver.callbacks.intake import NO_LIMITS, verdict_on
from receiver.dlr.errors import MalformedBody
from receiver.dlr.json_format import decode_item
from receiver.dlr.model import Format
from tests.receiver.served import REPORT, get, post, served

MB = 1024**2


def raw_deflate(data: bytes) -> bytes:
    packing = zlib.compressobj(wbits=-15)
    return packing.compress(data) + packing.flush()


# --- content codings ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("header", "coding"),
    [
        (None, None),
        ("", None),
        ("identity", None),
        ("gzip", "gzip"),
        (" GZip ", "gzip"),
        ("x-gzip", "gzip"),
        ("deflate", "deflate"),
        # What says that there is none, and a charset, which somebody put into the wrong header.
        ("none", None),
        ("None, identity", None),
        ("8bit", None),
        ("UTF-8", None),
        ("utf8", None),
        ("iso-8859-1", None),
        ("gzip, identity", "gzip"),
    ],
)
def test_codings(header: str | None, coding: str | None) -> None:
    """gzip and deflate are undone; without a coding there is nothing to undo."""
    assert coding_of(header) == coding


@pytest.mark.parametrize(
    "header", ["br", "zstd", "gzip, gzip", "compress", "x", "\udcff", "g" * 99]
)
def test_other_codings_are_415(header: str) -> None:
    """Any other coding is refused by its name."""
    with pytest.raises(Unsupported) as caught:
        coding_of(header)
    assert caught.value.code == "unsupported_content_encoding"
    assert str(caught.value).isascii() or "…" in str(caught.value)


@pytest.mark.parametrize(
    ("packed", "coding"),
    [
        (gzip.compress(REPORT, mtime=0), "gzip"),
        (gzip.compress(REPORT[:9], mtime=0) + gzip.compress(REPORT[9:], mtime=0), "gzip"),
        (zlib.compress(REPORT), "deflate"),
        (zlib.compress(REPORT, 0), "deflate"),
        (raw_deflate(REPORT), "deflate"),
    ],
)
def test_inflated(packed: bytes, coding: str) -> None:
    """gzip in one piece or several, deflate with the zlib header or without."""
    assert inflate(packed, coding, len(REPORT)) == REPORT
    with pytest.raises(NotTaken, match="after decompression"):
        inflate(packed, coding, len(REPORT) - 1)


@pytest.mark.parametrize("coding", ["gzip", "deflate"])
@pytest.mark.parametrize(
    "packed",
    [
        b"",
        b"garbage",
        gzip.compress(REPORT, mtime=0)[:-1],
        gzip.compress(REPORT, mtime=0)[:20],
        gzip.compress(REPORT, mtime=0) + b"garbage",
        gzip.compress(REPORT, mtime=0)[:-8] + b"\0" * 8,
        zlib.compress(REPORT)[:-1],
        zlib.compress(REPORT) + b"x",
        zlib.compress(REPORT)[:-4] + b"\0" * 4,
        raw_deflate(REPORT)[:-1],
        b"\x1f\x8b",
    ],
)
def test_what_is_coded_wrongly(packed: bytes, coding: str) -> None:
    """Cut off, with a wrong checksum, with more behind: malformed, and nothing else."""
    with pytest.raises(MalformedBody):
        inflate(packed, coding, MB)


@pytest.mark.parametrize("coding", ["gzip", "deflate"])
def test_a_bomb_takes_no_more_than_the_limit(coding: str) -> None:
    """A body that inflates a thousandfold is given up at the limit, with memory of that size."""
    blank = bytes(200 * MB)
    packed = gzip.compress(blank, 9) if coding == "gzip" else zlib.compress(blank, 9)
    del blank
    tracemalloc.start()
    try:
        with pytest.raises(NotTaken):
            inflate(packed, coding, MB)
        assert tracemalloc.get_traced_memory()[1] < 4 * MB
    finally:
        tracemalloc.stop()


def test_a_million_empty_members() -> None:
    """A gzip body of nothing but beginnings is given up too."""
    with pytest.raises(MalformedBody):
        inflate(gzip.compress(b"") * 10_000, "gzip", MB)


# --- formats -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("content_type", "body", "format"),
    [
        ("application/json", b"<", "json"),
        ("application/json; charset=utf-8", b"", "json"),
        ("Application/JSON ;x=y", b"", "json"),
        ("application/problem+json", b"", "json"),
        ("application/xml", b"{", "xml"),
        ("text/xml;charset=UTF-8", b"", "xml"),
        ("application/soap+xml", b"", "xml"),
        (None, b"{}", "json"),
        (None, b"", "json"),
        ("", b" \r\n\t<r/>", "xml"),
        ("text/plain", b"\xef\xbb\xbf <r/>", "xml"),
        ("text/plain; charset=utf-8", b"\xef\xbb\xbf{}", "json"),
        ("application/octet-stream", b"\xff\xfe<\0", "xml"),
        ("application/octet-stream", b"\xfe\xff\0<", "xml"),
        ("application/x-www-form-urlencoded", b'{"results":[]}', "json"),
        ("application/x-www-form-urlencoded", b"<\0r\0", "xml"),
        ("text/html", b"<html>", None),
        ("multipart/form-data; boundary=x", b"{}", None),
        ("image/png", b"", None),
        ("application/json, application/json", b"<", "json"),
        ("application/json,application/JSON; charset=utf-8", b"<", "json"),
        ("text/xml; charset=x , text/xml; charset=x", b"{", "xml"),
        ("application/json, text/xml", b"{}", None),
        ("json", b"{}", None),
    ],
)
def test_the_content_type_settles_the_format(
    content_type: str | None, body: bytes, format: Format | None
) -> None:
    """JSON and XML go by their types, what says nothing by its first byte; the rest is neither."""
    assert format_of(content_type, body) == format


# --- charsets ----------------------------------------------------------------------------------

TEXT = '{"results":[{"status":{},"to":"Zürich"}]}'
XML = (
    '<?xml version="1.0" encoding="%s"?>\n'
    "<r><results><result><status/><to>Zürich</to></result></results></r>"
)


def to_of(body: bytes, content_type: str) -> str | None:
    """The recipient of the only report in a body."""
    verdict = verdict_on(received_text(body, content_type, None, MB), NO_LIMITS)
    assert verdict.quarantined == []
    (entry,) = verdict.entries
    return decode_item(entry.item).to


IN_PYTHON = (
    *("utf-8", "UTF8", "iso-8859-1", "latin1", "windows-1252", "cp037", "mac-roman", "gb18030"),
    *("utf-16", "utf-16-le", "utf-16-be", "utf-32", "utf-7", "iso-8859-15"),
)


@pytest.mark.parametrize("name", IN_PYTHON)
def test_json_in_any_charset(name: str) -> None:
    """JSON in the charset of its Content-Type."""
    assert to_of(TEXT.encode(name), f"application/json; charset={name}") == "Zürich"
    assert to_of(TEXT.encode(name), f'application/json;charset="{name.upper()}"') == "Zürich"


@pytest.mark.parametrize("name", ["shift_jis", "euc_kr", "big5", "gbk", "iso2022_jp"])
def test_charsets_of_several_bytes(name: str) -> None:
    """Charsets that expat does not know are read as well, told by header or declaration."""
    text = TEXT.replace("Zürich", "中")
    document = (XML % name).replace("Zürich", "中")
    if name == "euc_kr":
        text, document = text.replace("中", "한"), document.replace("中", "한")
    expected = text.partition('"to":"')[2][0]
    assert to_of(text.encode(name), f"application/json; charset={name}") == expected
    assert to_of(document.encode(name), f"text/xml; charset={name}") == expected
    assert to_of(document.encode(name), "text/xml") == expected


BOM = codecs.BOM_UTF8


@pytest.mark.parametrize(
    ("body", "content_type"),
    [
        # the mark is right, whatever header and declaration say
        (BOM + (XML % "iso-8859-1").encode(), "text/xml; charset=iso-8859-1"),
        ((XML % "iso-8859-1").encode("utf-16"), "text/xml; charset=iso-8859-1"),
        ((XML % "UTF-8").encode("utf-32"), "application/xml"),
        (BOM + TEXT.encode(), "application/json; charset=latin1"),
        (TEXT.encode("utf-16"), "application/json"),
        (TEXT.encode("utf-32"), "application/json"),
        (TEXT.encode("utf-16"), "application/octet-stream"),
        ((XML % "UTF-16").encode("utf-16"), "application/octet-stream"),
        # then the header
        ((XML % "utf-8").encode("latin1"), "text/xml; charset=iso-8859-1"),
        ((XML % "iso-8859-1").encode(), "text/xml; charset=utf-8"),
        ((XML % "x-nonsense").encode(), "text/xml; charset=utf-8"),
        # then the declaration
        ((XML % "iso-8859-1").encode("latin1"), "text/xml"),
        ((XML % "windows-1252").encode("cp1252"), "text/xml"),
        ((XML % "UTF-16").encode("utf-16-le"), "text/xml"),
        ((XML % "UTF-16").encode("utf-16-be"), "text/xml"),
        ((XML % "utf-16").encode(), "text/xml"),  # it cannot be true
        # then UTF-8
        ((XML % "UTF-8").encode(), "text/xml"),
        ((XML % "UTF-8").partition("\n")[2].encode(), "text/xml"),
        (TEXT.encode(), "application/json"),
        (TEXT.encode(), "application/json; charset="),
        (TEXT.encode(), 'application/json; charset=""'),
        (TEXT.encode(), "application/json; x-charset-of=nothing"),
    ],
)
def test_the_rule_of_charsets(body: bytes, content_type: str) -> None:
    """The mark counts first, then the header, then the declaration, else it is UTF-8."""
    assert to_of(body, content_type) == "Zürich"


@pytest.mark.parametrize(
    "name",
    [
        *[
            "none",
            "rot13",
            "base64",
            "hex",
            "zlib",
            "bz2",
            "idna",
            "punycode",
            "unicode_escape",
            "undefined",
            "aliases",
        ],
        *("../../etc", "a\0b", "x" * 1000, "ü", "\udcff", "__init__"),
    ],
)
def test_no_charset(name: str) -> None:
    """What is no charset of texts is refused, among it Python's codecs that are none."""
    assert charset(name) is None
    with pytest.raises(Unsupported) as caught:
        charset_of(f"application/json; charset={name}")
    assert caught.value.code == "unsupported_charset"


def test_every_charset_is_survived() -> None:
    """Bytes in any of Python's charsets become UTF-8 or malformed."""
    for name in encodings.aliases.aliases:
        if (found := charset(name)) is None:
            continue
        forms: tuple[Format, ...] = ("json", "xml")
        for form in forms:
            for body in (bytes(range(256)), b"", b"\x1b$B", (XML % name).encode()):
                with suppress(MalformedBody):
                    as_utf8(body, form, found)


def test_bytes_that_the_charset_does_not_have() -> None:
    """They are kept, with the place; the body as it came."""
    body = b'{"results":[]}\x81'
    text = received_text(body, "application/json; charset=cp1252", None, MB)
    verdict = verdict_on(text, NO_LIMITS)
    (bad,) = verdict.quarantined
    assert not verdict.readable
    assert (bad.raw, bad.place) == (body, "byte 14")
    assert bad.reason.startswith("not cp1252")


def test_one_wrong_byte_costs_one_report() -> None:
    """In UTF-8, also where the header says so, only the item with the wrong byte is lost."""
    body = b'{"results":[{"to":"1","error":{}},{"to":"\xff"},{"to":"2","error":{}}]}'
    text = received_text(body, "application/json; charset=utf-8", None, MB)
    verdict = verdict_on(text, NO_LIMITS)
    assert (len(verdict.entries), len(verdict.quarantined)) == (2, 1)


# --- over a socket -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("body", "headers", "status"),
    [
        (gzip.compress(REPORT, mtime=0), {"Content-Encoding": "gzip"}, 200),
        (zlib.compress(REPORT), {"Content-Encoding": "deflate"}, 200),
        (raw_deflate(REPORT), {"Content-Encoding": "deflate"}, 200),
        (REPORT, {"Content-Encoding": "identity"}, 200),
        (REPORT, {"Content-Encoding": "br"}, 415),
        (REPORT, {"Content-Encoding": "zstd"}, 415),
        (REPORT, {"Content-Encoding": "gzip"}, 400),
        (gzip.compress(REPORT, mtime=0)[:-9], {"Content-Encoding": "gzip"}, 400),
        (gzip.compress(bytes(MB)), {"Content-Encoding": "gzip"}, 413),
        (zlib.compress(bytes(100 * MB), 9), {"Content-Encoding": "deflate"}, 413),
    ],
)
async def test_codings_over_a_socket(
    tmp_path: Path, body: bytes, headers: dict[str, str], status: int
) -> None:
    """What is coded as it says is read within the limit; what cannot be read is kept as it came."""
    async with served(tmp_path, server='body_limit = "1000KB"') as running:
        reply = await post(running.url, body, headers=list(headers.items()))
        assert reply.status == status
        kept: list[Any] = (await get(running.url, "/api/quarantine")).json["items"]
        assert [each["size"] for each in kept] == ([len(body)] if status in (400, 415) else [])


@pytest.mark.parametrize(
    ("body", "content_type"),
    [
        (TEXT.encode("latin1"), "application/json"),
        (TEXT.encode(), "application/json; charset=utf-8"),
        ((XML % "utf-8").encode(), "text/xml"),
    ],
)
def test_a_charset_as_a_content_encoding(body: bytes, content_type: str) -> None:
    """It is the charset of JSON where no other header tells one; XML declares its own."""
    text = received_text(body, content_type, "ISO-8859-1", MB)
    assert "Zürich" in text.utf8.decode()


async def test_charsets_over_a_socket(tmp_path: Path) -> None:
    """The charset of the header is used, and an unknown one is 415."""
    async with served(tmp_path) as running:
        body = '{"results":[{"messageId":"Zürich","error":{}}]}'.encode("latin1")
        latin = await post(running.url, body, content_type="application/json; charset=latin1")
        assert latin.json["stored"] == 1
        (report,) = (await get(running.url, "/api/reports")).json["reports"]
        assert report["report"]["messageId"] == "Zürich"
        reply = await post(running.url, body, content_type="application/json; charset=none")
        assert (reply.status, reply.code) == (415, "unsupported_charset")
