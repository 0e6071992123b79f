"""The receiver's settings: defaults, bounds, and where it may listen."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest

from receiver.settings.configuration import ConfigurationError
from receiver.settings.reader import read
from receiver.settings.settings import (
    LogSettings,
    ReceiverSettings,
    ServerSettings,
    SourceSettings,
    StoreSettings,
    may_listen,
)


def faults(tmp_path: Path, text: str) -> list[str]:
    """The faults of a file with `text`, without the file's name."""
    file = tmp_path / "dlr.toml"
    file.write_text(text)
    with pytest.raises(ConfigurationError) as caught:
        read(ReceiverSettings, file, {})
    return [each.removeprefix(f"{file}: ") for each in caught.value.faults]


def test_defaults() -> None:
    """Without any setting the receiver listens on loopback, with a database in this directory."""
    assert read(ReceiverSettings, None, {}) == ReceiverSettings(
        ServerSettings("127.0.0.1", 8080, 10 * 1024**2, timedelta(seconds=20), "refused"),
        StoreSettings("dlr.db"),
        (SourceSettings("default"),),
        LogSettings("console", "info"),
    )


def test_bounds(tmp_path: Path) -> None:
    """Settings of the server and the log out of their bounds are all told."""
    text = """
        [server]
        bind = "0.0.0.0:8080"
        port = 65536
        body_limit = 0
        [store]
        database = ""
        [log]
        level = "loud"
    """
    host = "expected an address or a host name without a port"
    assert faults(tmp_path, text) == [
        f'server.bind: {host}, got "0.0.0.0:8080"',
        "server.port: expected an integer from 0 to 65535, got 65536",
        "server.body_limit: expected a size of at least 1B, got 0",
        'store.database: expected a path or a URL, got ""',
        'log.level: expected "debug", "info", "warning" or "error", got "loud"',
    ]


@pytest.mark.parametrize("blank", ["", "  ", "\t"])
def test_a_blank_database_is_none(blank: str) -> None:
    """Once two spaces made a file that is named so."""
    with pytest.raises(ConfigurationError, match="DLR_STORE_DATABASE: expected a path or a URL"):
        read(ReceiverSettings, None, {"DLR_STORE_DATABASE": blank})


@pytest.mark.parametrize("name", ["", "a b", "a/b", "ä", "a" * 65])
def test_source_names_stand_in_a_path(tmp_path: Path, name: str) -> None:
    """The name of a source can stand in a URL's path as it is."""
    (fault,) = faults(tmp_path, f'[[source]]\nname = "{name}"')

    assert fault.startswith("source[0].name: expected a name of 1 to 64 letters, digits, dots,")


def test_sources_have_different_names(tmp_path: Path) -> None:
    """Two sources cannot have one name."""
    text = '[[source]]\nname = "eu"\n[[source]]\nname = "us"\n[[source]]\nname = "eu"'

    assert faults(tmp_path, text) == ['source[2].name: expected a unique name, got "eu" again']


def test_at_least_one_source(tmp_path: Path) -> None:
    """A receiver without a source could take nothing."""
    assert faults(tmp_path, "source = []") == ["source: expected at least one [[source]], got none"]


def test_repr_has_no_database_password() -> None:
    """The repr of the settings does not show the database, whose URL may hold a password."""
    assert "pw" not in repr(ReceiverSettings(store=StoreSettings("postgresql://me:pw@host/dlr")))


@pytest.mark.parametrize("bind", ["127.0.0.1", "127.8.0.1", "::1", "localhost", "LOCALHOST"])
def test_may_listen_on_loopback(bind: str) -> None:
    """On the loopback nobody else can come in, so no credentials are asked for."""
    assert may_listen(ServerSettings(bind=bind)) is None


@pytest.mark.parametrize("bind", ["0.0.0.0", "::", "10.0.0.5", "dlr.example", "localhost.example"])
def test_may_not_listen_elsewhere(bind: str) -> None:
    """Anywhere else takes the words that allow it."""
    refusal = may_listen(ServerSettings(bind=bind))

    assert refusal == (
        f"server.bind: {bind} can be reached by other machines, and the API asks for no "
        "credentials; name an [[api.token]], bind to 127.0.0.1, or set "
        'server.without_credentials to "allowed"'
    )
    assert may_listen(ServerSettings(bind=bind, without_credentials="allowed")) is None
