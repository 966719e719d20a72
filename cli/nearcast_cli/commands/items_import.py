"""nearcast items import: a file of any size, told how far it is, and gone on with after an interruption."""

import os
import time
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from nearcast_cli.finding import Server, Target, client_options, json_option
from nearcast_cli.finiterange import FiniteRange

if TYPE_CHECKING:
    from nearcast_cli.calling import Gateway
    from nearcast_cli.itemfile.checkpoint import Checkpoint
    from nearcast_cli.itemfile.entries import Format
    from nearcast_cli.itemfile.journal import Journal

MOST_ROWS_SHOWN = 50
MOST_PARALLEL = 32


class Column(click.ParamType[tuple[str, str]]):
    """FIELD=COLUMN."""

    name = "field=column"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """A pair."""
        field, equals, column = str(value).partition("=")
        if not (field and equals and column):
            self.fail(f"{value!r} is not FIELD=COLUMN, such as item_id=id", param, ctx)
        return field.strip(), column.strip()


@dataclass(frozen=True, slots=True)
class Plan:
    """What the command line asks for; the paths are None where nothing is to be kept."""

    file: Path
    form: "Format"
    rejects: Path | None
    checkpoint: Path | None
    restart: bool
    parallel: int
    prune: bool
    prune_limit: float


@click.command("import")
@click.argument("file", type=click.Path(path_type=Path, allow_dash=True, dir_okay=False, exists=True))
@click.option(
    "--format",
    "kind",
    type=click.Choice(["auto", "ndjson", "csv"]),
    default="auto",
    show_default=True,
    help="By the name of the file: .csv and .csv.gz are CSV, all else NDJSON.",
)
@click.option(
    "--column",
    "columns",
    type=Column(),
    multiple=True,
    help="The column that is a field, where it has another name: item_id=id. Repeatable.",
)
@click.option("--delimiter", default=",", show_default=True, help="Between the cells of CSV; tab is one too.")
@click.option("--check", is_flag=True, help="Only say what would be refused; no server is asked.")
@click.option(
    "--rejects",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Write what is refused here, as NDJSON.",
)
@click.option(
    "--checkpoint",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Where to keep how far it came. Default: FILE.import, while it is unfinished.",
)
@click.option("--restart", is_flag=True, help="Begin at the first line, whatever an earlier import left.")
@click.option(
    "--parallel",
    type=click.IntRange(1, MOST_PARALLEL),
    default=4,
    show_default=True,
    help="Calls at the same time.",
)
@click.option("--prune", is_flag=True, help="The file is everything: delete the items it does not name.")
@click.option(
    "--prune-limit",
    type=FiniteRange(0, 100),
    default=10.0,
    show_default=True,
    metavar="PERCENT",
    help="Prune nothing if that were more of all items.",
)
@client_options
@json_option
def import_(
    server: Server,
    file: Path,
    check: bool,
    as_json: bool,
    kind: str,
    **asked: Any,
) -> int:
    """Import items from FILE, or from standard input when it is "-"; either may be compressed by gzip.

    One item per line as JSON, with the field names of the API in either spelling (itemId or item_id):

    \b
    {"item_id": "cafe-1", "locations": [{"latitude": 59.91, "longitude": 10.75}], "title": "Café"}

    or CSV whose first line names the fields:

    \b
    item_id,latitude,longitude,title,tags
    cafe-1,59.91,10.75,Café,coffee|cake

    An id that exists is replaced. Lines that are refused are listed with line, field and reason, the others
    are imported; the exit status is 1 if any was refused. An import that broke off goes on after what the
    server acknowledged when the same command is given again.
    """
    from nearcast_cli.printing import print_json

    form = _format(file, kind, asked.pop("columns"), asked.pop("delimiter"))
    plan = _plan(file=file, form=form, **asked)
    if plan.prune and (check or file == Path("-")):
        raise click.BadParameter("reads a file a second time, after it was imported", param_hint="'--prune'")
    journal = _check(plan) if check else _import(plan, server.find())
    if as_json:
        print_json(_checked(journal) if check else journal.as_dict())
    else:
        _show(journal, plan, check)
    return 1 if journal.counted.refused else 0


def _checked(journal: "Journal") -> dict[str, object]:
    counted, said = journal.counted, journal.as_dict()
    return {"checked": counted.written + counted.refused, **{k: said[k] for k in ("refusedCount", "refused")}}


def _plan(*, file: Path, checkpoint: Path | None, form: "Format", **others: Any) -> Plan:
    from nearcast_cli.itemfile.checkpoint import SUFFIX

    if file != Path("-") and checkpoint is None:
        checkpoint = file.with_name(file.name + SUFFIX)
    return Plan(file, form, checkpoint=checkpoint, **others)


