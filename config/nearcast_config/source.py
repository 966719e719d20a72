"""A table of a customer's own, in which people's behaviour stands already: where it is and how it is read."""

from typing import Annotated, Literal

from msgspec import Meta, Struct, field

SOURCE_NAME = r"[a-z][a-z0-9_-]{0,31}"


class SourceColumns(Struct, frozen=True, forbid_unknown_fields=True):
    """What the columns of the table, or of the query, are called there. Empty = there is none."""

    time: Annotated[
        str,
        Meta(
            min_length=1,
            description="When it happened: timestamptz, timestamp (read as UTC) or a number (`epoch_unit`); "
            "never changes once written",
        ),
    ] = "occurred_at"
    id: Annotated[
        str, Meta(min_length=1, description="What the row is known by: integer, uuid or text; unique")
    ] = "id"
    kind: Annotated[str, Meta(min_length=1, description="What was done; see `kinds`")] = "kind"
    item: Annotated[str, Meta(description="The item's id")] = ""
    user: Annotated[str, Meta(description="The signed-in person's id")] = ""
    anonymous: Annotated[str, Meta(description="The guest's id, where there is no user")] = ""
    session: Annotated[str, Meta(description="The visit's id")] = ""
    reward_token: Annotated[
        str, Meta(description="The token that came with the item; only such rows are learned from")
    ] = ""
    value: Annotated[str, Meta(description="What it was worth, a number")] = ""
    properties: Annotated[str, Meta(description="Anything else, a JSON object")] = ""


class Source(Struct, frozen=True, forbid_unknown_fields=True):
    """A customer's own table of behaviour in Postgres, read by the keeper; see docs/source.md."""

    dsn: Annotated[
        str,
        Meta(
            description="The table's database, as postgresql://reader@host/db; empty = nothing is read",
            extra={"secret": True},
        ),
    ] = ""
    tenant: Annotated[str, Meta(description="Whose events these are, by the tenant's slug")] = ""
    name: Annotated[
        str,
        Meta(
            pattern=SOURCE_NAME,
            description="What the source is known by here; under another name rows are other events",
        ),
    ] = "source"
    table: Annotated[str, Meta(description="Table or view, as schema.name; either this or `query`")] = ""
    query: Annotated[
        str, Meta(description="A select that gives the columns, where no table or view does")
    ] = ""
    kinds: Annotated[
        str,
        Meta(
            description="Which of the source's words stands for which kind, as `shown=impression, "
            "clicked=view`; other words are taken as they are"
        ),
    ] = ""
    epoch_unit: Annotated[
        Literal["s", "ms", "us"], Meta(description="What a time that is a number counts since 1970")
    ] = "s"
    start_hours: Annotated[
        float, Meta(ge=0, le=168, description="How far back the first run begins; older rows are not read")
    ] = 168.0
    interval_s: Annotated[
        float, Meta(ge=0.1, le=86400, description="Seconds between runs; a run reads all there is")
    ] = 10.0
    overlap_s: Annotated[
        float,
        Meta(
            ge=0,
            le=86400,
            description="Seconds that each run reads again: rows may be committed so late, or carry a time "
            "of a clock that is so slow",
        ),
    ] = 300.0
    batch_rows: Annotated[int, Meta(ge=1, le=10000, description="Rows read with one statement, at most")] = (
        1000
    )
    timeout_s: Annotated[
        float, Meta(ge=0.1, le=600, description="Seconds for connecting, and for each statement")
    ] = 30.0
    columns: SourceColumns = field(default_factory=SourceColumns)


def parse_kinds(text: str) -> dict[str, str]:
    """The kind for each of the source's words; ValueError says which part is not of the form."""
    kinds: dict[str, str] = {}
    for part in filter(None, (part.strip() for part in text.split(","))):
        word, separator, kind = (piece.strip() for piece in part.partition("="))
        if not (word and separator and kind):
            raise ValueError(f"must be word=kind, got {part}")
        if word in kinds:
            raise ValueError(f"must name each word once, got {word} again")
        kinds[word] = kind
    return kinds
