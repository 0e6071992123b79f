"""Which webhook is rehearsed, and how to get in."""

from __future__ import annotations

import base64
import secrets
import ssl
from collections.abc import Mapping

from msgspec import Struct
from msgspec.structs import replace
from yarl import URL

from dispatcher.rehearsal.bodies import Values
from dispatcher.rehearsal.plan import Plan
from dispatcher.rehearsal.proving import Prover
from dispatcher.rehearsal.verify import Verify
from dispatcher.security.addresses import AddressCheck, AddressPolicy
from dispatcher.security.signing import Security
from dispatcher.security.tls import Tls, context


class Target(Struct, frozen=True, kw_only=True):
    """A webhook and how it is rehearsed. User and password of the URL are sent as Basic.

    `headers` are the credentials of the run, `security` what makes a proof of each body; `tls` is
    used for https, and `ca_file` goes before its own. `verify` None: only answers are seen. `seed`
    None: a new one for each run, so that message ids of one run are not those of another. `policy`
    None: any address may be called, because who named the URL sits at this machine.
    """

    url: str
    headers: Mapping[str, str] = {}
    security: Security | None = None
    tls: Tls = Tls()
    verify: Verify | None = None
    ca_file: str | None = None
    plan: Plan = Plan()
    seed: int | None = None
    values: Values = Values()
    policy: AddressPolicy | None = None


class Way(Struct, frozen=True):
    """What a client needs of a target. `hidden` is what must never be shown, beside the secrets of
    `prover`."""

    url: URL
    prover: Prover
    hidden: tuple[str, ...]
    tls: ssl.SSLContext | None
    sockets: AddressCheck | None = None
    """Makes the sockets of all connections; `None`: nothing is asked of addresses."""

    @property
    def secrets(self) -> list[str]:
        """The longest first, because a shorter one may be in it."""
        return sorted({*self.hidden, *self.prover.secrets}, key=len, reverse=True)

    @property
    def shown(self) -> str:
        """The URL without what may be secret."""
        query = "?…" if self.url.query_string else ""
        return f"{self.url.with_query(None).with_fragment(None)}{query}"


def way_to(target: Target) -> Way:
    """Raises `OSError` for a CA file that is no good."""
    url = URL(target.url, encoded=True)
    given = dict(target.headers)
    hidden = [*given.values(), *(part for value in given.values() for part in value.split()[1:])]
    if url.user is not None:
        pair = f"{url.user}:{url.password or ''}"
        given.setdefault("Authorization", f"Basic {base64.b64encode(pair.encode()).decode()}")
        hidden += [given["Authorization"], given["Authorization"][6:], url.password or ""]
    hidden += [value for value in url.query.values() if len(value) >= 8]
    trust = target.tls if target.ca_file is None else replace(target.tls, ca_file=target.ca_file)
    tls = context(trust) if url.scheme == "https" else None
    check = None if target.policy is None else AddressCheck(target.policy)
    return Way(url.with_user(None), Prover(given, target.security), tuple(hidden), tls, check)


def a_seed() -> int:
    """For a run that was not given one. Short, because it stands in every message id."""
    return secrets.randbelow(1_000_000_000)
