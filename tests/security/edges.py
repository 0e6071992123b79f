"""Requests at the edges of what each operation of an OpenAPI document takes, a value at a time."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

INSTANTS = (
    *(
        "0001-01-01",
        "0001-01-01T00:00:00Z",
        "0001-01-01T00:00:00+23:59",
        "0001-01-01T00:00:00-23:59",
    ),
    *(
        "9999-12-31",
        "9999-12-31T23:59:59.999999Z",
        "9999-12-31T23:59:59+23:59",
        "9999-12-31T24:00Z",
    ),
    *("0001-01-01T00:00:00.000+0000", "9999-12-31T23:59:59.999-2359", "0000-00-00", "2026-02-30"),
    *("1970-01-01T00:00:00Z", "2026-11-21T10:00:60Z"),
)
NUMBERS = (
    *("0", "-0", "-1", "1", "2147483648", "9223372036854775807", "9223372036854775808"),
    *("18446744073709551615", "18446744073709551616", "-9223372036854775809", "9" * 5_000),
    *("1e3", "1e400", "1.5", "NaN", "inf", "0x10", "٣", "1_0"),
)
DURATIONS = ("0s", "1ms", "0.0001ms", "99999999999d", "-1s", "1h1h", "9" * 400 + "s")
URLS = (
    *(
        "http://xn--.example/",
        "http://xn--a.example/",
        "http://[::1",
        "http://[::ffff:1.2.3.4%25a]/",
    ),
    *(
        "http://127.0.0.1:99999/",
        "http://a:b:c/",
        "http://%zz/",
        "http://é.example/",
        "//",
        "http:",
    ),
    *("http://" + "a" * 300 + ".example/", "http://.../", "http://a.b:0/", "file:///etc/passwd"),
)
TEXTS = (
    *(
        "",
        " ",
        "\x00",
        "a\x00b",
        "👍",
        "a\nb",
        "a\r\nX: y",
        "a/b",
        "../..",
        "%",
        "%zz",
        "'",
        '"',
        "\\",
    ),
    *("[", "{}", "null", "true", "*", "+", ",", ",,,", "a,b", "a" * 200, "é", "\ufeff", "\u202e"),
    *("replay-1", "notify-url", "r1", "d1", "0" * 40),
)
LONG = "x" * 8_192

EDGES = (*INSTANTS, *NUMBERS, *DURATIONS, *URLS, *TEXTS)

RAW = (b"\xed\xa0\x80", b"\xff", b"\xc0\x80", b"\xf0\x9f")
"""No UTF-8: a lone surrogate, and broken pieces."""

VALUES: tuple[Any, ...] = (
    *(None, True, False, 0, -1, 2**31, 2**53, 2**63 - 1, 2**63, 2**64, -(2**63) - 1, 1e308, -0.0),
    *(1.5, [], [None], [[]], {}, {"": None}, {"a": {"b": []}}, "\ud800", "\udfff\ud800", LONG),
    *EDGES,
)
"""What may stand at a place in JSON."""

BODIES = (
    *(b"", b" ", b"null", b"[]", b"{}", b"0", b'""', b"{", b"[{}]", b"nul", b"\xef\xbb\xbf{}"),
    *(b"[" * 2_000, b'{"a":' * 2_000, b'{"a":1,"a":2}', b'{"\\ud800":1}', b'{"":1}', b"\x00"),
    *(b'{"a":1e999}', b'{"a":' + b"9" * 5_000 + b"}", b"x" * 8_192, b"\xff\xfe{\x00}\x00"),
    *(b"<a/>", b"<a>&b;</a>", b"<a" * 500, b'<?xml version="1.0" encoding="x"?><a/>', b"<!--"),
)


@dataclass(frozen=True, slots=True)
class Request:
    """One request, and in words what is odd about it."""

    what: str
    method: str
    target: bytes
    headers: tuple[tuple[str, str | bytes], ...] = ()
    body: bytes | None = None


def requests(document: Mapping[str, Any], ids: Mapping[str, str]) -> Iterator[Request]:
    """Each operation with each edge at each of its places. `ids` are values that lead somewhere, by
    the names of path parameters."""
    for path, operations in document["paths"].items():
        for method, operation in operations.items():
            if method in ("get", "post", "put", "patch", "delete"):
                yield from _Operation(document, path, method.upper(), operation, ids).requests()


@dataclass(frozen=True, slots=True)
class _Operation:
    document: Mapping[str, Any]
    path: str
    method: str
    operation: Mapping[str, Any]
    ids: Mapping[str, str]

    def requests(self) -> Iterator[Request]:
        yield self._request("nothing odd")
        for parameter in self.operation.get("parameters", ()):
            for raw in (*(edge.encode() for edge in EDGES), *RAW, b"x" * 2_000):
                yield from self._with(parameter, raw)
        if "requestBody" in self.operation:
            yield from self._bodies()

    def _with(self, parameter: Mapping[str, Any], raw: bytes) -> Iterator[Request]:
        name, place = parameter["name"], parameter["in"]
        what = f"{place} {name} = {raw[:40]!r}"
        if place == "path":
            yield self._request(what, ids={name: quote(raw, safe="")})
        elif place == "query":
            yield self._request(what, query=f"{quote(name)}={quote(raw, safe='')}")
        elif place == "header" and not set(raw) & set(b"\x00\r\n"):
            yield self._request(what, headers=((name, raw),))

    def _bodies(self) -> Iterator[Request]:
        content = self.operation["requestBody"]["content"]
        for media in content:
            for body in BODIES:
                yield self._request(f"a body {body[:30]!r}", media=media, body=body)
        schema = content.get("application/json", {}).get("schema")
        if schema is None:
            return
        base = self._base(content["application/json"])
        for place in self._places(schema, ()):
            for value in VALUES:
                body = json.dumps(_put(base, place, value)).encode()
                dotted = ".".join(map(str, place))
                yield self._request(
                    f"{dotted} = {value!r:.60}", media="application/json", body=body
                )

    def _base(self, content: Mapping[str, Any]) -> Any:
        for example in content.get("examples", {}).values():
            return example["value"]
        return self._required(content["schema"])

    def _required(self, schema: Mapping[str, Any]) -> Any:
        """A small value that fits: the required parts, by their examples."""
        schema = self._resolved(schema)
        for key in ("examples", "enum"):
            if schema.get(key):
                return schema[key][0]
        if "const" in schema:
            return schema["const"]
        match schema.get("type"):
            case "object":
                parts = schema.get("properties", {})
                return {name: self._required(parts[name]) for name in schema.get("required", ())}
            case "array":
                return [self._required(schema["items"])] if "items" in schema else []
            case "integer" | "number":
                return schema.get("minimum", 1)
            case "boolean":
                return True
        return _BY_FORMAT.get(schema.get("format", ""), "41793026727")

    def _places(
        self, schema: Mapping[str, Any], before: tuple[str | int, ...]
    ) -> Iterator[tuple[str | int, ...]]:
        schema = self._resolved(schema)
        if len(before) > 6:
            return
        for name, part in schema.get("properties", {}).items():
            yield (*before, name)
            yield from self._places(part, (*before, name))
        if isinstance(schema.get("items"), Mapping):
            yield (*before, 0)
            yield from self._places(schema["items"], (*before, 0))

    def _resolved(self, schema: Mapping[str, Any]) -> Mapping[str, Any]:
        while True:
            if "$ref" in schema:
                name = schema["$ref"].rpartition("/")[2]
                schema = self.document["components"]["schemas"][name]
            elif chosen := schema.get("anyOf") or schema.get("oneOf") or schema.get("allOf"):
                schema = next(each for each in chosen if each.get("type") != "null")
            else:
                return schema

    def _request(
        self,
        what: str,
        *,
        ids: Mapping[str, str] | None = None,
        query: str = "",
        headers: tuple[tuple[str, str | bytes], ...] = (),
        media: str | None = None,
        body: bytes | None = None,
    ) -> Request:
        path = self.path
        for name, text in {**self.ids, **(ids or {})}.items():
            path = path.replace(f"{{{name}}}", text)
        target = f"{path}?{query}" if query else path
        if media is not None:
            headers = (*headers, ("Content-Type", media))
        told = f"{self.method} {self.path}: {what}"
        return Request(told, self.method, target.encode(), headers, body)


_BY_FORMAT = {"date-time": "2026-11-21T10:00:00.000+0000", "uri": "https://acme.example/"}


def _put(base: Any, place: tuple[str | int, ...], value: Any) -> Any:
    """`base` with this value at a place, which is made where it is not there."""
    if not place:
        return value
    step, *rest = place
    inner = tuple(rest)
    if isinstance(step, int):
        return [_put(base[0] if isinstance(base, list) and base else {}, inner, value)]
    table = base if isinstance(base, dict) else {}
    return {**table, step: _put(table.get(step), inner, value)}
