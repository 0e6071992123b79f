"""Who is signed in to the pages: a browser shows its session instead of an API token.

The cookie holds the token's name, signed by a key that only this process knows, so a restart signs
everybody out. It is good for what a page may ask; what changes something asks for a form token too
(CSRF), which is bound to the browser that got the page.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Mapping
from datetime import timedelta
from typing import Any

from itsdangerous import BadData, URLSafeSerializer, URLSafeTimedSerializer

from receiver.settings.settings import ApiSettings, TokenSettings

SESSION = "dlr_session"
"""The cookie that says who is signed in."""

VISIT = "dlr_visit"
"""The cookie that form tokens are bound to."""

SESSION_AGE = timedelta(hours=12)


class Sessions:
    """Makes and reads sessions, form tokens and notices."""

    def __init__(self, settings: ApiSettings) -> None:
        key = secrets.token_bytes(32)
        self._tokens = {token.name: token for token in settings.token}
        self._sessions = URLSafeTimedSerializer(key, salt="session")
        self._forms = URLSafeSerializer(key, salt="form")
        self._notices = URLSafeTimedSerializer(key, salt="notice")

    @property
    def needed(self) -> bool:
        """Whether pages ask who is there: they do where the API has tokens."""
        return bool(self._tokens)

    def begin(self, token: TokenSettings) -> str:
        """The cookie of whoever has shown this token."""
        return self._sessions.dumps(token.name)

    def token_of(self, cookies: Mapping[str, str]) -> TokenSettings | None:
        """With which token somebody has signed in; `None`: nobody, or too long ago."""
        age = int(SESSION_AGE.total_seconds())
        name = _read(self._sessions.loads, cookies.get(SESSION), max_age=age)
        return self._tokens.get(name) if isinstance(name, str) else None

    def form_token(self, visit: str) -> str:
        """What a form sends back, so that no page of another site can have it sent."""
        return self._forms.dumps(visit)

    def is_ours(self, form_token: object, visit: str | None) -> bool:
        """Whether a form came from a page that this browser got from this process."""
        return bool(visit) and _read(self._forms.loads, form_token) == visit

    def notice(self, words: str) -> str:
        """What the next page says at its top, signed: a link cannot put words there."""
        return self._notices.dumps(words)

    def read_notice(self, text: str | None) -> str | None:
        words = _read(self._notices.loads, text, max_age=60)
        return words if isinstance(words, str) else None


def _read(loads: Callable[..., Any], text: object, **limits: Any) -> Any:
    """What a signed text holds; `None`: it is not ours, or too old."""
    if not isinstance(text, str):
        return None
    try:
        return loads(text, **limits)
    except BadData:
        return None


def new_visit() -> str:
    return secrets.token_urlsafe(16)
