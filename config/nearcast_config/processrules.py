"""Rules between settings of a process, each with its consequence."""

from collections.abc import Iterator

from nearcast_config.problems import SettingProblem, shown
from nearcast_config.process import ProcessConfig
from nearcast_config.source import parse_kinds


def deadlines_are_ordered(process: ProcessConfig) -> Iterator[SettingProblem]:
    """Who sets no deadline must get one that is allowed."""
    default_s, most_s = process.gateway.default_deadline_s, process.gateway.max_deadline_s
    if default_s > most_s:
        yield SettingProblem(
            "gateway.default_deadline_s",
            f"must be at most gateway.max_deadline_s ({most_s}), got {default_s}: "
            "callers who set no deadline would get one that is not allowed",
        )


def gateway_ports_differ(process: ProcessConfig) -> Iterator[SettingProblem]:
    """Two things cannot listen on one port."""
    port = process.gateway.metrics_port
    if port and port == process.gateway.grpc_port:
        yield SettingProblem("gateway.metrics_port", f"must differ from gateway.grpc_port, got {port} twice")


def recycled_workers_have_others(process: ProcessConfig) -> Iterator[SettingProblem]:
    """While a worker is replaced somebody else has to answer."""
    gateway = process.gateway
    for key in ("recycle_after_calls", "recycle_rss_mib"):
        if getattr(gateway, key) and gateway.workers == 1:
            yield SettingProblem(
                f"gateway.{key}",
                f"needs gateway.workers of 2 or more, got {getattr(gateway, key)} with 1: "
                "a single process has nobody to take its place",
            )


def admission_narrows_before_it_closes(process: ProcessConfig) -> Iterator[SettingProblem]:
    """Whoever is sent away was told to send less before."""
    admission = process.admission
    for reading, narrow, close in (
        ("backlog_s", admission.narrow_backlog_s, admission.close_backlog_s),
        ("memory_share", admission.narrow_memory_share, admission.close_memory_share),
        ("append_s", admission.narrow_append_s, admission.close_append_s),
    ):
        if narrow >= close:
            yield SettingProblem(
                f"admission.narrow_{reading}",
                f"must be below admission.close_{reading} ({close}), got {narrow}: "
                "senders would be sent away before they were told to send less",
            )


def source_is_complete(process: ProcessConfig) -> Iterator[SettingProblem]:
    """A table of behaviour that is named has to be readable."""
    source = process.keeper.source
    if not source.dsn:
        return
    if not source.tenant:
        yield SettingProblem(
            "keeper.source.tenant", "must name a tenant while keeper.source.dsn is set, got none"
        )
    if bool(source.table.strip()) == bool(source.query.strip()):
        found = "both" if source.table.strip() else "neither"
        yield SettingProblem(
            "keeper.source.table", f"must be set, or keeper.source.query, and not both; got {found}"
        )
    if source.columns.anonymous and source.columns.anonymous == source.columns.user:
        yield SettingProblem(
            "keeper.source.columns.anonymous",
            f"must be another column than keeper.source.columns.user, got {shown(source.columns.user)} twice",
        )


def source_kinds_can_be_read(process: ProcessConfig) -> Iterator[SettingProblem]:
    """What its kinds mean is one line of text."""
    source = process.keeper.source
    try:
        parse_kinds(source.kinds if source.dsn else "")
    except ValueError as error:
        yield SettingProblem("keeper.source.kinds", f"{error}; write such as: shown=impression, clicked=view")


PROCESS_RULES = (
    deadlines_are_ordered,
    gateway_ports_differ,
    recycled_workers_have_others,
    admission_narrows_before_it_closes,
    source_is_complete,
    source_kinds_can_be_read,
)
