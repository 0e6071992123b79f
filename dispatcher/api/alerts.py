"""The alerts that would fire. The API and the pages call `Alerts.now`."""

from __future__ import annotations

from collections.abc import Sequence

from msgspec import Struct

from dispatcher.observe.alerts import Alert, alerts_of
from receiver.answers import answer, web
from receiver.metrics import Scrape
from receiver.routes import Reply, Route


class AlertsAnswer(Struct, frozen=True):
    alerts: Sequence[Alert]


class Alerts:
    """Judges the alerts by what /metrics would show now."""

    def __init__(self, scrape: Scrape) -> None:
        self._scrape = scrape

    async def now(self) -> AlertsAnswer:
        """Each alert of the rules, in their order."""
        registry = await self._scrape.measured()
        return AlertsAnswer(alerts_of(registry.collect()))


class AlertApi:
    """`Alerts` over HTTP."""

    def __init__(self, alerts: Alerts) -> None:
        self._alerts = alerts

    @Route(
        "GET",
        "/api/alerts",
        "listAlerts",
        "The alerts of the Prometheus rules, as this process sees them now",
        {200: Reply("All alerts, including those that are not firing", AlertsAnswer)},
    )
    async def _list(self, _: web.Request) -> web.Response:
        return answer(await self._alerts.now())
