"""All routes of the sandbox: the provider's, and those for test suites."""

from __future__ import annotations

import asyncio

from aiohttp import web

from dispatcher.sandbox.advance import Advance
from dispatcher.sandbox.api.account import AccountApi
from dispatcher.sandbox.api.admin import AdminApi
from dispatcher.sandbox.api.bulks import BulksApi
from dispatcher.sandbox.api.conversions import ConversionApi
from dispatcher.sandbox.api.credentials import Credentials, provider_api
from dispatcher.sandbox.api.faults import FaultsApi, trouble
from dispatcher.sandbox.api.inbox import InboxApi
from dispatcher.sandbox.api.links import LinksApi
from dispatcher.sandbox.api.logs import LogsApi
from dispatcher.sandbox.api.pull import PullApi
from dispatcher.sandbox.api.requests import RequestsApi, seeing
from dispatcher.sandbox.api.seen_bodies import SeenBodies
from dispatcher.sandbox.api.send import V1_STATUSES, SendApi
from dispatcher.sandbox.api.tokens import Tokens
from dispatcher.sandbox.sandbox import Sandbox
from dispatcher.settings.settings import Settings
from receiver.routes import add_routes


def add_sandbox(
    app: web.Application, sandbox: Sandbox, advance: Advance, settings: Settings
) -> None:
    """Mount them on `app`."""
    store, now, limit = sandbox.store, sandbox.clock.now, settings.server.body_limit
    limits, requests = settings.limits, sandbox.requests
    bodies = SeenBodies(limit=limit, timeout=limits.body_timeout, at_once=limits.bodies)
    tokens = Tokens(now)
    credentials = Credentials(settings.sandbox.credential, tokens)
    app.middlewares.append(seeing(requests, now, logged=settings.sandbox.log_requests))
    app.middlewares.append(provider_api(credentials))
    app.middlewares.append(trouble(sandbox.faults, bodies, limit, asyncio.sleep))
    add_routes(app, AccountApi(credentials, tokens, bodies, settings.sandbox.currency))
    v1_status = V1_STATUSES[settings.sandbox.v1_status]
    SendApi(
        sandbox.accept, now=now, bodies=bodies, body_limit=limit, v1_status=v1_status
    ).add_routes(app)
    add_routes(app, PullApi(store, now), LogsApi(store, sandbox.account, now))
    BulksApi(store, now, bodies, limit, sandbox.wake).add_routes(app)
    add_routes(app, InboxApi(sandbox.inbox, now), LinksApi(sandbox.clicks))
    add_routes(app, ConversionApi(store, now), AdminApi(sandbox, advance))
    add_routes(app, FaultsApi(sandbox.faults), RequestsApi(requests))
