"""All pages, in one list: what a process with `[web] pages = true` shows."""

from __future__ import annotations

from dispatcher.service import Inside
from dispatcher.web.endpoints import EndpointPages
from dispatcher.web.inbox import InboxPages
from dispatcher.web.pushes import PushPages
from dispatcher.web.sign_in import SignInPages
from dispatcher.web.site import Site, StaticFiles


def add_pages(inside: Inside) -> None:
    """Add the pages to the process's application."""
    site = Site(inside)
    for pages in (
        StaticFiles(),
        SignInPages(site),
        InboxPages(site),
        PushPages(site),
        EndpointPages(site),
    ):
        site.add(inside.app, pages)
