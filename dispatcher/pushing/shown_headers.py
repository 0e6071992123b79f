"""The headers of a push as they may be shown. Pure."""

from __future__ import annotations

from collections.abc import Mapping

from dispatcher.endpoints.endpoint import Endpoint
from dispatcher.security.signing import HeaderSecret


def without_secrets(headers: Mapping[str, str], endpoint: Endpoint) -> dict[str, str]:
    """A header that holds a secret says that it was there. Signatures are none."""
    secret = {"authorization", *(name.lower() for name in endpoint.headers)}
    if isinstance(endpoint.security, HeaderSecret):
        secret.add(endpoint.security.header.lower())
    return {name: "…" if name.lower() in secret else value for name, value in headers.items()}
