"""What a server would say of an item by itself, without a server."""

from collections.abc import Callable, Iterable, Iterator

from nearcast_catalogue.checking import check_item
from nearcast_catalogue.outcomes import refused
from nearcast_cli.itemfile.batching import batches
from nearcast_cli.itemfile.entries import Entries
from nearcast_cli.itemfile.journal import Journal
from nearcast_cli.rows import BadRow, Row
from nearcast_server.errors import InvalidRequestError
from nearcast_server.rpc.items import to_item
from nearcast_server.rpc.outcomes import to_outcome


def judged(rows: Iterable[Row | BadRow]) -> Iterator[Row | BadRow]:
    """Items that break no rule stay rows; what is stored already is not looked at."""
    for row in rows:
        yield row if isinstance(row, BadRow) else judge(row)


def judge(row: Row) -> Row | BadRow:
    """By the rules, and in the words, of the gateway."""
    try:
        violations = list(check_item(to_item(row.item)))
    except InvalidRequestError as error:
        violations = list(error.violations)
    if not violations:
        return row
    return row.refused(to_outcome(refused(violations[0])))


def check_all(entries: Entries, journal: Journal, noticed: Callable[[Journal], None]) -> None:
    """Every entry of a file, counted as if a server had been asked."""
    for batch in batches(judged(entries), entries.lines):
        journal.settle(batch, None)
        noticed(journal)
