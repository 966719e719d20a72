"""Mistakes that were made elsewhere, as changes of our code, each with the tests that must see it."""

from dataclasses import dataclass

CONSUMER = "statskeeper/nearcast_statskeeper/consumer.py"
FOLDING = "statskeeper/nearcast_statskeeper/folding.py"
RELAYING = "statskeeper/nearcast_statskeeper/relaying.py"
COUNTING = "store/nearcast_store/counting/postgres.py"
COLUMNS = "store/nearcast_store/counting/columns.py"
STAGING = "store/nearcast_store/counting/staging.py"
SOURCE = "store/nearcast_store/log/source.py"
LOG = "store/nearcast_store/log/redis.py"
DURABILITY = "store/nearcast_store/log/durability.py"
POSTGRES = "store/nearcast_store/postgres.py"
COUNTS_SQL = "store/nearcast_store/sql/counts.sql"
SEALING = "ledger/nearcast_ledger/sealing.py"
JUDGING = "store/nearcast_store/intake/judging.py"
RECORDING = "server/nearcast_server/recording.py"

KEEPERS = "tests/faults/test_keeper_deaths.py"
GATEWAYS = "tests/faults/test_gateway_deaths.py"
LOGS = "tests/faults/test_log_faults.py"
DISKS = "tests/faults/test_log_disks.py"
STORES = "tests/faults/test_store_faults.py"
REPORTS = "tests/faults/test_reports.py"


@dataclass(frozen=True, slots=True)
class Change:
    """One replacement of text that stands exactly once in the file."""

    path: str
    old: str
    new: str


@dataclass(frozen=True, slots=True)
class Mutation:
    """A mistake, and the test that must fail with it."""

    name: str
    changes: tuple[Change, ...]
    test: str


