"""A secret that is written wrong, or in the wrong place, is in no message, log or answer.

`headers = "Authorization: Bearer …"` was answered with the header, and so were a username that held
the password too, a token in place of its digest, and `DLR_…_HEADERS` whose value had a comma.
"""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from dispatcher.settings.settings import read_settings
from receiver.settings.configuration import ConfigurationError
from tests.end_to_end.processes import an_endpoint, configure, dlr
from tests.security.attacked import ask_json, attacked

SECRET = "sesame-0pen"
"""No message may have it, nor a half of it."""

HALF = "0pen"

ENDPOINT = '[[endpoint]]\nname = "acme"\nurl = "http://127.0.0.1:9/"\n'

IN_THE_FILE = {
    "an endpoint's headers as a text": f'{ENDPOINT}headers = "X: {SECRET}"',
    "an endpoint's headers as a list": f'{ENDPOINT}headers = ["X: {SECRET}"]',
    "a header as the name of a header": f'{ENDPOINT}headers = {{"X: {SECRET}" = "1"}}',
    "a header of two lines": f'{ENDPOINT}headers = {{X = "a\\n{SECRET}"}}',
    "a header in a list": f'{ENDPOINT}headers = {{X = ["{SECRET}"]}}',
    "security as a text": f'{ENDPOINT}security = "{SECRET}"',
    "a password in a list": f'{ENDPOINT}security = {{type = "basic", password = ["{SECRET}"]}}',
    "a username with the password": f'{ENDPOINT}security = {{username="me:{SECRET}"}}',
    "a key that is none": (
        f'{ENDPOINT}security = {{type="standard-webhooks", secret_key="{SECRET}"}}'
    ),
    "a header with its value": f'{ENDPOINT}security = {{type="header", header="X: {SECRET}"}}',
    "a secret under another type": f'{ENDPOINT}security = {{type="none", value="{SECRET}"}}',
    "a prefix": f'{ENDPOINT}security = {{type="hmac", prefix="ü{SECRET}"}}',
    "a password in a URL": '[[endpoint]]\nname="a"\nurl="htp://me:' + SECRET + '@acme.example/"',
    "a source's basic as a text": f'[[source]]\nname = "a"\nbasic = "me:{SECRET}"',
    "a source's password as a text": (
        f'[[source]]\nname="a"\nbasic={{username="m",passwords="{SECRET}"}}'
    ),
    "a source's username": f'[[source]]\nname="a"\nbasic={{username="m:{SECRET}",passwords=["x"]}}',
    "a source's header": f'[[source]]\nname="a"\nheader={{secrets=[], name="X: {SECRET}"}}',
    "a source's scheme": f'[[source]]\nname="a"\nheader={{secrets=["x"], scheme="App {SECRET}"}}',
    "a source's query": f'[[source]]\nname = "a"\nquery = "token={SECRET}"',
    "a source's key": f'[[source]]\nname = "a"\nhmac = {{keys = "{SECRET}"}}',
    "a token as a text": f'[api]\ntoken = "{SECRET}"',
    "a token in a list": f'[api]\ntoken = ["{SECRET}"]',
    "a token too short": f'[[api.token]]\nname = "a"\nsecret = "{SECRET}"',
    "a token as its digest": f'[[api.token]]\nname = "a"\nsha256 = "{SECRET}"',
    "api as a text": f'api = "{SECRET}"',
    "the sandbox's credential": f'[sandbox]\ncredential = "{SECRET}"',
    "the sandbox's secret": f'[[sandbox.credential]]\nname = "a"\nsecret = ["{SECRET}"]',
    "reconcile as a text": f'[[source]]\nname = "a"\nreconcile = "{SECRET}"',
    "reconcile's username": (
        f'[[source]]\nname="a"\n[source.reconcile]\nbase_url="https://a/"\nusername="m:{SECRET}"'
    ),
    "reconcile's key": (
        f'[[source]]\nname="a"\n[source.reconcile]\nbase_url="https://a/"\napi_key="{SECRET}\\n"'
    ),
    "a file that is no TOML": f'{ENDPOINT}headers = {{X = "{SECRET}}}',
    "a text without quotes": f"{ENDPOINT}security = {{type = {SECRET}}}",
}

IN_THE_ENVIRONMENT = {
    "DLR_ENDPOINT_ACME_HEADERS": (SECRET, f"X: {SECRET}", f"X=a\x01{SECRET}", f"X=a,{SECRET}"),
    "DLR_ENDPOINT_ACME_SECURITY_HEADER": (f"X: {SECRET}",),
    "DLR_ENDPOINT_ACME_SECURITY_USERNAME": (f"me:{SECRET}",),
    "DLR_ENDPOINT_ACME_SECURITY_PASSWORD": (SECRET,),  # of another type
    "DLR_ENDPOINT_ACME_SECURITY_VALUE": (f"a\n{SECRET}",),
    "DLR_ENDPOINT_ACME_SECURITY": (SECRET,),
    "DLR_ENDPOINT_ACME_URL": (f"htp://me:{SECRET}@acme.example/",),
    "DLR_SOURCE_DEFAULT_BASIC": (f"me:{SECRET}",),
    "DLR_SOURCE_DEFAULT_HEADER_NAME": (f"X: {SECRET}",),
    "DLR_API_TOKEN_CI_SHA256": (SECRET,),
    "DLR_API_TOKEN_CI_SECRET": (SECRET,),
}


@pytest.mark.parametrize("what", IN_THE_FILE)
def test_in_the_file(tmp_path: Path, what: str) -> None:
    """The file is refused, the message says where, and nothing of what stood there."""
    configure(tmp_path, IN_THE_FILE[what])

    faults = faults_of(tmp_path)

    assert all(f"{tmp_path}/dlr.toml: " in fault for fault in faults)
    assert HALF not in "".join(faults), faults


