"""The settings of `dlr serve`: endpoints, what they may refer to, and which file is read."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest

from dispatcher.settings.settings import (
    EndpointSettings,
    Settings,
    SourceSettings,
    find_file,
    read_settings,
)
from receiver.settings.configuration import ConfigurationError, Secret
from receiver.settings.settings import ReceiverSettings
from receiver.settings.writing import effective


def settings(tmp_path: Path, text: str, **environment: str) -> Settings:
    file = tmp_path / "dlr.toml"
    file.write_text(text)
    return read_settings(file, environment)


def faults(tmp_path: Path, text: str, **environment: str) -> list[str]:
    """The faults of a file with `text`, without the file's name."""
    with pytest.raises(ConfigurationError) as caught:
        settings(tmp_path, text, **environment)
    return [each.removeprefix(f"{tmp_path / 'dlr.toml'}: ") for each in caught.value.faults]


ACME = '[[endpoint]]\nname = "acme"\nurl = "https://acme.example/reports"\n'


def test_an_endpoint_needs_only_name_and_url(tmp_path: Path) -> None:
    """An endpoint needs only a name and a URL."""
    assert settings(tmp_path, ACME).endpoint == (
        EndpointSettings("acme", "https://acme.example/reports"),
    )
    assert faults(tmp_path, "[[endpoint]]") == [
        "endpoint[0].name: expected a name of 1 to 64 letters, digits, dots, underscores or "
        "hyphens, got nothing",
        "endpoint[0].url: expected an http or https URL with a host, got nothing",
    ]


def test_every_setting_of_an_endpoint(tmp_path: Path) -> None:
    """Every setting of an endpoint is read from the file."""
    text = """
        [[source]]
        name = "eu"
        [[endpoint]]
        name = "acme"
        url = "http://10.0.0.1:8080/"
        content_type = "application/xml"
        generation = "v3"
        bucket_size = 2000
        window = 1
        connect_timeout = "0.3s"
        read_timeout = "100ms"
        headers = { Authorization = "App 1" }
        sources = ["eu"]
        reports = "final"
        status_groups = ["DELIVERED", "EXPIRED"]
    """

    assert settings(tmp_path, text) == Settings(
        source=(SourceSettings("eu"),),
        endpoint=(
            EndpointSettings(
                name="acme",
                url="http://10.0.0.1:8080/",
                content_type="application/xml",
                generation="v3",
                bucket_size=2000,
                window=1,
                connect_timeout=timedelta(milliseconds=300),
                read_timeout=timedelta(milliseconds=100),
                headers={"Authorization": Secret("App 1")},
                sources=("eu",),
                reports="final",
                status_groups=("DELIVERED", "EXPIRED"),
            ),
        ),
    )


@pytest.mark.parametrize(
    ("line", "fault"),
    [
        ("bucket_size = 2001", "bucket_size: expected an integer from 1 to 2000, got 2001"),
        ("window = 0", "window: expected an integer from 1 to 10000, got 0"),
        (
            'connect_timeout = "299ms"',
            'connect_timeout: expected a duration from 300ms to 30s, got "299ms"',
        ),
        (
            "read_timeout = 10",
            'read_timeout: expected a duration from 100ms to 1m30s, such as "10s", got 10',
        ),
        (
            'reports = "some"',
            'reports: expected "all", "final", "intermediate" or "none", got "some"',
        ),
        (
            'status_groups = ["LOST"]',
            'status_groups[0]: expected "ACCEPTED", "PENDING", "UNDELIVERABLE", "DELIVERED", '
            '"EXPIRED" or "REJECTED", got "LOST"',
        ),
        ("rate_limit = 0.0001", "rate_limit: expected 0 or at least 0.001, got 0.0001"),
        (
            'breaker_probe = "10s"',
            "breaker_probe: is only used with breaker_failures above 0",
        ),
        (
            'reports = "none"\nsenders = ["InfoSMS"]',
            'senders: selects reports, but reports = "none" takes none',
        ),
        ('senders = [""]', 'senders[0]: expected a text that is not empty, got ""'),
        (
            'to_prefixes = ["4179", "all"]',
            'to_prefixes[1]: expected the beginning of a number such as 4179, got "all"',
        ),
        (
            "callback_data_fields = { n = 7 }",
            "callback_data_fields.n: expected a text, got 7",
        ),
        (
            'headers = { "a b" = "" }',
            "headers: expected names of HTTP headers, got one of 3 characters",
        ),
        (
            'headers = { Content-Type = "x" }',
            "headers.Content-Type: cannot be set, because it depends on the body",
        ),
        (
            r'headers = { X = "a\r\nY: b" }',
            "headers.X: expected a text without control characters, got a text of 7 characters",
        ),
    ],
)
def test_faults_of_an_endpoint(tmp_path: Path, line: str, fault: str) -> None:
    """What is out of bounds is told with the endpoint's place in the file, counted from 0."""
    assert faults(tmp_path, ACME + line) == [f"endpoint[0].{fault}"]


@pytest.mark.parametrize(
    ("url", "came"),
    [
        ("acme.example/reports", "acme.example/reports"),
        ("ftp://me:pw@acme.example/", "ftp://acme.example/"),
        ("https://", "https://"),
        ("https:///reports?key=pw", "https:///reports?…"),
        ("https://me:p/w@acme.example/", "https://acme.example/"),
        ("https://acme .example/", "https://acme .example/"),
        ("https://acme.example:99999/", "https://acme.example:99999/"),
    ],
)
def test_url_faults_show_no_credentials(tmp_path: Path, url: str, came: str) -> None:
    """A URL that cannot be called is shown without what is secret in it."""
    text = f'[[endpoint]]\nname = "acme"\nurl = "{url}"'

    assert faults(tmp_path, text) == [
        f'endpoint[0].url: expected an http or https URL with a host, got "{came}"'
    ]


