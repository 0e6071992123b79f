"""How the pushes of a run prove who sends them: as the dispatcher's pushes to the endpoint do."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta

from msgspec.structs import asdict, replace

from dispatcher.pushing.oauth import Fetch, Tokens
from dispatcher.security.signing import (
    Hmac,
    OAuth,
    Security,
    StandardWebhooks,
    overruled,
    proof,
)

_SECRETS = ("password", "value", "secret_key", "old_secret_key", "client_secret")


class Prover:
    """The headers of each push: fixed ones, and those that `security` makes of the body."""

    def __init__(self, fixed: Mapping[str, str], security: Security | None) -> None:
        self._fixed = fixed
        self._security = security
        self._tokens = Tokens(_now)
        self._token: str | None = None

    async def renew(self, fetch: Fetch) -> None:
        """Have a token that is good, where one is needed. Raises `NoToken`."""
        if isinstance(self._security, OAuth):
            self._token = await self._tokens.token("rehearsal", self._security, fetch)

    async def close(self) -> None:
        await self._tokens.close()

    @property
    def proves(self) -> bool:
        return bool(self._fixed) or self._security is not None

    @property
    def signs(self) -> bool:
        """Whether the proof is of the body."""
        return isinstance(self._security, Hmac | StandardWebhooks)

    @property
    def dates(self) -> bool:
        """Whether the proof is of the instant too."""
        if isinstance(self._security, Hmac):
            return self._security.scheme.timestamp_header is not None
        return isinstance(self._security, StandardWebhooks)

    @property
    def secrets(self) -> Iterator[str]:
        """What no report may show."""
        if self._security is not None:
            told = asdict(self._security)
            yield from (told[name] for name in _SECRETS if told.get(name))
        if self._token is not None:
            yield self._token

    def headers(self, body: bytes, ago: timedelta = timedelta()) -> dict[str, str]:
        """As the dispatcher sends them with this body; `ago`: as it did so long ago."""
        return self._proved(self._security, body, ago)

    def forged(self, body: bytes) -> dict[str, str]:
        """By somebody who knows the form and not the secret."""
        match self._security:
            case Hmac():
                other = self._security.secret_key + "x"
                return self._proved(replace(self._security, secret_key=other), body)
            case StandardWebhooks():
                key = base64.b64encode(hashlib.sha256(b"another key").digest()).decode()
                return self._proved(
                    replace(self._security, secret_key=key, old_secret_key=None), body
                )
            case _:
                return {name: _turned(value) for name, value in self.headers(body).items()}

    def _proved(
        self, security: Security | None, body: bytes, ago: timedelta = timedelta()
    ) -> dict[str, str]:
        # A push that comes again has the id that it had, as with the dispatcher. Bodies that are
        # not UTF-8 get a signature that is wrong: the platform sends none.
        text = body.decode("utf-8", "replace").encode()
        name = f"rehearsal.{hashlib.sha256(body).hexdigest()[:24]}"
        return overruled(self._fixed, proof(security, text, name, _now() - ago, self._token))


def _turned(value: str) -> str:
    """Another secret of the same form: the scheme in front of it stays."""
    scheme, blank, secret = value.rpartition(" ")
    swapped = secret.swapcase()
    return scheme + blank + (swapped if swapped != secret else secret[::-1] + "0")


def _now() -> datetime:
    return datetime.now(UTC)
