"""`[[sandbox.credential]]`: who may use the sandbox's API."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Annotated, Literal

from receiver.settings.configuration import Form, Secret
from receiver.settings.settings import Name

Scheme = Literal["App", "Basic", "Bearer", "IBSSO"]

Scope = Literal["message:send", "sms:message:send", "sms:logs:read", "sms:manage"]


@dataclass(frozen=True, slots=True)
class CredentialSettings:
    """One that is valid. `secret` is the API key, the password or the token. With Basic it is also
    taken as username and password in the query of /sms/1/text/query.
    """

    name: Name
    secret: Annotated[Secret, Form("a text that is not empty", bool)]
    scheme: Scheme = "App"
    username: str | None = None
    scopes: tuple[Scope, ...] = ()  # empty: all

    def faults(self) -> Iterable[tuple[str, str]]:
        if (self.scheme == "Basic") != (self.username is not None):
            yield "username", "expected with scheme Basic and only there"
        if self.username is not None and ":" in self.username:
            yield "username", "expected a name without a colon"
