"""A browser without scripts, for what needs no real one."""

from __future__ import annotations

import re
from collections.abc import Mapping
from http.client import HTTPConnection, HTTPResponse
from urllib.parse import urlencode, urlsplit

from tests.web.processes import Dlr

FORM = "application/x-www-form-urlencoded"


class Visitor:
    """Keeps cookies and the form token of the last page."""

    def __init__(self, dlr: Dlr) -> None:
        self._place = urlsplit(dlr.url).netloc
        self.cookies: dict[str, str] = {}
        self.form_token = ""

    def ask(
        self,
        method: str,
        path: str,
        body: bytes | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> tuple[HTTPResponse, str]:
        """The answer and its text. Redirects are not followed."""
        connection = HTTPConnection(self._place, timeout=20)
        cookies = "; ".join(f"{name}={value}" for name, value in self.cookies.items())
        connection.request(method, path, body, {"Cookie": cookies, **(headers or {})})
        response = connection.getresponse()
        text = response.read().decode("utf-8", "replace")
        connection.close()
        for cookie in response.headers.get_all("Set-Cookie", []):
            name, _, value = cookie.partition("=")
            self.cookies[name] = value.partition(";")[0]
        if found := re.search('name="form_token" value="([^"]+)"', text):
            self.form_token = found[1]
        return response, text

    def post(
        self, path: str, headers: Mapping[str, str] | None = None, **fields: str
    ) -> tuple[HTTPResponse, str]:
        body = urlencode({"form_token": self.form_token, **fields}).encode()
        return self.ask("POST", path, body, {"Content-Type": FORM, **(headers or {})})

    def sign_in(
        self, token: str, headers: Mapping[str, str] | None = None
    ) -> tuple[HTTPResponse, str]:
        if not self.form_token:
            self.ask("GET", "/sign-in")
        return self.post("/sign-in", headers, token=token, to="/")
