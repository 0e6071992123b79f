"""How far an endpoint is trusted, and how we show who we are: TLS."""

from __future__ import annotations

import ssl
from collections.abc import Iterator
from pathlib import Path
from typing import Literal

from msgspec import Struct

TlsVersion = Literal["1.2", "1.3"]

_VERSIONS = {"1.2": ssl.TLSVersion.TLSv1_2, "1.3": ssl.TLSVersion.TLSv1_3}


class Tls(Struct, frozen=True, kw_only=True):
    """Files are PEM. `ca_file` None trusts the system's authorities, a file only those in it.
    `certificate_file` None: we show no certificate. `key_file` None: the key is in that file too.
    """

    minimum_version: TlsVersion = "1.2"
    ca_file: str | None = None
    certificate_file: str | None = None
    key_file: str | None = None


def context(tls: Tls) -> ssl.SSLContext:
    """A context for connections to an endpoint. Raises `OSError` for files that are no good."""
    made = ssl.create_default_context(cafile=tls.ca_file)
    made.minimum_version = _VERSIONS[tls.minimum_version]
    made.set_alpn_protocols(["http/1.1"])
    if tls.certificate_file is not None:
        # The empty password keeps OpenSSL from asking for one at the terminal.
        made.load_cert_chain(tls.certificate_file, tls.key_file, password=lambda: b"")
    return made


def server_context(file: Path) -> ssl.SSLContext:
    """A context for a server that shows the certificate in this PEM file, which holds its key
    too."""
    made = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    made.set_alpn_protocols(["http/1.1"])
    made.load_cert_chain(file)
    return made


def faults(tls: Tls) -> Iterator[tuple[str, str]]:
    """The setting and what is wrong with it, for everything that would keep `context` from working.
    Reads the files."""
    if tls.key_file is not None and tls.certificate_file is None:
        yield "key_file", "expected a certificate_file too, got none"
    unreadable = False
    for name in ("ca_file", "certificate_file", "key_file"):
        if (fault := _unreadable(getattr(tls, name))) is not None:
            unreadable = True
            yield name, fault
    if not unreadable:
        yield from _unusable(tls)


def _unreadable(file: str | None) -> str | None:
    if file is None:
        return None
    try:
        with open(file, "rb") as opened:  # noqa: PTH123 – pathlib takes "" for the directory
            opened.read(1)
    except (OSError, ValueError) as error:
        return f"cannot be read: {getattr(error, 'strerror', None) or 'not a valid path'}"
    return None


def _unusable(tls: Tls) -> Iterator[tuple[str, str]]:
    # Not with the system's authorities: to load them takes 20 ms, and each endpoint is read here.
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    try:
        if tls.ca_file is not None:
            context.load_verify_locations(tls.ca_file)
    except ssl.SSLError:
        yield "ca_file", "expected certificates in PEM, got none that can be read"
    if tls.certificate_file is None:
        return
    try:
        context.load_cert_chain(tls.certificate_file, tls.key_file, password=lambda: b"")
    except (ssl.SSLError, ValueError) as error:
        yield "certificate_file", _of_the_pair(error)


def _of_the_pair(error: Exception) -> str:
    reason = getattr(error, "reason", None) or ""
    if reason == "KEY_VALUES_MISMATCH":
        return "expected the certificate that belongs to the key, got another one"
    return "expected a PEM certificate and its key without a passphrase, got something else"
