"""Many workers' metrics as one process's: counts added up over all lives, gauges by what they declare."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from math import isfinite

from msgspec import Struct
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.metrics_core import Metric as Family
from prometheus_client.registry import Collector

from nearcast_telemetry.declaration import Across, Metric

WORKER = "worker"
_COUNTED = ("counter", "histogram")

Labels = tuple[tuple[str, str], ...]


class Sample(Struct, frozen=True, array_like=True):
    """One number of a family, with its labels in order."""

    name: str
    labels: Labels
    value: float


class Readings(Struct, frozen=True, array_like=True):
    """All numbers of one family, at one moment of one process."""

    name: str
    type: str
    help: str
    samples: list[Sample]


def readings(registry: CollectorRegistry) -> list[Readings]:
    """What a process has counted so far, without births of counters, which nobody reads, and non-numbers."""
    return [
        Readings(
            family.name,
            family.type,
            family.documentation,
            [
                Sample(sample.name, tuple(sorted(sample.labels.items())), sample.value)
                for sample in family.samples
                if not sample.name.endswith("_created") and isfinite(sample.value)
            ],
        )
        for family in registry.collect()
    ]


class Merger:
    """Adds up workers, the dead among them: what a worker had counted when it ended stays counted."""

    def __init__(self, declared: Iterable[Metric]) -> None:
        self._across: dict[str, Across] = {metric.name: metric.across for metric in declared}
        self._past: dict[str, Sums] = {}

    def retire(self, worker: str, last: Sequence[Readings]) -> None:
        """This was the last that a worker's process said; its counts stay, what it measured is gone."""
        for family in last:
            if family.type in _COUNTED:
                self._sums(self._past, family).add(family.samples, self._told_apart(family, worker))

    def page(self, living: Iterable[tuple[str, Sequence[Readings]]]) -> bytes:
        """In Prometheus's text format; of two processes of one worker the later in the list is the worker."""
        merged = {name: sums.copy() for name, sums in self._past.items()}
        for worker, families in living:
            for family in families:
                sums, label = self._sums(merged, family), self._told_apart(family, worker)
                if family.type in _COUNTED:
                    sums.add(family.samples, label)
                else:
                    sums.measure(family.samples, label, self._across.get(family.name, "each"))
        return generate_latest(_Page(merged))

    def _told_apart(self, family: Readings, worker: str) -> Labels:
        """A label, or none for what is one number; what nobody declared, `process_*`, is each one's own."""
        declared = self._across.get(f"{family.name}_total" if family.type == "counter" else family.name)
        if declared is None or (declared == "each" and family.type not in _COUNTED):
            return ((WORKER, worker),)
        return ()

    def _sums(self, table: "dict[str, Sums]", family: Readings) -> "Sums":
        return table.setdefault(family.name, Sums(family.name, family.type, family.help))


class Sums:
    """One family of all workers."""

    def __init__(self, name: str, kind: str, meaning: str) -> None:
        self._facts = (name, kind, meaning)
        self._values: dict[tuple[str, Labels], float] = {}

    def copy(self) -> "Sums":
        """Whose numbers can change without these."""
        twin = Sums(*self._facts)
        twin._values = dict(self._values)
        return twin

    def add(self, samples: Iterable[Sample], label: Labels) -> None:
        """Counts."""
        for sample in samples:
            key = (sample.name, sample.labels + label)
            self._values[key] = self._values.get(key, 0.0) + sample.value

    def measure(self, samples: Iterable[Sample], label: Labels, across: Across) -> None:
        """Gauges."""
        for sample in samples:
            key = (sample.name, sample.labels + label)
            before = self._values.get(key)
            self._values[key] = sample.value if before is None else _joined(across, before, sample.value)

    def family(self) -> Family:
        """As the library prints it."""
        name, kind, meaning = self._facts
        family = Family(name, meaning, kind)
        for (sample, labels), value in self._values.items():
            family.add_sample(sample, dict(labels), value)
        return family


class _Page(Collector):
    def __init__(self, merged: Mapping[str, Sums]) -> None:
        self._merged = merged

    def collect(self) -> Iterator[Family]:
        for sums in self._merged.values():
            yield sums.family()


def _joined(across: Across, before: float, value: float) -> float:
    match across:
        case "sum":
            return before + value
        case "largest":
            return max(before, value)
        case "smallest":
            return min(before, value)
        case "each":
            return value
