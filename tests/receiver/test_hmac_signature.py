"""HMAC signatures: the vectors of the RFCs, and what does not pass."""

from __future__ import annotations

import base64
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from receiver.hmac_signature import (
    Algorithm,
    Encoding,
    HmacScheme,
    Signed,
    sign,
    timestamp_text,
    verify,
)

NOW = datetime(2026, 3, 2, 12, tzinfo=UTC)
JEFE = b"Jefe"
QUESTION = b"what do ya want for nothing?"
OF_JEFE: list[tuple[Algorithm, str]] = [
    # RFC 2202, test case 2 of both
    ("HMAC_MD5", "750c783e6ab0b503eaa86e310a5db738"),
    ("HMAC_SHA_1", "effcdf6ae5eb2fa2d27416d5f184df9c259a7c79"),
    # RFC 4231, test case 2
    ("HMAC_SHA_224", "a30e01098bc6dbbf45690f3a7e9e6d0f8bbea2a39e6148008fd05e44"),
    ("HMAC_SHA_256", "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843"),
    (
        "HMAC_SHA_384",
        "af45d2e376484031617f78d2b58a6b1b9c7ef464f5a01b47e42ec3736322445e"
        "8e2240ca5e69e2c78b3239ecfab21649",
    ),
    (
        "HMAC_SHA_512",
        "164b7a7bfcf819e2e395fbe73b56e0a387bd64222e831fd610270cd7ea250554"
        "9758bf75c05a994a6d034f65f8f0e6fdcaeab1a34d4a6b4b636e070a38bce737",
    ),
]


@pytest.mark.parametrize(("algorithm", "digest"), OF_JEFE)
def test_vectors_of_the_rfcs(algorithm: Algorithm, digest: str) -> None:
    """Each of the provider's six algorithms gives what RFC 2202 and RFC 4231 say."""
    scheme = HmacScheme(algorithm=algorithm)

    assert sign(scheme, JEFE, QUESTION, None) == digest
    assert verify(scheme, [JEFE], QUESTION, digest, None, NOW)


def test_a_key_longer_than_a_block() -> None:
    """A key of 131 bytes is hashed first (RFC 4231, test case 6)."""
    body = b"Test Using Larger Than Block-Size Key - Hash Key First"

    assert sign(HmacScheme(), b"\xaa" * 131, body, None) == (
        "60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54"
    )


@pytest.mark.parametrize(
    ("encoding", "prefix", "value"),
    [
        ("hex", "sha256=", "sha256=" + OF_JEFE[3][1]),
        ("base64", "", "W9zBRr9gdU5qBCQmCJV1x1oAPwidJzmDnexYuWTsOEM="),
        ("base64url", "v1,", "v1,W9zBRr9gdU5qBCQmCJV1x1oAPwidJzmDnexYuWTsOEM="),
    ],
)
def test_encodings(encoding: Encoding, prefix: str, value: str) -> None:
    """The digest stands in the header as the scheme encodes it, behind the prefix."""
    scheme = HmacScheme(encoding=encoding, prefix=prefix)

    assert sign(scheme, JEFE, QUESTION, None) == value
    assert verify(scheme, [JEFE], QUESTION, value, None, NOW)
    assert not verify(scheme, [JEFE], QUESTION + b" ", value, None, NOW)


@pytest.mark.parametrize(
    ("encoding", "value"),
    [
        ("hex", OF_JEFE[3][1].upper()),
        ("base64", "W9zBRr9gdU5qBCQmCJV1x1oAPwidJzmDnexYuWTsOEM"),
    ],
)
def test_other_spellings_of_the_same_digest(encoding: Encoding, value: str) -> None:
    """Capital hex digits and base64 without padding are the same digest."""
    assert verify(HmacScheme(encoding=encoding), [JEFE], QUESTION, value, None, NOW)


