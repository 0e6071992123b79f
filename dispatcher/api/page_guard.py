"""What is asked of pages in a browser, by whom a route is for."""

from __future__ import annotations

from dispatcher.settings.settings import Settings
from receiver.api.browser import PageGuard, Rules, hosts_of
from receiver.callbacks.auth import authenticators_of
from receiver.callbacks.forwarded import proxies_of
from receiver.routes import Caller


def page_guard_of(settings: Settings) -> PageGuard:
    """The rules for the routes of this process. Without tokens they tell the operator by the host
    that a page names."""
    hosts, own, sandbox = hosts_of(settings.server), settings.server, settings.sandbox
    of_api = None if settings.api.token else hosts
    rules: dict[Caller, Rules] = {
        "operator": Rules(of_api, frozenset(own.cors_origins), json=True),
        "page": Rules(of_api),
        "visitor": Rules(of_api),
        "tester": Rules(of_api, frozenset(sandbox.cors_origins), json=True),
        "app": Rules(
            None if sandbox.credential else hosts,
            frozenset(sandbox.cors_origins),
            every_method=True,  # GET sends, and hands out reports once
        ),
        # The host of callbacks is a public one behind a proxy.
        "platform": Rules(hosts, only_browsers=True),
    }
    return PageGuard(
        rules, demanding=authenticators_of(settings.source, proxies_of(settings.server))
    )
