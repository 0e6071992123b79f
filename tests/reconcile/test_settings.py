"""`[source.reconcile]`: where a source's provider is asked, and what is refused."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest

from dispatcher.settings.reconcile import ReconcileSettings
from dispatcher.settings.security import TlsSettings
from dispatcher.settings.settings import Settings, read_settings
from receiver.settings.configuration import ConfigurationError, Secret
from receiver.settings.writing import effective

SOURCE = '[[source]]\nname = "acme"\n[source.reconcile]\nbase_url = "https://acme.example"\n'


def read(folder: Path, text: str, **environment: str) -> Settings:
    file = folder / "dlr.toml"
    file.write_text(SOURCE + text)
    return read_settings(file, environment)


def faults(folder: Path, text: str) -> list[str]:
    with pytest.raises(ConfigurationError) as refused:
        read(folder, text)
    return [each.partition("reconcile.")[2] for each in refused.value.faults]


def test_every_setting(tmp_path: Path) -> None:
    """Every setting of where to ask is read from the file, the key also from the environment."""
    text = """
        api = "v1"
        pull = false
        since = "48h"
        under_way = "0s"
        interval = "1m"
        apply = true
        tls = { minimum_version = "1.3" }
    """

    (source,) = read(tmp_path, text, DLR_SOURCE_ACME_RECONCILE_API_KEY="k").source

    assert source.reconcile == ReconcileSettings(
        base_url="https://acme.example",
        api="v1",
        api_key=Secret("k"),
        pull=False,
        since=timedelta(hours=48),
        under_way=timedelta(0),
        interval=timedelta(minutes=1),
        apply=True,
        tls=TlsSettings(minimum_version="1.3"),
    )


def test_credentials_are_never_printed(tmp_path: Path) -> None:
    """What `dlr check` prints of the credentials is that they are set."""
    printed = dict(effective(read(tmp_path, 'username = "u"\npassword = "hidden"\n')))

    assert printed["source.acme.reconcile.password"] == "set"
    assert "hidden" not in str(printed)


NO_INTERVAL = "only applies to runs at an interval, but no interval is set"


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("", "api_key: expected one of this, username with password, ibsso_token, bearer_token, "
             "got none"),
        ('api_key = "a"\nbearer_token = "b"', "api_key: expected one of this, username with "
             "password, ibsso_token, bearer_token, got 2"),
        ('username = "a"', "username: expected together with password, got one without the other"),
        ('api_key = "a\\nb"', "api_key: expected a text without control characters, got a text of "
             "3 characters"),
        ('api_key = "a"\nsince = "49h"', "since: expected a duration from 1m to 2d, got \"49h\""),
        ('api_key = "a"\ninterval = "10s"', "interval: expected 0s or at least 1m"),
        ('api_key = "a"\napply = true', f"apply: {NO_INTERVAL}"),
    ],
)  # fmt: skip
def test_what_cannot_be_is_refused(tmp_path: Path, text: str, fault: str) -> None:
    """Each fault is named with what was expected; no credential is printed."""
    assert faults(tmp_path, text) == [fault]


def test_a_base_url_holds_no_credentials() -> None:
    """User, password and query have no place in the base URL."""
    settings = ReconcileSettings("https://u:p@acme.example?a=1", api_key=Secret("k"))

    assert dict(settings.faults()) == {"base_url": "expected no user, password or query in it"}
