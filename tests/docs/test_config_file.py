"""config/dlr.toml names exactly the settings that exist, with their defaults."""

from __future__ import annotations

import re
import tomllib
from dataclasses import fields
from itertools import pairwise
from pathlib import Path
from typing import Any

from dispatcher.settings.reconcile import ReconcileSettings
from dispatcher.settings.sandbox import CredentialSettings, FaultRule, OutcomeRule
from dispatcher.settings.settings import (
    EndpointSettings,
    OutcomeSettings,
    Settings,
    SourceSettings,
    read_settings,
)
from receiver.settings.configuration import Secret
from receiver.settings.settings import (
    BasicSettings,
    CertificateSettings,
    HeaderSettings,
    HmacSettings,
    QuerySettings,
    TokenSettings,
)

FILE = Path(__file__).parents[2] / "config" / "dlr.toml"
SETTING = re.compile(r"#?([a-z_]+) = ")


def everything_on() -> str:
    """The file with the settings that are switched off switched on."""
    return re.sub(r"^#(?=[a-z\[])", "", FILE.read_text("utf-8"), flags=re.MULTILINE)


def names(kind: Any) -> list[str]:
    return [each.name for each in fields(kind)]


def test_as_shipped_it_is_the_defaults() -> None:
    """Read as it is shipped, the file changes nothing and defines no endpoint."""
    assert read_settings(FILE, {}) == Settings()


def test_it_names_every_setting() -> None:
    """Every setting stands in the file, in the order of the code, and no other."""
    tables = tomllib.loads(everything_on())

    assert set(tables) == set(names(Settings))
    for key, default in ((name, getattr(Settings(), name)) for name in names(Settings)):
        if key == "endpoint":
            assert list(tables[key][0]) == names(EndpointSettings)
            assert list(tables[key][0]["outcome"]) == names(OutcomeSettings)
            # The settings of one type are shown in its comment: test_signing.py.
            assert list(tables[key][0]["security"]) == ["type"]
            assert list(tables[key][0]["tls"]) == ["minimum_version"]
        elif isinstance(default, tuple):
            assert list(tables[key][0]) == names(type(default[0]))
        else:
            assert list(tables[key]) == names(type(default))


def test_the_endpoint_it_shows_has_the_defaults(tmp_path: Path) -> None:
    """Switched on, the endpoint that the file shows has every default, and so has its outcome."""
    file = tmp_path / "dlr.toml"
    shown = everything_on()
    file.write_text(shown[shown.index("[[endpoint]]") :], "utf-8")

    (endpoint,) = read_settings(file, {}).endpoint

    assert endpoint == EndpointSettings(
        name=endpoint.name, url=endpoint.url, outcome=OutcomeSettings()
    )


def test_the_source_it_shows_has_the_defaults(tmp_path: Path) -> None:
    """Switched on, what the file shows for a source has every default but where it says so."""
    shown = everything_on()
    file = tmp_path / "dlr.toml"
    source_text = shown[shown.index("[[source]]") : shown.index("[[endpoint]]")]
    file.write_text("[server]\ntrusted_proxies = 1\n" + source_text, "utf-8")

    (source,) = read_settings(file, {}).source

    some = (Secret("…"),)
    assert source == SourceSettings(
        "default",
        basic=BasicSettings("platform", some),
        header=HeaderSettings(some),
        query=QuerySettings(some),
        hmac=HmacSettings(some, timestamp_header="X-Timestamp"),
        certificate=CertificateSettings(
            identity_header="X-SSL-Client-Fingerprint", identities=("…",)
        ),
        reconcile=ReconcileSettings("https://xxxxx.api.infobip.com", api_key=some[0]),
    )


def test_it_names_every_setting_of_sources_and_tokens() -> None:
    """Every setting of what a source demands, and of a token, stands in the file."""
    tables = tomllib.loads(everything_on())

    (source,) = tables["source"]
    for key, kind in (
        ("basic", BasicSettings),
        ("header", HeaderSettings),
        ("query", QuerySettings),
        ("hmac", HmacSettings),
        ("certificate", CertificateSettings),
    ):
        assert list(source[key]) == names(kind)
    # Of the credentials one is shown, the others stand in its comment.
    others = {"username", "password", "ibsso_token", "bearer_token"}
    assert list(source["reconcile"]) == [n for n in names(ReconcileSettings) if n not in others]
    assert list(tables["api"]["token"][0]) == names(TokenSettings)


def test_it_names_every_setting_of_the_sandbox(tmp_path: Path) -> None:
    """Every setting of its rules and credentials stands in the file; a rule has the defaults."""
    tables = tomllib.loads(everything_on())["sandbox"]
    assert list(tables["outcome"][0]) == names(OutcomeRule)
    assert list(tables["fault"][0]) == names(FaultRule)
    assert list(tables["credential"][0]) == names(CredentialSettings)

    file = tmp_path / "dlr.toml"
    shown = everything_on()
    file.write_text(shown[shown.index("[sandbox]") : shown.index("[[sandbox.credential]]")])
    (rule,) = read_settings(file, {}).sandbox.outcome
    assert rule == OutcomeRule(error="NO_ERROR", price=0.01, answered="PENDING_ACCEPTED")


def test_every_setting_has_its_reason() -> None:
    """Above every setting stands one line that says why."""
    lines = FILE.read_text("utf-8").splitlines()

    settings = [(above, line) for above, line in pairwise(lines) if SETTING.match(line)]

    assert len(settings) > 100
    assert [line for above, line in settings if not above.startswith("# ")] == []