MUTATIONS = (
    Mutation(
        "acknowledges before it commits",
        (
            Change(
                CONSUMER,
                "await self._fold(chunk)",
                "await self._source.acknowledge(chunk); await self._fold(chunk)",
            ),
        ),
        f"{KEEPERS}::test_a_batch_that_meets_a_death_at_every_step_is_counted_once",
    ),
    Mutation(
        "folds all staged rows instead of the new ones",
        (
            Change(
                COUNTING,
                '_EVENTS["forget_known_events"], known',
                '_EVENTS["forget_known_events"], []',
            ),
            Change(COUNTING, "            if len(new):\n", "            if len(rows):\n"),
        ),
        f"{KEEPERS}::test_a_batch_that_meets_a_death_at_every_step_is_counted_once",
    ),
    Mutation(
        "stores and counts in two transactions",
        (
            Change(
                COUNTING,
                "            new = await _store(connection, rows) if len(rows) else rows\n",
                "            async with self._pool.transaction() as other:\n"
                "                new = await _store(other, rows) if len(rows) else rows\n",
            ),
        ),
        f"{KEEPERS}::test_a_batch_that_meets_a_death_at_every_step_is_counted_once",
    ),
    Mutation(
        "puts an event on the day it was received",
        (
            Change(
                STAGING,
                "rows.days() - _FIRST_DAY",
                "rows.shared('received_at_us') // 86_400_000_000 - _FIRST_DAY",
            ),
        ),
        f"{REPORTS}::test_the_same_batch_ten_times_over_two_gateways_is_counted_once",
    ),
    Mutation(
        "knows an event by its event id alone",
        (
            Change(
                COLUMNS,
                'np.flatnonzero(~claimed & (rows["detail"] >= 0))',
                'np.flatnonzero(rows["detail"] >= 0)',
            ),
        ),
        f"{REPORTS}::test_the_same_batch_ten_times_over_two_gateways_is_counted_once",
    ),
    Mutation(
        "makes a lost group at the end of its stream",
        (Change(SOURCE, 'GROUP, "0", "MKSTREAM"', 'GROUP, "$", "MKSTREAM"'),),
        f"{LOGS}::test_an_emptied_log_loses_nothing_that_came_after",
    ),
    Mutation(
        "appends with a most length",
        (
            Change(
                LOG,
                '("XADD", append.stream, "*", FIELD, append.raw)',
                '("XADD", append.stream, "MAXLEN", 5, "*", FIELD, append.raw)',
            ),
        ),
        f"{KEEPERS}::test_two_keepers_at_once_share_a_backlog_and_never_meet_in_a_deadlock",
    ),
    Mutation(
        "sends an append again by itself",
        (
            Change(
                LOG,
                "        replies = await self._connection.exchange(commands)\n",
                "        try:\n"
                "            replies = await self._connection.exchange(commands)\n"
                "        except StoreError:\n"
                "            await asyncio.wait([asyncio.create_task(asyncio.Event().wait())], timeout=0.2)\n"
                "            replies = await self._connection.exchange(commands)\n",
            ),
        ),
        f"{GATEWAYS}::test_a_lost_reply_of_the_log_makes_one_entry_for_each_attempt",
    ),
    Mutation(
        "answers although the log did not reach the disk",
        (Change(LOG, "proof.require(proven)", "del proven"),),
        f"{LOGS}::test_no_answer_promises_a_disk_that_was_not_reached",
    ),
    Mutation(
        "answers although no copy has the events",
        (Change(DURABILITY, "copies < 1", "copies < 0"),),
        f"{DISKS}::test_a_copy_that_confirmed_every_write_has_all_of_them",
    ),
    Mutation(
        "looks for changed counts after the latest one it saw",
        (
            Change(
                COUNTS_SQL,
                "select pg_snapshot_xmin(pg_current_snapshot()) as horizon,",
                "select coalesce((select xid from count_changes order by xid desc limit 1),"
                " pg_snapshot_xmin(pg_current_snapshot())) as horizon,",
            ),
        ),
        f"{REPORTS}::test_what_commits_late_is_seen_by_every_gateway_all_the_same",
    ),
    Mutation(
        "writes counts in another order on every machine",
        (
            Change(
                COUNTING,
                "await connection.execute(_COUNTS[name])",
                "await connection.execute(\n"
                "            _COUNTS[name].replace('order by tenant_id, posting', 'order by posting desc')\n"
                "            if __import__('socket').gethostname() == 'another' else _COUNTS[name])",
            ),
        ),
        f"{KEEPERS}::test_two_keepers_at_once_share_a_backlog_and_never_meet_in_a_deadlock",
    ),
    Mutation(
        "takes a lost connection for a fault of the event",
        (Change(POSTGRES, '_REFUSED = ("22", "23")', '_REFUSED = ("22", "23", "08")'),),
        f"{KEEPERS}::test_a_connection_cut_around_the_commit_is_asked_again",
    ),
    Mutation(
        "never takes over what another keeper left",
        (
            Change(
                SOURCE,
                "return unfinished or await self._claim_idle(streams, most, idle_s)",
                "return unfinished",
            ),
        ),
        f"{KEEPERS}::test_what_a_keeper_left_when_it_died_for_good_is_taken_over",
    ),
    Mutation(
        "takes over behind a lock that nobody frees after a death",
        (
            Change(
                SOURCE,
                "            return unfinished or await self._claim_idle(streams, most, idle_s)\n",
                '            await run(self._redis, "SET", "claiming", self._consumer, "NX")\n'
                '            if await run(self._redis, "GET", "claiming") != self._consumer.encode():\n'
                "                return unfinished\n"
                "            return unfinished or await self._claim_idle(streams, most, idle_s)\n",
            ),
        ),
        f"{KEEPERS}::test_what_a_keeper_left_when_it_died_for_good_is_taken_over",
    ),
    Mutation(
        "gives an event that is too old a new time",
        (
            Change(
                JUDGING,
                '    if problem is not None:\n        return _too_far("event_id", problem)\n',
                "    if problem is EventProblem.TOO_OLD:\n"
                "        known = event.event_id or UUID(int=0)\n"
                "        fresh = UUID(int=(now_ms << 80) | (known.int & ((1 << 80) - 1)))\n"
                "        event = replace(event, event_id=fresh)\n"
                '    elif problem is not None:\n        return _too_far("event_id", problem)\n',
            ),
        ),
        f"{REPORTS}::test_reports_that_cannot_be_taken_are_refused_one_by_one",
    ),
    Mutation(
        "accepts a value that is no number",
        (
            Change(
                JUDGING,
                "not (math.isfinite(report.value) and 0 <= report.value <= MOST_VALUE)",
                "(report.value < 0 or report.value > MOST_VALUE)",
            ),
        ),
        f"{REPORTS}::test_reports_that_cannot_be_taken_are_refused_one_by_one",
    ),
    Mutation(
        "signs a token without its item",
        (
            Change(
                SEALING,
                "        tag = self._signing.copy()\n        tag.update(body)\n",
                "        tag = self._signing.copy()\n        tag.update(body[:22] + body[30:])\n",
            ),
            Change(SEALING, "expected.update(body)\n", "expected.update(body[:22] + body[30:])\n"),
        ),
        f"{REPORTS}::test_a_token_of_one_item_proves_nothing_of_another",
    ),
    Mutation(
        "lets acts count without their impressions",
        (Change(FOLDING, "rows = self._rows.with_implied()", "rows = self._rows"),),
        f"{REPORTS}::test_acts_before_their_impressions_imply_them_once",
    ),
    Mutation(
        "takes a missing partition for a fault of the event",
        (
            Change(
                COUNTING,
                "isinstance(cause, asyncpg.CheckViolationError)",
                "isinstance(cause, LookupError)",
            ),
        ),
        f"{STORES}::test_a_missing_partition_is_made_when_an_event_needs_it",
    ),
    Mutation(
        "reads on while a fold fails",
        (
            Change(
                CONSUMER,
                "        if not self._held:\n            self._held = await self._next()\n",
                "        self._held = await self._next()\n        if True:\n",
            ),
            Change(
                SOURCE,
                "{key: last.get(key, _NONE_LEFT) for key in keys}",
                "dict.fromkeys(keys, _NONE_LEFT)",
            ),
            Change(
                SOURCE,
                "return unfinished or await self._claim_idle(streams, most, idle_s)",
                "return unfinished",
            ),
        ),
        f"{STORES}::test_a_postgres_that_may_not_write_is_waited_for",
    ),
    Mutation(
        "answers before the log has the events",
        (
            Change(
                RECORDING,
                "        durability = await self._append(tenant_id, int(now * 1_000_000), accepted)\n",
                "        appending = self._append(tenant_id, int(now * 1_000_000), accepted)\n"
                "        self._late = asyncio.ensure_future(appending)\n"
                "        self._late.add_done_callback(lambda done: done.cancelled() or done.exception())\n"
                "        durability = self._durability if accepted else None\n",
            ),
        ),
        f"{LOGS}::test_a_full_log_takes_nothing_loses_nothing_and_heals_by_itself",
    ),
    Mutation(
        "never fills an emptied index",
        (
            Change(
                RELAYING,
                "        if trouble or position is None:\n",
                "        if position is None:\n            return 0\n        if trouble:\n",
            ),
        ),
        f"{LOGS}::test_an_emptied_log_loses_nothing_that_came_after",
    ),
)
