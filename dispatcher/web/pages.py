"""All pages, in one list: what a process with `[web] pages = true` shows."""

from __future__ import annotations

from dispatcher.service import Inside
from dispatcher.web.endpoints import EndpointPages
from dispatcher.web.help import HelpPages
from dispatcher.web.inbox import InboxPages
from dispatcher.web.messages import MessagePages
from dispatcher.web.overview import OverviewPages
from dispatcher.web.pushes import PushPages
from dispatcher.web.quarantine import QuarantinePages
from dispatcher.web.rehearse import RehearsePages
from dispatcher.web.replays import ReplayPages
from dispatcher.web.reports import ReportPages
from dispatcher.web.sandbox import SandboxPages
from dispatcher.web.sign_in import SignInPages
from dispatcher.web.simulate import SimulatePages
from dispatcher.web.site import Site, StaticFiles


def add_pages(inside: Inside) -> None:
    """Add the pages to the process's application."""
    site = Site(inside)
    site.show_wrong_paths(inside.app)
    for pages in (
        StaticFiles(),
        SignInPages(site),
        InboxPages(site),
        OverviewPages(site),
        SimulatePages(site),
        RehearsePages(site),
        ReplayPages(site),
        ReportPages(site),
        MessagePages(site),
        PushPages(site),
        EndpointPages(site),
        QuarantinePages(site),
        HelpPages(site),
        SandboxPages(site),
    ):
        site.add(inside.app, pages)