@pytest.mark.parametrize(
    ("setting", "fault"),
    [
        ('url = "http://xn--.example/"', "url: expected a host name, got"),
        (
            'url = "http://a/b c"',
            "url: expected a URL as RFC 3986 defines it: write http://a/b%20c",
        ),
        (
            "url = 'http://me:pw@a/%zz?key=s3\"cret'",
            "url: expected a URL as RFC 3986 defines it: write http://a/%25zz?…; in its query write"
            ' %22 for "\\""',
        ),
        (
            'url = "http://a/"\nsecurity.type = "oauth"\nsecurity.client_id = "c"\n'
            'security.client_secret = "s"\nsecurity.token_url = "http://a/ü"',
            "security.token_url: expected a URL as RFC 3986 defines it: write http://a/%C3%BC",
        ),
    ],
)
def test_urls_that_would_be_mended(tmp_path: Path, setting: str, fault: str) -> None:
    """A URL that aiohttp would have to mend is refused with the form to paste, and its secrets are
    not shown."""
    (told,) = faults(tmp_path, f'[[endpoint]]\nname = "acme"\n{setting}')

    assert told.startswith(f"endpoint[0].{fault}")
    assert "pw" not in told
    assert "s3" not in told


def test_endpoint_names_and_sources_agree(tmp_path: Path) -> None:
    """Endpoints have different names and name only sources that there are, beside other faults."""
    text = ACME + 'sources = ["default", "eu"]\nwindow = 0\n[[endpoint]]\nname = "acme"'

    assert faults(tmp_path, text) == [
        "endpoint[0].window: expected an integer from 1 to 10000, got 0",
        "endpoint[1].url: expected an http or https URL with a host, got nothing",
        'endpoint[1].name: expected a unique name, got "acme" again',
        "endpoint[0].sources[1]: "
        'expected the name of a [[source]] ("default", "sandbox"), got "eu"',
    ]


def test_endpoint_from_the_environment(tmp_path: Path) -> None:
    """A variable changes an endpoint that the file has, by its name, and makes none; a list of
    names makes them, and tokens, sources and credentials too: a container needs no file."""
    read = settings(
        tmp_path,
        ACME,
        DLR_ENDPOINT_ACME_URL="http://localhost:9000/",
        DLR_ENDPOINT_ACME_HEADERS="Authorization=App 1",
    )

    assert read.endpoint == (
        EndpointSettings(
            "acme", "http://localhost:9000/", headers={"Authorization": Secret("App 1")}
        ),
    )
    assert len(faults(tmp_path, "", DLR_ENDPOINT_ACME_URL="http://localhost:9000/")) == 1

    whole = settings(
        tmp_path,
        "",
        DLR_ENDPOINT_NAMES="acme",
        DLR_ENDPOINT_ACME_URL="http://localhost:9000/",
        DLR_API_TOKEN_NAMES="ops",
        DLR_API_TOKEN_OPS_SECRET="0123456789abcdef",
        DLR_SOURCE_NAMES="infobip",
        DLR_SOURCE_INFOBIP_BASIC_USERNAME="platform",
        DLR_SOURCE_INFOBIP_BASIC_PASSWORDS="long and random",
        DLR_SANDBOX_CREDENTIAL_NAMES="app",
        DLR_SANDBOX_CREDENTIAL_APP_SCHEME="App",
        DLR_SANDBOX_CREDENTIAL_APP_SECRET="key",
    )
    assert whole.endpoint == (EndpointSettings("acme", "http://localhost:9000/"),)
    assert [(each.name, each.secret) for each in whole.api.token] == [
        ("ops", Secret("0123456789abcdef"))
    ]
    assert [each.name for each in whole.source] == ["infobip"]
    assert whole.source[0].basic is not None
    assert [each.name for each in whole.sandbox.credential] == ["app"]


def test_no_secret_is_printed(tmp_path: Path) -> None:
    """Neither the effective values nor the repr show a password or a header's value."""
    text = '[[endpoint]]\nname = "a"\nurl = "https://me:pw@host/?k=pw"\nheaders = { X = "pw" }'
    read = settings(tmp_path, text, DLR_STORE_DATABASE="postgresql://me:pw@host/dlr")
    lines = dict(effective(read))

    assert lines["endpoint.a.url"] == "https://host/?…"
    assert lines["endpoint.a.headers.X"] == "set"
    assert lines["store.database"] == "postgresql://host/dlr"
    assert "pw" not in repr(read)


def test_one_file_for_all_programs(tmp_path: Path) -> None:
    """What is read for `serve` is what the receiver alone needs, too."""
    assert isinstance(settings(tmp_path, ACME), ReceiverSettings)


def test_which_file_is_read(tmp_path: Path) -> None:
    """The named file; else dlr.toml, else config/dlr.toml of the working directory; else none."""
    named = tmp_path / "not-there.toml"
    assert find_file(None, tmp_path) is None
    (tmp_path / "config").mkdir()
    (tmp_path / "config" / "dlr.toml").touch()
    assert find_file(None, tmp_path) == tmp_path / "config" / "dlr.toml"
    (tmp_path / "dlr.toml").touch()
    assert find_file(None, tmp_path) == tmp_path / "dlr.toml"
    assert find_file(named, tmp_path) == named


def test_file_of_the_working_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where no file is named, the one in the working directory is read, if there is one."""
    monkeypatch.chdir(tmp_path)
    assert read_settings(None, {}) == Settings()
    (tmp_path / "dlr.toml").write_text("[server]\nport = 0\n")
    assert read_settings(None, {}).server.port == 0
