"""What a metric is before it has a value: name, type, question, labels.

Every metric of a node is declared once as a Family, beside the code that fills it; registries, the
table in docs/metrics.md and the checks of alerts and dashboard all come from these.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Literal, NamedTuple

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric

Type = Literal["counter", "gauge", "histogram", "info"]


class Family(NamedTuple):
    """One metric. `name` as Prometheus shows it: a counter's ends in `_total`, info in `_info`.

    `question` is what its number answers. Of a label only few values are ever used.
    """

    type: Type
    name: str
    question: str
    labels: tuple[str, ...] = ()
    buckets: tuple[float, ...] = ()

    def make_counter(self, registry: CollectorRegistry) -> Counter:
        """Return it as a counter that is counted where things happen."""
        return Counter(self.name, self.question, self.labels, registry=registry)

    def make_gauge(self, registry: CollectorRegistry) -> Gauge:
        """Return it as a gauge that is set where things happen."""
        return Gauge(self.name, self.question, self.labels, registry=registry)

    def make_histogram(self, registry: CollectorRegistry) -> Histogram:
        """Return it as a histogram with its buckets."""
        return Histogram(
            self.name, self.question, self.labels, buckets=self.buckets, registry=registry
        )

    def show(self, value: float) -> Metric:
        """Return it with one value and no labels, read at the moment of a scrape."""
        return self.show_all({(): value})

    def show_all(self, values: Mapping[tuple[str, ...], float]) -> Metric:
        """Return it with a value for each combination of its labels."""
        kind = CounterMetricFamily if self.type == "counter" else GaugeMetricFamily
        family = kind(self.name, self.question, labels=self.labels)
        for labels, value in values.items():
            family.add_metric(labels, value)
        return family


def order(families: Iterable[Family]) -> tuple[Family, ...]:
    """Return them by name."""
    return tuple(sorted(families, key=lambda family: family.name))