@pytest.mark.parametrize(
    ("variable", "text"),
    [(name, text) for name, texts in IN_THE_ENVIRONMENT.items() for text in texts],
)
def test_in_the_environment(tmp_path: Path, variable: str, text: str) -> None:
    """As in the file, and the message names the variable."""
    more = '[[source]]\nname = "default"\n[[api.token]]\nname = "ci"\n'
    configure(tmp_path, f'{ENDPOINT}{more}sha256 = "{"0" * 64}"\n')

    faults = faults_of(tmp_path, **{variable: text})

    assert HALF not in "".join(faults), faults
    assert any(variable in fault for fault in faults)


def faults_of(folder: Path, **environment: str) -> tuple[str, ...]:
    """What `dlr check` and every other command print, and end with 2."""
    with pytest.raises(ConfigurationError) as raised:
        read_settings(folder / "dlr.toml", environment)
    return raised.value.faults


async def test_a_process_prints_no_more(tmp_path: Path) -> None:
    """Not with --debug either, where the traceback comes too."""
    configure(tmp_path, IN_THE_FILE["an endpoint's headers as a text"])
    for words in (("check",), ("--debug", "check"), ("serve", "--port", "0")):
        ended = await dlr(tmp_path, *words, DLR_ENDPOINT_ACME_SECURITY_USERNAME=f"me:{SECRET}")
        assert ended.code in (1, 2)
        assert HALF not in ended.err + ended.out, ended


async def test_over_the_api(tmp_path: Path) -> None:
    """What is refused comes back in no answer and stands in no log."""
    bodies: list[dict[str, object]] = [
        {"headers": f"X: {SECRET}"},
        {"headers": {f"X: {SECRET}": "1"}},
        {"headers": {"X": f"a\n{SECRET}"}},
        {"security": SECRET},
        {"security": {"type": "basic", "username": f"me:{SECRET}", "password": [SECRET]}},
        {"security": {"type": "header", "header": f"X: {SECRET}", "value": SECRET}},
        {"security": {"type": "standard-webhooks", "secretKey": SECRET}},
        {"url": f"htp://me:{SECRET}@acme.example/"},
    ]
    config = an_endpoint("http://127.0.0.1:9/") + '[log]\nlevel = "debug"\n'
    async with attacked(tmp_path, "serve", config=config) as server:
        for body in bodies:
            new = {"name": "added", "url": "https://acme.example/", **body}
            for method, path, value in (
                ("PATCH", "/api/endpoints/acme", body),
                ("POST", "/api/endpoints", new),
            ):
                answer = await ask_json(server, method, path, value)
                assert answer.status == 400, (body, answer)
                assert HALF not in answer.body.decode(), answer.body
        assert HALF not in server.err.text


ON_THE_COMMAND_LINE = (
    ("security.password", f"security.password={SECRET}"),
    ("security.value", f"security.value={SECRET}"),
    ("security.secret_key", f"security.secret_key={SECRET}"),
    ("security.old_secret_key", f"security.old_secret_key={SECRET}"),
    ("security.client_secret", f"security.client_secret={SECRET}"),
    ("security.password", f'security={{type="basic", username="me", password="{SECRET}"}}'),
    ("headers.Authorization", f"headers.Authorization=Bearer {SECRET}"),
    ("headers.X-Api-Key", f'headers={{"X-Api-Key" = "{SECRET}"}}'),
)


@pytest.mark.parametrize(("place", "typed"), ON_THE_COMMAND_LINE)
async def test_on_the_command_line(tmp_path: Path, place: str, typed: str) -> None:
    """A secret after --set is refused before anything is changed, with the way to give it."""
    words: tuple[str, ...] = ("add", "added", "--url", "http://127.0.0.1:9/")
    if place.startswith("headers"):
        words = ("change", "acme")

    ended = await dlr(tmp_path, "endpoints", *words, "--set", typed)

    assert (ended.code, ended.out) == (2, "")
    assert f"--set: {place} is a secret" in ended.err
    assert f"--secret {place}" in ended.err
    assert "--secret KEY < FILE" in ended.err
    assert HALF not in ended.err


async def test_a_typing_error_shows_no_secret(tmp_path: Path) -> None:
    """A key that is none may be the secret itself."""
    for typed in (SECRET, f"security.password {SECRET}=1", f"'{SECRET}=1"):
        ended = await dlr(tmp_path, "endpoints", "change", "acme", "--set", typed)
        assert ended.code == 2
        assert HALF not in ended.err, ended.err


async def test_the_way_that_is_named_works(tmp_path: Path) -> None:
    """--secret reads the value from stdin, so from a file too, and the endpoint has it."""
    configure(tmp_path, ENDPOINT)
    async with attacked(tmp_path, "serve") as server:
        assert (await server.get("/api/endpoints"))[0] == 200
    words = ("endpoints", "change", "acme", "--set", "security.type=basic")
    more = ("--set", "security.username=me", "--secret", "security.password")

    ended = await dlr(tmp_path, *words, *more, stdin=f"{SECRET}\n".encode())

    assert ended.code == 0, ended.err
    listed = json.loads((await dlr(tmp_path, "endpoints", "--format", "json")).out)
    assert listed[0]["security"] == {"type": "basic", "username": "set", "password": "set"}
    with closing(sqlite3.connect(tmp_path / "dlr.db")) as database:
        ((stored,),) = database.execute("SELECT settings FROM endpoint").fetchall()
    assert json.loads(stored)["security"]["password"] == SECRET
