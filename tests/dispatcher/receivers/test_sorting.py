"""Which requests a process keeps that takes callbacks alone, by their first bytes."""

from __future__ import annotations

import pytest

from dispatcher.receivers.sorting import beginnings_of, is_callback, size_of

OURS = beginnings_of(["default", "eu"])


@pytest.mark.parametrize(
    "begun",
    [b"POST /notify HTTP/1.1\r\n", b"POST /notify?token=1 HTTP/1.1", b"POST /notify/eu HTTP/1.1"],
)
def test_a_callback_is_kept(begun: bytes) -> None:
    """And until the path has ended, nobody knows."""
    assert is_callback(begun, OURS) is True
    for length in range(len(b"POST /notify")):
        assert is_callback(begun[:length], OURS) is None


@pytest.mark.parametrize(
    "begun",
    [
        b"G",
        b"PUT /notify ",
        b"POST /notify/us ",  # an unknown source
        b"POST /notify/eu/ ",
        b"POST /notification ",
        b"POST /%6eotify ",
        b"post /notify ",
        b"\r\nPOST /notify ",
        b"\x16\x03\x01",  # TLS
    ],
)
def test_anything_else_is_handed_over(begun: bytes) -> None:
    """The first process takes callbacks too, in whatever form."""
    assert is_callback(begun, OURS) is False


@pytest.mark.parametrize(
    ("begun", "size"),
    [
        (b"POST / HTTP/1.1\r\nContent-Length: 5\r\n\r\nab", 43),
        (b"POST / HTTP/1.1\r\ncontent-LENGTH:  0 \r\n\r\n", 40),
        (b"POST / HTTP/1.1\r\nContent-Length: 5\r\n", None),  # the head goes on
        (b"POST / HTTP/1.1\r\n\r\nContent-Length: 5\r\n", None),  # that is the body
        (b"POST / HTTP/1.1\r\nX-Content-Length: 5\r\n\r\n", None),
        (b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n", None),
    ],
)
def test_the_size_of_a_request(begun: bytes, size: int | None) -> None:
    """It is known if the head is whole and says so."""
    assert size_of(begun) == size
