"""What no page of ours sends: forms that cannot be read, numbers and addresses out of all reason.

Each is answered with what is wrong with it. None is a defect (500), and none changes anything.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, datetime

import pytest

from dispatcher.web.simulate import _day
from dispatcher.web.site import local_path
from receiver.answers import BadQuery
from tests.web.processes import Dlr
from tests.web.visitor import FORM, Visitor

Start = Callable[..., Dlr]


@pytest.fixture
def visitor(start: Start) -> Iterator[Visitor]:
    """On a page with a form, of a process whose log must tell of no defect at the end."""
    dlr = start()
    made = Visitor(dlr)
    made.ask("GET", "/endpoints")
    yield made
    assert "cannot be shown" not in (dlr.folder / "log").read_text("utf-8")


def _multipart(*parts: bytes) -> bytes:
    return b"".join(b"--BB\r\n" + part + b"\r\n" for part in parts) + b"--BB--\r\n"


def test_a_form_that_cannot_be_read_is_told_so(visitor: Visitor) -> None:
    """Bytes that are no text, charsets that are none, files, and multipart that has no end: each
    was a defect of the program."""
    token = f"form_token={visitor.form_token}".encode()
    part = b'Content-Disposition: form-data; name="form_token"\r\n\r\n' + token[11:]
    multipart = "multipart/form-data; boundary=BB"

    for body, kind, status in (
        (token + b"&name=\xff\xfe", FORM, 400),
        (token, f"{FORM}; charset=nonsense", 415),
        (token, f"{FORM}; charset=utf-7", 415),
        (token, f"{FORM}; charset=zlib", 415),
        (token, "text/plain", 415),
        (_multipart(part), multipart, 415),
        (b"--BB\r\n" + part, multipart, 415),
        (b"rubbish", multipart, 415),
        (b"", "multipart/form-data", 415),
    ):
        response, text = visitor.ask("POST", "/endpoints/new", body, {"Content-Type": kind})
        assert response.status == status, (body, kind)
        assert "Nothing was changed" in text


def test_settings_that_are_nested_without_end_are_an_incomplete_form(start: Start) -> None:
    """The settings as they were come back in a hidden field, in which anything may stand."""
    dlr = start(config='[[endpoint]]\nname = "acme"\nurl = "http://127.0.0.1:9/"\n')
    visitor = Visitor(dlr)
    visitor.ask("GET", "/endpoints/acme/settings")

    response, text = visitor.post("/endpoints/acme/settings", before="[" * 100_000)

    assert response.status == 400
    assert "incomplete" in text


@pytest.mark.parametrize(
    "path",
    [
        "/rehearse/" + "9" * 5_000,  # more digits than Python reads
        "/sign-in?to=http://[::1",
    ],
)
def test_an_address_out_of_all_reason_is_no_defect(visitor: Visitor, path: str) -> None:
    response, _ = visitor.ask("GET", path)

    assert response.status in (200, 404)


def test_a_host_that_is_none_is_told_so(visitor: Visitor) -> None:
    """A port that is out of range was a defect wherever a page shows our own address."""
    response, text = visitor.ask("GET", "/", headers={"Host": "127.0.0.1:99999"})

    assert response.status == 400
    assert "Host: expected a name" in text


def test_a_way_back_whose_host_is_none_leads_to_the_start() -> None:
    """In the sandbox the clock had moved already when its answer became a defect."""
    assert local_path("http://[::1") == "/"
    assert local_path("") == local_path(None) == "/"
    assert local_path("/?q=a b") == "/?q=a+b"


def test_the_last_day_of_all_has_no_end() -> None:
    """A day of traffic ends a day later, which no date can tell for this one."""
    with pytest.raises(BadQuery, match="expected a date"):
        _day("9999-12-31", datetime.now(UTC))
