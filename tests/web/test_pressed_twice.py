"""A button that is pressed twice does what it says once."""

from __future__ import annotations

import re
from collections.abc import Callable

from tests.web.processes import Dlr, customer
from tests.web.reports import a_report
from tests.web.visitor import Visitor

Start = Callable[..., Dlr]


def test_push_again_pushes_once(start: Start) -> None:
    """A double click made a replay with each click, and the customer got the report as often. The
    page that is loaded again can push once more."""
    with customer() as acme:
        dlr = start(config=f'[[endpoint]]\nname = "acme"\nurl = "{acme.url}"\n')
        dlr.post_reports(a_report())
        dlr.until_pushed(1)
        (dispatch,) = dlr.ask("GET", "/api/dispatches")["dispatches"]
        visitor = Visitor(dlr)
        path = f"/dispatches/{dispatch['id']}"

        def once() -> str:
            found = re.search('name="once" value="([^"]+)"', visitor.ask("GET", path)[1])
            assert found is not None
            return found[1]

        shown = once()
        led = [visitor.post(f"{path}/again", None, once=shown)[0] for _ in range(2)]

        assert [each.getheader("Location") for each in led] == ["/dispatches?replay=1"] * 2
        visitor.post(f"{path}/again", None, once=once())
        assert len(dlr.ask("GET", "/api/replays")["replays"]) == 2
