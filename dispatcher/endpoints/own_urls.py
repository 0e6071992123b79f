"""Reports that came with a URL of their own: the sandbox's `notifyUrl`.

They go to one endpoint, which has no URL but theirs. So they share its window, its schedule and its
gauges, and nobody has to name an endpoint for each URL that some app thinks of. A URL of a message
goes before any subscription (reference, 4.3): no other endpoint takes them by itself.

The endpoint is there wherever such reports can be: in `dlr sandbox`, and for whoever works on a
database that a sandbox has worked on.
"""

from __future__ import annotations

from dataclasses import replace

from msgspec import structs

from dispatcher.endpoints.endpoint import Endpoint, Rules, Target, credentials_to_header
from dispatcher.settings.sandbox import SandboxSettings
from dispatcher.settings.security import TlsSettings
from dispatcher.settings.settings import OWN_URLS, EndpointSettings
from receiver.faults import without_credentials
from receiver.store.callback import NotifyTo

OF_OWN_URLS = EndpointSettings(
    name=OWN_URLS,
    url="http://notify-url.invalid/",  # never called: .invalid is no name of the DNS (RFC 2606)
    window=200,  # of many URLs at once: one that is dead must not hold up the others
)


def own_urls_of(sandbox: SandboxSettings) -> EndpointSettings:
    """The endpoint as these settings have it."""
    return replace(OF_OWN_URLS, tls=TlsSettings(ca_file=sandbox.notify_ca_file or None))


def taking_own_urls(endpoint: Endpoint) -> Endpoint:
    """The endpoint that these settings, as they may have been changed, describe. Its URLs come from
    outside whoever has changed it."""
    rules = structs.replace(endpoint.rules, own_urls=True)
    return structs.replace(endpoint, own_urls=True, checked=True, rules=rules)


def target_of(endpoint: Endpoint, notify_to: NotifyTo | None) -> Target:
    """Where a bucket of this endpoint goes. `notify_to` is what its reports brought along; `None`:
    to the URL of the endpoint."""
    if notify_to is None:
        return Target(endpoint.url, endpoint.content_type)
    return target_of_url(notify_to)


def target_of_url(notify_to: NotifyTo) -> Target:
    """Where something goes that came with a URL of its own."""
    url, headers = _apart(notify_to.url)
    return Target(url, f"application/{notify_to.format}", headers.get("Authorization"))


def _apart(url: str) -> tuple[str, dict[str, str]]:
    """A URL that cannot be taken apart is not called either, but it may be shown."""
    try:
        return credentials_to_header(url)
    except ValueError:
        return without_credentials(url), {}


ANY = Rules(own_urls=None)
"""What a replay asks for goes, with a URL of its own or without."""
