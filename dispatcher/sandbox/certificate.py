"""The certificate of a sandbox that listens with TLS, beside its database.

It is made once and kept, so that an app which trusts it goes on doing so after a restart. It is
issued by an authority of its own whose key is thrown away at once: whoever trusts that authority
trusts this certificate and no other.

    dlr.db-tls/ca.pem      what the app has to trust
    dlr.db-tls/server.pem  key and certificate, its owner's alone
"""

from __future__ import annotations

import os
import ssl
from collections.abc import Iterable
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

from msgspec import Struct

from dispatcher.security.tls import server_context
from receiver.settings.configuration import ConfigurationError
from receiver.settings.settings import ServerSettings, is_wildcard

VALID: Final = timedelta(days=397)
"""As long as the certificate is valid. Some clients, Apple's among them, take none that is valid
for longer than 825 days."""

RENEWED: Final = timedelta(days=30)
"""A certificate with less left is made anew at the start."""

_ALWAYS: Final = ("localhost", "127.0.0.1", "::1")


class Certificate(Struct, frozen=True):
    """Where it is. `context` is for the server that shows it."""

    trust_file: Path
    server_file: Path

    def context(self) -> ssl.SSLContext:
        return server_context(self.server_file)


def names_of(server: ServerSettings) -> list[str]:
    """The names and addresses under which an app may call this server."""
    called = [] if is_wildcard(server.bind) else [server.bind]
    return list(dict.fromkeys(each.lower() for each in (*_ALWAYS, *called, *server.hosts)))


def certificate_of(database: str, names: Iterable[str], now: datetime | None = None) -> Certificate:
    """The certificate beside this database, made if there is none that is good for these names.
    Raises ConfigurationError for a name that cannot stand in one, or when the package for it is
    missing."""
    now = now or datetime.now(UTC)
    folder = Path(f"{database}-tls")
    found = Certificate(folder / "ca.pem", folder / "server.pem")
    wanted = set(names)
    if not _is_good(found, wanted, now):
        _make(found, wanted, now)
    return found


def require_package() -> None:
    """Raises ConfigurationError when certificates cannot be made here."""
    try:
        import trustme  # noqa: F401
    except ImportError:
        raise ConfigurationError(
            ["--tls needs the package trustme: pip install 'trustme>=1.2,<2'"]
        ) from None


def _is_good(found: Certificate, wanted: set[str], now: datetime) -> bool:
    """Whether it is for these names and no others, and for a while yet."""
    from cryptography import x509
    from cryptography.exceptions import InvalidSignature

    try:
        shown = x509.load_pem_x509_certificate(found.server_file.read_bytes())
        shown.verify_directly_issued_by(
            x509.load_pem_x509_certificate(found.trust_file.read_bytes())
        )
    except (OSError, ValueError, TypeError, InvalidSignature):
        return False
    named = shown.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    return {str(name.value) for name in named} == wanted and (
        shown.not_valid_before_utc <= now <= shown.not_valid_after_utc - RENEWED
    )


def _make(found: Certificate, names: set[str], now: datetime) -> None:
    import trustme

    authority = trustme.CA(organization_name="dlr sandbox")
    try:
        issued = authority.issue_cert(
            *sorted(names),
            organization_name="dlr sandbox",
            not_before=now - timedelta(days=1),
            not_after=now + VALID,
        )
    except UnicodeError as error:
        raise ConfigurationError(
            [f"server.hosts: expected names that a certificate can contain: {error}"]
        ) from error
    found.server_file.parent.mkdir(mode=0o755, exist_ok=True)
    _replace(found.server_file, issued.private_key_and_cert_chain_pem.bytes(), 0o600)
    _replace(found.trust_file, authority.cert_pem.bytes(), 0o644)


def _replace(file: Path, content: bytes, mode: int) -> None:
    """All of it or nothing, and never readable for others in between."""
    new = file.with_suffix(".new")
    with suppress(FileNotFoundError):
        new.unlink()
    descriptor = os.open(new, os.O_CREAT | os.O_EXCL | os.O_WRONLY, mode)
    with os.fdopen(descriptor, "wb") as opened:
        opened.write(content)
    new.replace(file)
