"""How a URL is written, and called as it is written. Pure.

yarl, which aiohttp asks, takes any text for a URL and mends it: it undoes percent-encoding that it
finds needless, resolves `..` and encodes what is not. A customer whose signed query is
`sig=a%2Fb` then sees another URL than the one that was signed. So a URL is called byte for byte,
and what RFC 3986 does not allow in one is refused when it is set.
"""

from __future__ import annotations

import re
from functools import lru_cache
from urllib.parse import quote

from msgspec import Struct
from yarl import URL

from receiver.faults import quoted

_PARTS = re.compile(
    r"(?P<scheme>https?)://(?:(?P<user>[^/?#]*)@)?"
    r"(?P<host>\[[0-9A-Fa-f:.]+(?:%25[0-9A-Za-z._~-]+)?\]|[^@:/?#\[\]\\\s]*)(?::(?P<port>[0-9]*))?"
    r"(?P<path>(?:/[^?#]*)?)(?:\?(?P<query>[^#]*))?(?:#(?P<fragment>.*))?",
    re.IGNORECASE | re.DOTALL,
)
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]")
_HOST = re.compile(r"[0-9A-Za-z._~-]+|\[.*\]")

# RFC 3986, 3.2.1 and 3.3 to 3.5: unreserved, sub-delims, and what each part allows besides.
_PLAIN = r"0-9A-Za-z\-._~!$&'()*+,;="
_NOT_IN = {
    "user": re.compile(rf"%(?![0-9A-Fa-f]{{2}})|[^{_PLAIN}:%]"),
    "path": re.compile(rf"%(?![0-9A-Fa-f]{{2}})|[^{_PLAIN}:@/%]"),
    "query": re.compile(rf"%(?![0-9A-Fa-f]{{2}})|[^{_PLAIN}:@/?%]"),
}

_SECRET = re.compile("auth|code|cred|key|pass|pw|secret|sig|token", re.IGNORECASE)


class _Parts(Struct, frozen=True):
    """The parts of an http URL as they were written; None where there is none."""

    scheme: str
    user: str | None
    host: str
    port: str | None
    path: str
    query: str | None
    fragment: str | None

    @property
    def place(self) -> str:
        return self.host if self.port is None else f"{self.host}:{self.port}"


def _parts_of(url: str) -> _Parts | None:
    """None for what is no http or https URL with a host."""
    match = _PARTS.fullmatch(url)
    if match is None or not match["host"] or _CONTROL.search(url):
        return None
    return _Parts(**match.groupdict()) if int(match["port"] or 0) <= 65_535 else None


def is_http_url(text: str) -> bool:
    """Whether it is an http or https URL with a host. `spelling_fault` tells whether it is written
    as one must be."""
    parts = _parts_of(text)
    return parts is not None and (not parts.host.isascii() or bool(_HOST.fullmatch(parts.host)))


def spelling_fault(url: str) -> str | None:
    """What RFC 3986 forbids in an http URL, in words, with the form to paste; None when nothing.

    User, password and query may be secret. Of the query only what is at fault is repeated, and
    where it may be a secret, it is only told which signs must be written otherwise.
    """
    parts = _parts_of(url)
    if parts is None or not is_http_url(url):
        return "expected a URL, got something else"
    host = _host(parts.host)
    if host is None:
        return f"expected a host name, got {quoted(parts.host)}, which is not valid in the DNS"
    path = _encoded("path", parts.path)
    fragment = parts.fragment and _encoded("query", parts.fragment)
    faults = []
    if (host, path, fragment) != (parts.host, parts.path, parts.fragment):
        place = parts.place.replace(parts.host, host, 1)
        behind = ("?…" if parts.query else "") + (f"#{fragment}" if fragment else "")
        faults.append(f"write {parts.scheme}://{place}{path}{behind}")
    faults += [
        _written_otherwise("its query", "query", each)
        if _SECRET.search(each.partition("=")[0]) or "=" not in each
        else f"in its query write {_encoded('query', each)}"
        for each in (parts.query or "").split("&")
        if _NOT_IN["query"].search(each)
    ]
    if _NOT_IN["user"].search(parts.user or ""):
        faults.append(_written_otherwise("user and password", "user", parts.user or ""))
    return f"expected a URL as RFC 3986 defines it: {'; '.join(faults)}" if faults else None


def _host(host: str) -> str | None:
    """As the DNS has it; None for what it cannot have."""
    try:
        parsed = URL.build(scheme="http", host=host) if "[" not in host else None
        if parsed is None:
            return host
        parsed.host  # noqa: B018  decodes what follows xn--, and raises for what is no Punycode
    except ValueError:
        return None
    return host if host.isascii() else parsed.raw_host


def _encoded(part: str, text: str) -> str:
    return _NOT_IN[part].sub(lambda sign: _percent(sign[0]), text)


def _percent(sign: str) -> str:
    return quote(sign, safe="", errors="surrogatepass")


def _written_otherwise(where: str, part: str, text: str) -> str:
    found = dict.fromkeys(_NOT_IN[part].findall(text))
    signs = " and ".join(f"{_percent(sign)} for {quoted(sign)}" for sign in found)
    return f"in {where} write {signs}"


@lru_cache(maxsize=1024)
def as_written(url: str) -> URL:
    """For aiohttp: the URL that is called byte for byte.

    Path and query are handed over together as the path, which yarl leaves alone; a query of its own
    would lose a `?` with nothing behind it. What was stored before URLs were checked is mended as
    it was then. Raises ValueError.
    """
    parts = _parts_of(url)
    if parts is None or spelling_fault(url) is not None:
        return URL(url)
    user = "" if parts.user is None else f"{parts.user}@"
    return URL.build(
        scheme=parts.scheme.lower(),
        authority=user + parts.place.removesuffix(":"),
        path=(parts.path or "/") + ("" if parts.query is None else f"?{parts.query}"),
        encoded=True,
    )


def without_user(url: str) -> tuple[str, str | None]:
    """The URL without `user:password@`, otherwise as it was, and what was taken out of it. Raises
    ValueError for what is no http or https URL."""
    parts = _parts_of(url)
    if parts is None:
        raise ValueError("not an http or https URL")
    if parts.user is None:
        return url, None
    return url.replace(f"{parts.user}@", "", 1), parts.user
