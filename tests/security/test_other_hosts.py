"""A change of one setting over the API sends no old secret elsewhere.

The header Host could be set while the password stayed: on a server that many customers share, the
next push brought the password to another of them.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import trustme

from tests.security.attacked import Case, ask, attacked, got

JSON = ("Content-Type", "application/json")
REFUSED = "400 bad_settings"


def a_change(attack: str, said: dict[str, Any], gets: str = REFUSED, of: str = "acme") -> Case:
    return Case(attack, "PATCH", f"/api/endpoints/{of}", gets, [JSON], json.dumps(said).encode())


SAFE = {"url": "https://evil.example/", "headers": None, "security": None}

CASES = (
    a_change("another host", {"url": "https://evil.example/"}),
    a_change("another host, headers kept", {"url": "https://evil.example/", "security": None}),
    a_change("another port", {"url": "https://acme.example:8443/dlr"}),
    a_change("in the clear", {"url": "http://acme.example/dlr"}),
    a_change("a name in front", {"url": "https://acme.example.evil.example/dlr"}),
    a_change("our host as a user", {"url": "https://acme.example@evil.example/dlr"}),
    a_change("another Host", {"headers": {"Host": "evil.example"}}),
    a_change("the same in other letters", {"headers": {"hOsT": "evil.example"}}),
    a_change(
        "another Host, security in part", {"headers": {"Host": "e"}, "security": {"type": "basic"}}
    ),
    a_change("an authority taken out", {"tls": None}),
    a_change("an authority taken out by its key", {"tls": {"caFile": None}}),
    a_change("an authority of this machine", {"tls": {"caFile": "/etc/passwd"}}),
    a_change(
        "the secret as Host", {"security": {"type": "header", "header": "Host", "value": "x"}}
    ),
    a_change("two messages in one", {"headers": {"Transfer-Encoding": "chunked"}}),
    a_change("another length", {"headers": {"Content-Length": "0"}}),
    a_change("a header that proxies drop", {"headers": {"Connection": "X-Signature"}}),
    a_change("another protocol", {"headers": {"Upgrade": "h2c"}}),
    a_change(
        "another token server", {"security": {"tokenUrl": "https://evil.example/t"}}, of="oauth"
    ),
    a_change("in the clear", {"security": {"tokenUrl": "http://id.example/t"}}, of="oauth"),
    # What goes on working.
    a_change("another path", {"url": "https://acme.example/v2/dlr"}, "200"),
    a_change("another header", {"headers": {"X-Trace": "1"}}, "200"),
    a_change("another password", {"security": {"password": "n3w"}}, "200"),
    a_change(
        "another path of the token server",
        {"security": {"tokenUrl": "https://id.example/2"}},
        "200",
        "oauth",
    ),
)


@pytest.fixture
def config(tmp_path: Path) -> str:
    authority = tmp_path / "ca.pem"
    trustme.CA().cert_pem.write_to_path(authority)
    return f"""
[[endpoint]]
name = "acme"
url = "https://acme.example/dlr"
reports = "none"
headers = {{ X-Key = "s3cret" }}
[endpoint.security]
type = "basic"
username = "me"
password = "s3cret"
[endpoint.tls]
ca_file = "{authority}"
[[endpoint]]
name = "oauth"
url = "https://oauth.example/dlr"
reports = "none"
[endpoint.security]
type = "oauth"
token_url = "https://id.example/t"
client_id = "me"
client_secret = "s3cret"
"""


async def test_no_old_secret_goes_elsewhere(tmp_path: Path, config: str) -> None:
    """Each change gets what the table says; what is refused has changed nothing, and what it takes
    to move an endpoint leaves no secret behind."""
    async with attacked(tmp_path, "serve", config=config) as server:
        before = (await ask(server, "GET", "/api/endpoints")).json
        for case in CASES:
            assert await got(server, case) == case.gets, case.attack
            if case.gets == REFUSED:
                assert (await ask(server, "GET", "/api/endpoints")).json == before, case.attack
        dropped = {**SAFE, "tls": {"minimumVersion": "1.3"}}
        assert await got(server, a_change("moved", dropped, "200")) == "200"
        moved = (await ask(server, "GET", "/api/endpoints/acme")).json
        assert (moved["headers"], moved["security"]) == ({}, {"type": "none"})
