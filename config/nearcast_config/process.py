"""What one process needs to start: addresses, connections, limits. Read once, never changed."""

from typing import Annotated, Literal

from msgspec import Meta, Struct, field

from nearcast_config.source import Source

# A value that may hold a password: never shown, whatever is wrong with it.
SECRET = {"secret": True}


class Gateway(Struct, frozen=True, forbid_unknown_fields=True):
    """The gRPC server."""

    host: Annotated[str, Meta(min_length=1, description="Address to listen on")] = "127.0.0.1"
    grpc_port: Annotated[int, Meta(ge=0, le=65535, description="Port of the gRPC server; 0 = any free")] = (
        50051
    )
    http_port: Annotated[
        int, Meta(ge=0, le=65535, description="Reserved for HTTP/JSON; nothing listens yet")
    ] = 8080
    metrics_port: Annotated[
        int, Meta(ge=0, le=65535, description="Port of /metrics and /healthz; 0 = any free")
    ] = 9464
    workers: Annotated[
        int,
        Meta(ge=1, le=64, description="Processes that answer on the port; what a limit counts, each counts"),
    ] = 1
    recycle_after_calls: Annotated[
        int,
        Meta(
            ge=0,
            le=10**12,
            description="Calls, up to a tenth less, after which a worker is replaced; 0 = never",
        ),
    ] = 0
    recycle_rss_mib: Annotated[
        int,
        Meta(
            ge=0,
            le=1048576,
            description="Memory of its own, mapped files apart, at which a worker is replaced; 0 = never",
        ),
    ] = 0
    candidates: Annotated[
        Literal["auto", "replica", "redis"],
        Meta(
            description="Where candidates come from: this host's replica of the index, or Redis where that is"
            " missing or lags (auto) or cannot be asked at all (replica); or always Redis"
        ),
    ] = "auto"
    reflection: Annotated[
        bool, Meta(description="Answer gRPC reflection, so that grpcurl works without protos")
    ] = False
    max_message_bytes: Annotated[
        int,
        Meta(
            ge=65536, le=16777216, description="Largest message in bytes; larger ones get RESOURCE_EXHAUSTED"
        ),
    ] = 1048576
    default_deadline_s: Annotated[
        float, Meta(gt=0, le=60, description="Seconds a call may take when the caller set no deadline")
    ] = 5.0
    max_deadline_s: Annotated[
        float, Meta(gt=0, le=600, description="Longest deadline in seconds a caller can have")
    ] = 30.0
    max_concurrent_calls: Annotated[
        int,
        Meta(ge=1, le=100000, description="Calls in flight beyond which a worker answers RESOURCE_EXHAUSTED"),
    ] = 1000
    stream_window: Annotated[
        int,
        Meta(ge=1, le=64, description="Batches of a StreamEvents stream taken and not acknowledged, at most"),
    ] = 8
    stream_idle_s: Annotated[
        float, Meta(gt=0, le=3600, description="Seconds without a message after which a stream is ended")
    ] = 60.0
    stream_max_age_s: Annotated[
        float,
        Meta(gt=0, le=86400, description="Seconds a stream may live; it ends in the last tenth of them"),
    ] = 600.0
    streams_per_key: Annotated[
        int, Meta(ge=1, le=100000, description="Streams that may be open with one API key in one worker")
    ] = 100
    watchers_per_key: Annotated[
        int,
        Meta(ge=1, le=10000, description="WatchStats streams that one API key may hold in one worker"),
    ] = 8
    watch_heartbeat_s: Annotated[
        float,
        Meta(gt=0, le=600, description="Seconds without news after which a WatchStats stream gives a sign"),
    ] = 15.0
    handshake_timeout_s: Annotated[
        float,
        Meta(gt=0, le=120, description="Seconds a new connection has to begin to speak HTTP/2"),
    ] = 5.0
    keepalive_s: Annotated[
        float,
        Meta(
            gt=0,
            le=3600,
            description="Seconds of silence after which a connection is asked whether anybody is there",
        ),
    ] = 30.0
    keepalive_timeout_s: Annotated[
        float, Meta(gt=0, le=600, description="Seconds to answer that, or the connection is dropped")
    ] = 10.0
    shutdown_grace_s: Annotated[
        float, Meta(ge=0, le=300, description="Seconds that running calls get at a stop")
    ] = 10.0
    refresh_interval_s: Annotated[
        float,
        Meta(
            ge=0.05, le=60, description="Seconds between looks for new statistics, policies, epochs and keys"
        ),
    ] = 0.5
    served_interval_s: Annotated[
        float, Meta(ge=0.05, le=600, description="Seconds between writes of how often items were served")
    ] = 2.0
    seen_cache_s: Annotated[
        float,
        Meta(
            ge=0, le=300, description="Seconds for which a worker remembers what a person has seen; 0 = not"
        ),
    ] = 5.0
    seen_cache_mib: Annotated[
        int, Meta(ge=1, le=16384, description="Memory that it may take for that in each worker")
    ] = 32