def _format(file: Path, kind: str, columns: tuple[tuple[str, str], ...], delimiter: str) -> "Format":
    from nearcast_cli.itemfile.entries import Format

    delimiter = {"tab": "\t", "\\t": "\t"}.get(delimiter, delimiter)
    if len(delimiter) != 1 or delimiter in '"\r\n':
        raise click.BadParameter("must be one character, or tab", param_hint="'--delimiter'")
    is_csv = kind == "csv" or (kind == "auto" and file.name.lower().removesuffix(".gz").endswith(".csv"))
    if columns and not is_csv:
        raise click.BadParameter("is for CSV; give --format csv", param_hint="'--column'")
    return Format("csv", delimiter, dict(columns)) if is_csv else Format()


def _import(plan: Plan, target: Target) -> "Journal":
    from nearcast_cli.calling import Gateway
    from nearcast_cli.importing import Importer
    from nearcast_cli.itemfile.batching import batches
    from nearcast_cli.itemfile.checkpoint import purpose_of
    from nearcast_cli.itemfile.entries import Entries
    from nearcast_cli.itemfile.journal import Journal
    from nearcast_cli.itemfile.opening import opened
    from nearcast_cli.itemfile.rejects import Rejects
    from nearcast_cli.itemfile.resuming import begin
    from nearcast_cli.itemfile.telling import telling

    began_s = time.time()
    checkpoint = _checkpoint(plan.checkpoint)
    with ExitStack() as stack:
        source = stack.enter_context(opened(plan.file))
        entries = Entries(source.lines, plan.form)
        begun = begin(entries, checkpoint, purpose_of(target, plan.form), restart=plan.restart)
        if begun.counted.written or begun.counted.refused:
            click.echo(f"Going on after line {begun.mark.line}.", err=True)
        _tell_ignored(entries.ignored)
        rejects = stack.enter_context(Rejects(plan.rejects, begun.rejects_bytes))
        journal = Journal(begun, rejects, checkpoint)
        noticed = stack.enter_context(telling(source))
        gateway = stack.enter_context(Gateway(target))
        importer = Importer(gateway, journal, noticed, parallel=plan.parallel)
        importer.send(batches(entries, source.lines, begun.beyond))
        journal.finish()
        if plan.prune:
            journal.pruned = _prune(plan, gateway, journal, began_s)
    return journal


def _prune(plan: Plan, gateway: "Gateway", journal: "Journal", began_s: float) -> int:
    from nearcast_cli.itemfile.entries import Entries
    from nearcast_cli.itemfile.opening import opened
    from nearcast_cli.itemfile.pruning import Named, changed, prune

    with opened(plan.file) as source:
        named = Named(Entries(source.lines, plan.form))
    if source.lines.mark() != journal.mark:
        raise changed()
    return prune(gateway, named, began_s, plan.prune_limit)


def _check(plan: Plan) -> "Journal":
    from nearcast_cli.itemfile.checkpoint import Progress
    from nearcast_cli.itemfile.entries import Entries
    from nearcast_cli.itemfile.journal import Journal
    from nearcast_cli.itemfile.judging import check_all
    from nearcast_cli.itemfile.opening import opened
    from nearcast_cli.itemfile.rejects import Rejects
    from nearcast_cli.itemfile.telling import telling

    with opened(plan.file) as source, Rejects(plan.rejects) as rejects, telling(source, "checked") as noticed:
        entries = Entries(source.lines, plan.form)
        journal = Journal(Progress("", source.lines.mark()), rejects)
        _tell_ignored(entries.ignored)
        check_all(entries, journal, noticed)
    return journal


def _tell_ignored(columns: list[str]) -> None:
    if columns:
        click.echo(f"These columns are no fields of an item and are ignored: {', '.join(columns)}", err=True)


def _checkpoint(path: Path | None) -> "Checkpoint | None":
    from nearcast_cli.itemfile.checkpoint import Checkpoint

    if path is None:
        return None
    if not os.access(path.parent, os.W_OK):
        click.echo(f"{path.parent} cannot be written: after an interruption this begins anew.", err=True)
        return None
    return Checkpoint(path)


def _show(journal: "Journal", plan: Plan, check: bool) -> None:
    from nearcast_cli.printing import counted as number_of

    counted = journal.counted
    if counted.refused:
        click.echo(f"{number_of(counted.refused, 'line')} refused:", err=True)
        shown = journal.refused[:MOST_ROWS_SHOWN]
        for row in shown:
            # A table would cut what the reader needs most.
            what = " ".join(filter(None, (row.reason, row.item_id, row.field)))
            click.echo(f"  line {row.line}: {what}: {row.message}", err=True)
        if len(shown) < counted.refused:
            where = f"all are in {plan.rejects}" if plan.rejects else "--rejects FILE keeps all"
            click.echo(f"… and {counted.refused - len(shown)} more; {where}.", err=True)
    if check:
        checked = number_of(counted.written + counted.refused, "item")
        click.echo(f"Checked {checked}: {counted.refused} would be refused.")
        return
    replaced = counted.written - counted.created
    imported = number_of(counted.written, "item")
    click.echo(f"Imported {imported}: {counted.created} new, {replaced} there already.")
    if plan.prune:
        click.echo(f"Deleted {journal.pruned} that the file does not name.")
