"""What several processes count, as one. Pure."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping

from msgspec import Struct
from prometheus_client import CollectorRegistry
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

Key = tuple[str, str, tuple[tuple[str, str], ...]]
"""Of a sample: the metric, the sample's own name, its labels in order."""

Samples = Mapping[Key, float]


class Numbers(Struct, frozen=True):
    """The connections of a process, and what it has counted since it was started."""

    served: int = 0
    most: int = 0  # that may be served at once
    full: bool = False
    samples: list[tuple[Key, float]] = []


def samples_of(registry: CollectorRegistry) -> list[tuple[Key, float]]:
    """The samples of counters and histograms."""
    return [
        ((family.name, sample.name, tuple(sorted(sample.labels.items()))), sample.value)
        for family in registry.collect()
        for sample in family.samples
    ]


def total(all_samples: Iterable[Iterable[tuple[Key, float]]]) -> Samples:
    """The sum of each sample."""
    sums: Counter[Key] = Counter()
    for samples in all_samples:
        for key, value in samples:
            sums[key] += value  # type: ignore[assignment]
    return sums


class Summed(Collector):
    """Shows what `own` has plus what the other processes counted: the same metrics and labels as
    one process has."""

    def __init__(self, own: CollectorRegistry, others: Callable[[], Samples]) -> None:
        self._own = own
        self._others = others

    def collect(self) -> Iterator[Metric]:
        left: dict[str, dict[Key, float]] = defaultdict(dict)
        for key, value in self._others().items():
            left[key[0]][key] = value
        for family in self._own.collect():
            others = left[family.name]
            summed = Metric(family.name, family.documentation, family.type)
            for sample in family.samples:
                key = (family.name, sample.name, tuple(sorted(sample.labels.items())))
                summed.add_sample(sample.name, sample.labels, sample.value + others.pop(key, 0))
            for (_, name, labels), value in others.items():
                summed.add_sample(name, dict(labels), value)
            yield summed
