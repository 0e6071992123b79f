"""What the sandbox has done since the process started, read at each scrape."""

from __future__ import annotations

from collections.abc import Iterable

from prometheus_client import CollectorRegistry
from prometheus_client.core import CounterMetricFamily, Metric
from prometheus_client.registry import Collector

from dispatcher.sandbox.sandbox import Sandbox


class SandboxMetrics(Collector):
    """Messages that were accepted, by the generation of the route, and reports that were made."""

    def __init__(self, registry: CollectorRegistry, sandbox: Sandbox) -> None:
        self._sandbox = sandbox
        registry.register(self)

    def collect(self) -> Iterable[Metric]:
        words = "Messages that the sandbox took, those that it refused included."
        taken = CounterMetricFamily("dlr_sandbox_messages", words, labels=["api"])
        for api, count in sorted(self._sandbox.taken.items()):
            taken.add_metric([api], count)
        yield taken
        words = "Reports that the sandbox made."
        yield CounterMetricFamily("dlr_sandbox_reports", words, value=self._sandbox.told)