class Postgres(Struct, frozen=True, forbid_unknown_fields=True):
    """The record: items, ledger, counts, policies."""

    dsn: Annotated[
        str, Meta(description="Postgres 15 or newer, as postgresql://user@host/db", extra=SECRET)
    ] = ""
    pool_size: Annotated[int, Meta(ge=1, le=200, description="Connections a process may hold")] = 8
    command_timeout_s: Annotated[
        float, Meta(gt=0, le=300, description="Seconds a statement of the gateway may take")
    ] = 5.0


class Redis(Struct, frozen=True, forbid_unknown_fields=True):
    """The index and the event log; one instance or two."""

    geo_url: Annotated[
        str,
        Meta(description="Redis 6.2 / Valkey or newer for the index, as redis://host:port/0", extra=SECRET),
    ] = ""
    log_url: Annotated[
        str, Meta(description="The event log's instance; empty = the same as geo_url", extra=SECRET)
    ] = ""
    command_timeout_s: Annotated[float, Meta(gt=0, le=60, description="Seconds a command may take")] = 1.0


class Replica(Struct, frozen=True, forbid_unknown_fields=True):
    """The copy of the index that a host holds in memory, written by one process and read by all gateways."""

    memory_mib: Annotated[
        int,
        Meta(
            ge=16, le=1048576, description="Memory for all tenants; one that does not fit is asked of Redis"
        ),
    ] = 2048
    directory: Annotated[
        str,
        Meta(description="Where ids, display messages and snapshots are kept; empty = in the user's cache"),
    ] = ""
    max_lag_s: Annotated[
        float,
        Meta(gt=0, le=3600, description="Seconds behind the index beyond which Redis is asked instead"),
    ] = 3.0
    shadow_share: Annotated[
        float,
        Meta(
            ge=0, le=1, description="Share of requests that are asked of Redis as well, to compare; 0 = none"
        ),
    ] = 0.001
    restate_s: Annotated[
        float,
        Meta(gt=0, le=3600, description="Seconds in which all statistics are written anew, as evidence ages"),
    ] = 60.0


class Log(Struct, frozen=True, forbid_unknown_fields=True):
    """The event log between gateways and keeper."""

    shards: Annotated[
        int, Meta(ge=1, le=64, description="Streams per tenant that are appended to; all there are are read")
    ] = 4
    durability: Annotated[
        Literal["memory", "everysec", "fsync", "replicated"],
        Meta(description="What an accepted event has survived; named in every answer"),
    ] = "everysec"