def test_base64url_is_another_alphabet() -> None:
    """base64url writes - and _ where base64 has + and /."""
    body = next(
        each
        for each in (str(number).encode() for number in range(1000))
        if {"+", "/"} <= set(sign(HmacScheme(encoding="base64"), JEFE, each, None))
    )
    plain = sign(HmacScheme(encoding="base64"), JEFE, body, None)
    url = sign(HmacScheme(encoding="base64url"), JEFE, body, None)

    assert base64.urlsafe_b64decode(url) == base64.b64decode(plain)
    assert "+" not in url
    assert verify(HmacScheme(encoding="base64url"), [JEFE], body, url, None, NOW)
    assert not verify(HmacScheme(encoding="base64"), [JEFE], body, url, None, NOW)


@pytest.mark.parametrize(
    "given",
    [None, "", "sha256=", "sha256=zz", "sha256=5bdcc1", OF_JEFE[3][1], "sha512=" + OF_JEFE[3][1]],
)
def test_what_does_not_pass(given: str | None) -> None:
    """No header, no digest, half a digest, no prefix and another prefix do not pass."""
    assert not verify(HmacScheme(prefix="sha256="), [JEFE], QUESTION, given, None, NOW)


def test_several_keys() -> None:
    """While keys are changed, a signature of any of them passes; of no key nothing does."""
    given = sign(HmacScheme(), b"new", QUESTION, None)

    assert verify(HmacScheme(), [b"old", b"new"], QUESTION, given, None, NOW)
    assert not verify(HmacScheme(), [b"old"], QUESTION, given, None, NOW)
    assert not verify(HmacScheme(), [], QUESTION, given, None, NOW)


TIMED = HmacScheme(timestamp_header="X-Timestamp", signed="timestamp.body")


@pytest.mark.parametrize(
    ("late", "passes"), [(0, True), (300, True), (-300, True), (301, False), (-301, False)]
)
def test_tolerance(late: int, passes: bool) -> None:
    """A timestamp passes for five minutes, either way, and both ends count."""
    timestamp = timestamp_text(NOW)
    given = sign(TIMED, JEFE, QUESTION, timestamp)

    when = NOW + timedelta(seconds=late)
    assert verify(TIMED, [JEFE], QUESTION, given, timestamp, when) is passes


def test_a_timestamp_cannot_be_changed() -> None:
    """Where it is signed, another timestamp makes the signature wrong; where not, it does not."""
    later = timestamp_text(NOW + timedelta(seconds=1))
    for signed, passes in (("timestamp.body", False), ("body", True)):
        scheme = HmacScheme(timestamp_header="X-Timestamp", signed=_signed(signed))
        given = sign(scheme, JEFE, QUESTION, timestamp_text(NOW))
        assert verify(scheme, [JEFE], QUESTION, given, later, NOW) is passes


def _signed(text: str) -> Signed:
    return "body" if text == "body" else "timestamp.body"


@pytest.mark.parametrize(
    "timestamp", [None, "", "-1", "1e9", " 1772452800", "1772452800000", "١٧٧٢٤٥٢٨٠٠", "9" * 5000]
)
def test_no_proper_timestamp(timestamp: str | None) -> None:
    """A timestamp that is none, or in milliseconds, does not pass, however well it is signed."""
    given = sign(TIMED, JEFE, QUESTION, timestamp)

    assert not verify(TIMED, [JEFE], QUESTION, given, timestamp, NOW)


def test_a_timestamp_that_is_not_sent_cannot_be_signed() -> None:
    """A scheme that signs a timestamp has a header for it."""
    with pytest.raises(ValueError, match="without a timestamp header"):
        HmacScheme(signed="timestamp.body")


@given(value=st.text() | st.none(), timestamp=st.text() | st.none(), body=st.binary())
@pytest.mark.parametrize("encoding", ["hex", "base64", "base64url"])
def test_any_texts_are_a_no(
    encoding: Encoding, value: str | None, timestamp: str | None, body: bytes
) -> None:
    """Whatever comes in the headers, the answer is no and never an error."""
    scheme = HmacScheme(encoding=encoding, timestamp_header="X-Timestamp", signed="timestamp.body")

    assert not verify(scheme, [JEFE], body, value, timestamp, NOW)
