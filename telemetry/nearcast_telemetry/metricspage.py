"""The reference page of all metrics, made from their declarations."""

from collections.abc import Iterator, Sequence

from nearcast_telemetry.declaration import Metric
from nearcast_telemetry.metrics import KEEPER_METRICS, SERVER_METRICS
from nearcast_telemetry.workermetrics import WORKER_METRICS

_PREFACE = (
    "Each process answers `GET /metrics` in Prometheus's text format: the gateway on `gateway.metrics_port`,"
    " the keeper on `keeper.metrics_port`. The usual `process_*` metrics are there too. Labels take their"
    " values from closed sets; what is in none of them is counted as `other`. This page is generated:"
    " `python -m nearcast_telemetry.metrics`."
)
_ACROSS = (
    "Where several workers answer on one port, one page tells of all of them. The last column says how: the"
    " `sum`, the `largest` or `smallest`, or `each` with a label `worker`. Sums count workers that ended,"
    " so that they never fall; `process_*` is of each, the process that keeps them being `parent`."
)


def reference() -> str:
    """The reference page, in Markdown."""
    return "\n".join(
        (
            "# Metrics",
            "",
            _PREFACE,
            "",
            "## Gateway",
            "",
            _ACROSS,
            *_table(SERVER_METRICS, across=True),
            "",
            "## Gateway of several workers",
            "",
            "The process that keeps the workers adds these ([workers](../workers.md)).",
            *_table(WORKER_METRICS),
            "",
            "## Keeper",
            *_table(KEEPER_METRICS),
            "",
        )
    )


def _table(declared: Sequence[Metric], *, across: bool = False) -> Iterator[str]:
    yield ""
    yield "| Metric | Type | Labels | Meaning |" + (" Of workers |" if across else "")
    yield "|---|---|---|---|" + ("---|" if across else "")
    for metric in declared:
        labels = "; ".join(
            f"`{label}`: {', '.join(f'`{value}`' for value in values)}"
            for label, values in metric.labels.items()
        )
        joined = f" {metric.across if metric.type == 'gauge' else 'sum'} |" if across else ""
        yield f"| `{metric.name}` | {metric.type} | {labels} | {metric.help} |{joined}"