class Keeper(Struct, frozen=True, forbid_unknown_fields=True):
    """The process that folds events and carries items to the index."""

    host: Annotated[
        str, Meta(min_length=1, description="Address that the keeper's /metrics and /healthz listen on")
    ] = "127.0.0.1"
    batch_events: Annotated[
        int, Meta(ge=1, le=10000, description="Events folded in one transaction at most")
    ] = 5000
    claim_idle_s: Annotated[
        float,
        Meta(
            ge=1,
            le=3600,
            description="Seconds after which another keeper's unfinished entries are taken over",
        ),
    ] = 30.0
    bury_unforeseen: Annotated[
        bool,
        Meta(
            description="Make dead letters of entries that raise the same one after another, which otherwise"
            " stop the keeper: for when somebody else wrote them"
        ),
    ] = False
    relay_interval_s: Annotated[
        float, Meta(ge=0.01, le=60, description="Seconds between looks for changed items")
    ] = 0.1
    sweep_interval_s: Annotated[
        float, Meta(ge=0.1, le=3600, description="Seconds between sweeps of expired items")
    ] = 5.0
    tombstone_hours: Annotated[
        float, Meta(ge=1, le=8760, description="Hours a deleted item's version is remembered")
    ] = 168.0
    change_keep_hours: Annotated[
        float,
        Meta(
            ge=1,
            le=720,
            description="Hours that numbered changes are kept to repair a Redis that lost its tail",
        ),
    ] = 24.0
    decision_keep_days: Annotated[
        int, Meta(ge=1, le=3650, description="Days that logged decisions are kept, for replay and evaluation")
    ] = 30
    metrics_port: Annotated[
        int, Meta(ge=0, le=65535, description="Port of /metrics and /healthz; 0 = any free")
    ] = 9465
    source: Source = field(default_factory=Source)


class Admission(Struct, frozen=True, forbid_unknown_fields=True):
    """How the gateway takes fewer events as the event log nears its limits."""

    interval_s: Annotated[
        float, Meta(ge=0.05, le=60, description="Seconds between looks at the event log's readings")
    ] = 1.0
    narrow_backlog_s: Annotated[
        float,
        Meta(gt=0, le=604800, description="Age in seconds of unfolded events from which batches shrink"),
    ] = 600.0
    close_backlog_s: Annotated[
        float, Meta(ge=10, le=604800, description="Age in seconds at which events are sent away")
    ] = 21600.0
    narrow_memory_share: Annotated[
        float,
        Meta(gt=0, le=1, description="Share of the log's maxmemory from which batches shrink"),
    ] = 0.7
    close_memory_share: Annotated[
        float, Meta(gt=0, le=1, description="Share of it at which events are sent away")
    ] = 0.9
    narrow_append_s: Annotated[
        float, Meta(gt=0, le=600, description="Seconds of one append from which batches shrink")
    ] = 1.0
    close_append_s: Annotated[
        float, Meta(gt=0, le=600, description="Seconds of one append at which events are sent away")
    ] = 10.0
    calls_share: Annotated[
        float,
        Meta(
            gt=0,
            le=1,
            description="Share of gateway.max_concurrent_calls that event calls and streams may hold;"
            " the rest is for everybody else",
        ),
    ] = 0.6
    tenant_share: Annotated[
        float,
        Meta(gt=0, le=1, description="Share of those that one tenant may hold where there are several"),
    ] = 0.5
    patience_s: Annotated[
        float,
        Meta(ge=0, le=600, description="Seconds a stream waits for the log before it is sent away"),
    ] = 10.0


class Preflight(Struct, frozen=True, forbid_unknown_fields=True):
    """Looks at the settings of Redis and Postgres, before a process is ready and while it runs."""

    enforce: Annotated[
        bool,
        Meta(description="Refuse to be ready on unsafe settings; false only logs them, for development"),
    ] = True
    interval_s: Annotated[float, Meta(ge=0.1, le=3600, description="Seconds between looks")] = 15.0
    state: Annotated[
        str,
        Meta(description="State directory of the `nearcast up` that runs both stores; set by it"),
    ] = ""


class Logging(Struct, frozen=True, forbid_unknown_fields=True):
    """What the process writes about itself."""

    level: Annotated[
        Literal["debug", "info", "warning", "error"], Meta(description="Least severity that is written")
    ] = "info"
    format: Annotated[
        Literal["json", "text"], Meta(description="One JSON object per line, or text for reading")
    ] = "json"


class ProcessConfig(Struct, frozen=True, forbid_unknown_fields=True):
    """Everything a process reads at its start."""

    gateway: Gateway = field(default_factory=Gateway)
    postgres: Postgres = field(default_factory=Postgres)
    redis: Redis = field(default_factory=Redis)
    replica: Replica = field(default_factory=Replica)
    log: Log = field(default_factory=Log)
    keeper: Keeper = field(default_factory=Keeper)
    admission: Admission = field(default_factory=Admission)
    preflight: Preflight = field(default_factory=Preflight)
    logging: Logging = field(default_factory=Logging)
