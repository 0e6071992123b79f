"""The settings of `[source.reconcile]`: where the sender of a source can be asked, and how."""

from __future__ import annotations

import base64
import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Annotated, Literal

from yarl import URL

from dispatcher.security.urls import is_http_url
from dispatcher.settings.forms import HttpUrl, Username
from dispatcher.settings.security import TlsSettings
from receiver.settings.configuration import Between, Form, Secret

LOGS_KEPT = timedelta(hours=48)
"""The provider's logs and reports that can be pulled go back so far (reference, part 6.6)."""

_Credential = Annotated[
    Secret,
    Form("a text without control characters", re.compile(r"[^\x00-\x1f\x7f]+").fullmatch),
]


@dataclass(frozen=True, slots=True)
class ReconcileSettings:
    """How to ask the provider what became of the messages whose reports come to a source.

    Credentials are of one of the provider's four kinds (reference, part 6.1): `api_key` (App),
    `username` and `password` (Basic), `ibsso_token`, `bearer_token`.
    """

    base_url: HttpUrl
    api: Literal["v1", "v3"] = "v3"
    api_key: _Credential | None = None
    username: Username | None = None
    password: Annotated[Secret, Form("a text that is not empty", bool)] | None = None
    ibsso_token: _Credential | None = None
    bearer_token: _Credential | None = None
    pull: bool = True
    since: Annotated[timedelta, Between(timedelta(minutes=1), LOGS_KEPT)] = timedelta(hours=24)
    under_way: Annotated[timedelta, Between(timedelta(0), LOGS_KEPT)] = timedelta(minutes=10)
    interval: Annotated[timedelta, Between(timedelta(0), LOGS_KEPT)] = timedelta(0)  # 0: never
    apply: bool = False
    tls: TlsSettings = field(default_factory=TlsSettings)

    def faults(self) -> Iterable[tuple[str, str]]:
        url = URL(self.base_url) if is_http_url(self.base_url) else URL()  # that is told already
        if url.raw_user is not None or url.raw_query_string or url.raw_fragment:
            yield "base_url", "expected no user, password or query in it"
        if (self.username is None) != (self.password is None):
            yield "username", "expected together with password, got one without the other"
        kinds = (self.api_key, self.username, self.ibsso_token, self.bearer_token)
        if (given := sum(kind is not None for kind in kinds)) != 1:
            expected = "expected one of this, username with password, ibsso_token, bearer_token"
            yield "api_key", f"{expected}, got {given or 'none'}"
        if timedelta(0) < self.interval < timedelta(minutes=1):
            yield "interval", "expected 0s or at least 1m"
        if self.apply and not self.interval:
            yield "apply", "only applies to runs at an interval, but no interval is set"

    @property
    def authorization(self) -> str:
        """The header that proves who asks."""
        for scheme, credential in (
            ("App", self.api_key),
            ("IBSSO", self.ibsso_token),
            ("Bearer", self.bearer_token),
        ):
            if credential is not None:
                return f"{scheme} {credential.reveal()}"
        password = "" if self.password is None else self.password.reveal()
        pair = f"{self.username}:{password}".encode()
        return f"Basic {base64.b64encode(pair).decode()}"
