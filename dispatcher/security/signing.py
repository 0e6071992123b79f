"""How a push proves who sends it. Pure: from the body, the dispatch's name and the instant come the
headers that prove it. Only OAuth needs the network, for its token: oauth.py.

The kinds are those of the provider's notification profile (BASIC, HMAC, OAUTH, CUSTOM; reference,
part 4.3) and Standard Webhooks. Of the HMAC the provider documents only the algorithms.
"""

from __future__ import annotations

import binascii
import re
from base64 import b64decode, b64encode
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Literal

from msgspec import Struct
from standardwebhooks import Webhook

from receiver import hmac_signature
from receiver.hmac_signature import HmacScheme


class _Security(Struct, frozen=True, kw_only=True, tag_field="type"):
    """Holds secrets, hence says nothing of itself."""

    def __repr__(self) -> str:
        return f"{type(self).__name__}(…)"


class Basic(_Security, frozen=True, tag="basic"):
    """User and password, in `Authorization`."""

    username: str
    password: str


class HeaderSecret(_Security, frozen=True, tag="header"):
    """A fixed value in a header: the provider's CUSTOM."""

    header: str
    value: str


class Hmac(_Security, frozen=True, tag="hmac"):
    """HMAC of the raw body."""

    secret_key: str
    scheme: HmacScheme = HmacScheme()


class StandardWebhooks(_Security, frozen=True, tag="standard-webhooks"):
    """Signatures of the Standard Webhooks specification. While a key is changed there are two, and
    both sign, so that the customer can change over when it likes. `old_secret_key` None: no change
    is under way."""

    secret_key: str
    old_secret_key: str | None = None


class OAuth(_Security, frozen=True, tag="oauth"):
    """A bearer token from a token endpoint, by client credentials (RFC 6749, 4.4).

    `resource` is RFC 8707's, and some servers' audience. `client_authentication` "header" sends id
    and secret as Basic, which each server must understand; "body" puts them into the form.
    """

    token_url: str
    client_id: str
    client_secret: str
    scope: str | None = None
    resource: str | None = None
    client_authentication: Literal["header", "body"] = "header"


Security = Basic | HeaderSecret | Hmac | StandardWebhooks | OAuth


def proof(
    security: Security | None, body: bytes, dispatch: str, now: datetime, token: str | None = None
) -> dict[str, str]:
    """The headers that prove who sends this body under this dispatch's name at this instant.

    `token` is what OAuth's token endpoint gave, and not asked for by the other kinds.
    """
    match security:
        case None:
            return {}
        case Basic():
            return basic(security.username, security.password)
        case HeaderSecret():
            return {security.header: security.value}
        case Hmac():
            return _hmac(security, body, now)
        case StandardWebhooks():
            return _standard_webhooks(security, body, dispatch, now)
        case OAuth():
            assert token is not None, "a token that is fetched before the push"
            return {"Authorization": f"Bearer {token}"}


def basic(username: str, password: str) -> dict[str, str]:
    """The header of Basic authentication, in UTF-8."""
    token = b64encode(f"{username}:{password}".encode()).decode()
    return {"Authorization": f"Basic {token}"}


def overruled(fixed: Mapping[str, str], winners: Mapping[str, str]) -> dict[str, str]:
    """Both, where `winners` wins whatever the case of a header's name.

    The provider's rule: a fixed `Authorization` loses against the security setting.
    """
    if not fixed:
        return dict(winners)
    taken = {name.lower() for name in winners}
    return {
        **{name: value for name, value in fixed.items() if name.lower() not in taken},
        **winners,
    }


def is_webhook_secret(text: str) -> bool:
    """Whether `text` is a key of Standard Webhooks: base64 of 24 to 64 bytes, with the prefix
    `whsec_` or without."""
    bare = text.removeprefix("whsec_").rstrip("=")
    if not re.fullmatch(r"[A-Za-z0-9+/]+", bare):
        return False
    try:
        return 24 <= len(b64decode(bare + "=" * (-len(bare) % 4), validate=True)) <= 64
    except binascii.Error:
        return False


def _hmac(security: Hmac, body: bytes, now: datetime) -> dict[str, str]:
    scheme, key = security.scheme, security.secret_key.encode()
    if scheme.timestamp_header is None:
        return {scheme.header: hmac_signature.sign(scheme, key, body, None)}
    timestamp = hmac_signature.timestamp_text(now)
    return {
        scheme.timestamp_header: timestamp,
        scheme.header: hmac_signature.sign(scheme, key, body, timestamp),
    }


def _standard_webhooks(
    security: StandardWebhooks, body: bytes, dispatch: str, now: datetime
) -> dict[str, str]:
    keys = (security.secret_key, security.old_secret_key)
    text = body.decode()  # every body of ours is UTF-8
    signatures = [
        Webhook(key).sign(dispatch, now.astimezone(UTC), text) for key in keys if key is not None
    ]
    return {
        "webhook-id": dispatch,
        "webhook-timestamp": hmac_signature.timestamp_text(now),
        "webhook-signature": " ".join(signatures),
    }
