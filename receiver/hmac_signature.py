"""HMAC of a raw body: who holds the key has sent exactly this. Pure; used by both sides.

The provider documents the six algorithms and nothing else: header, encoding and what is signed are
not in any source (reference, part 4.3). So all of it can be set, and the defaults are ours.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Literal

from msgspec import Struct

Algorithm = Literal[
    "HMAC_MD5", "HMAC_SHA_1", "HMAC_SHA_224", "HMAC_SHA_256", "HMAC_SHA_384", "HMAC_SHA_512"
]
"""The names that the provider has for them."""

Encoding = Literal["hex", "base64", "base64url"]

Signed = Literal["body", "timestamp.body"]
"""What goes into the HMAC: the body, or the timestamp header's value, a dot and the body."""

_DIGESTS = {
    "HMAC_MD5": hashlib.md5,
    "HMAC_SHA_1": hashlib.sha1,
    "HMAC_SHA_224": hashlib.sha224,
    "HMAC_SHA_256": hashlib.sha256,
    "HMAC_SHA_384": hashlib.sha384,
    "HMAC_SHA_512": hashlib.sha512,
}

_TIMESTAMP_DIGITS_MOST = 12
"""Seconds since 1970 with more digits are nobody's clock; milliseconds have 13."""


class HmacScheme(Struct, frozen=True, kw_only=True):
    """How a signature is made and where it travels.

    `prefix` stands before the encoded digest, such as `sha256=`. `timestamp_header` None: no
    instant is sent. Otherwise it holds seconds since 1970, and one that is off by more than
    `tolerance` is refused; it proves something only where `signed` includes it.
    """

    header: str = "X-Infobip-Signature"
    algorithm: Algorithm = "HMAC_SHA_256"
    encoding: Encoding = "hex"
    prefix: str = ""
    timestamp_header: str | None = None
    tolerance: timedelta = timedelta(minutes=5)
    signed: Signed = "body"

    def __post_init__(self) -> None:
        if self.signed == "timestamp.body" and self.timestamp_header is None:
            raise ValueError("a timestamp cannot be signed without a timestamp header")


def timestamp_text(now: datetime) -> str:
    """An instant as the timestamp header has it: whole seconds since 1970."""
    return str(int(now.timestamp()))


def sign(scheme: HmacScheme, key: bytes, body: bytes, timestamp: str | None) -> str:
    """The value of the signature header. `timestamp` is the timestamp header's value, `None` only
    when the scheme has none."""
    digest = _digest(scheme, key, _signed(scheme, body, timestamp or ""))
    return scheme.prefix + _encode(scheme.encoding, digest)


def verify(
    scheme: HmacScheme,
    keys: Sequence[bytes],
    body: bytes,
    given: str | None,
    timestamp_text: str | None,
    now: datetime,
) -> bool:
    """Whether one of the keys made the signature that came, at about `now`.

    `given` and `timestamp_text` are the headers' values, `None` for a header that did not come. The
    digests are compared in constant time, and all keys are tried, so that the time it takes tells
    neither how near a guess is nor which key it was. Never raises, whatever the texts are.
    """
    digest = _given_digest(scheme, given)
    if digest is None or not _in_time(scheme, timestamp_text, now):
        return False
    signed = _signed(scheme, body, timestamp_text or "")
    matches = [hmac.compare_digest(_digest(scheme, key, signed), digest) for key in keys]
    return any(matches)


def _signed(scheme: HmacScheme, body: bytes, timestamp: str) -> bytes:
    return body if scheme.signed == "body" else b"%b.%b" % (timestamp.encode(), body)


def _digest(scheme: HmacScheme, key: bytes, signed: bytes) -> bytes:
    return hmac.digest(key, signed, _DIGESTS[scheme.algorithm])


def _encode(encoding: Encoding, digest: bytes) -> str:
    match encoding:
        case "hex":
            return digest.hex()
        case "base64":
            return base64.b64encode(digest).decode()
        case "base64url":
            return base64.urlsafe_b64encode(digest).decode()


def _given_digest(scheme: HmacScheme, given: str | None) -> bytes | None:
    """The digest in a header's value; `None` when there is none."""
    if given is None or not given.startswith(scheme.prefix):
        return None
    try:
        return _decode(scheme.encoding, given.removeprefix(scheme.prefix))
    except ValueError:
        return None


def _decode(encoding: Encoding, text: str) -> bytes:
    """Capital hex digits and missing padding mean the same digest, and senders differ in them."""
    if encoding == "hex":
        return bytes.fromhex(text)
    padded = text.rstrip("=") + "=" * (-len(text.rstrip("=")) % 4)
    return base64.b64decode(padded, b"-_" if encoding == "base64url" else None, validate=True)


def _in_time(scheme: HmacScheme, text: str | None, now: datetime) -> bool:
    if scheme.timestamp_header is None:
        return True
    if text is None or not (text.isascii() and text.isdigit()):
        return False
    if len(text) > _TIMESTAMP_DIGITS_MOST:
        return False
    return abs(now.timestamp() - int(text)) <= scheme.tolerance.total_seconds()
