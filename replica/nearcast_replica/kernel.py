"""One decision as one call of machine code, over memory that is kept from one question to the next."""

from math import cos, radians, sin
from struct import Struct, pack

import msgspec
import numpy as np

from nearcast_bandit.factors import Factors
from nearcast_bandit.lanes import Lane
from nearcast_compiling.memory import address_of
from nearcast_geo.outline import quick_outline
from nearcast_geo.point import Point
from nearcast_ledger.kinds import IMPRESSION
from nearcast_replica.choosing import decide
from nearcast_replica.columns import build_segment, records_of
from nearcast_replica.dictionaries import Dictionaries
from nearcast_replica.factoring import Boosts, Floats, boosts_of
from nearcast_replica.gathering import TOO_FULL
from nearcast_replica.layout import Array, Segment, Shape
from nearcast_replica.query import (
    NO_INTEGERS,
    UNIFORM_PRIOR,
    Found,
    Integers,
    Mode,
    Order,
    Query,
    Terms,
    region_of,
    tag_mask,
    terms_of,
    weighted_kinds,
)
from nearcast_replica.registers import MOST_RUNGS, WORLD_WORDS, Answer, Ask, Fact, Pad, Scale, Tally

_FIRST_CAPACITY, _FIRST_LEFT_OUT = 4096, 256
MOST_KINDS = 64
_MASK = 2**64 - 1
_HEAD, _TERMS, _TAIL = Struct("<6q"), Struct("<5q4Q8q"), Struct("<qQq7q")
_BOOSTS, _FADING = Struct("<2qQ6q"), Struct("<2q2d")
_TERMS_BEGIN, _TAIL_BEGIN = 8 * Ask.CATEGORIES, 8 * Ask.LEFT_OUT_COUNT
_KINDS_BEGIN, _WEIGHTS_BEGIN = 8 * Ask.KINDS, 8 * Fact.FIRST_WEIGHT
_MOST_ORDERS = 256
_NO_RULES = (0, 0, 0, 0, 0, 0)
_GOLDEN, _MARK_SHIFT = np.uint64(0x9E37_79B9_7F4A_7C15), np.uint64(40)
_MARKS_EACH = 8
_MEASURES = tuple(Struct(f"<{Fact.FIRST_RADIUS + rungs}d") for rungs in range(MOST_RUNGS + 1))
# Members of an enumeration are slow keys; these are read for every answer.
_LAST, _TRUNCATED, _HELD = int(Tally.LAST), int(Tally.TRUNCATED), int(Tally.HELD)
_NEWCOMERS = int(Tally.NEWCOMERS)
_SLOT, _POSTING, _PLACE = int(Answer.SLOT), int(Answer.POSTING), int(Answer.PLACE)
_DISTANCE, _SCORE = int(Answer.DISTANCE), int(Answer.SCORE)
_COLUMNS = {
    Pad.SLOT: "i4",
    Pad.ROW: "i4",
    Pad.CHORD2: "f8",
    Pad.RUNG: "u1",
    Pad.OK: "u1",
    Pad.KEY: "u8",
    Pad.SCORE: "f8",
    Pad.BEST_SCORE: "f8",
    Pad.BEST: "i4",
    Pad.FACTOR: "f8",
}


class _Laid(msgspec.Struct, frozen=True, eq=False):
    """An order as the machine code reads it: its kinds, then what is told of each."""

    order: Order
    shape: Shape
    kinds: bytes
    measures: bytes


class Kernel:
    """Answers questions of any segment, one at a time: the working memory is its own.

    That grows with the most items one question may look at, never with the catalogue.
    """

    def __init__(self) -> None:
        self._world = np.zeros(WORLD_WORDS, np.int64)
        self._ask = bytearray(8 * (Ask.FIRST_KIND + 2 * MOST_KINDS))
        self._facts = bytearray(8 * (Fact.FIRST_WEIGHT + 3 * MOST_KINDS))
        self._pad = np.zeros(Pad.WORDS, np.int64)
        self._tally = np.zeros(Tally.WORDS, np.int64)
        self._limits = np.zeros(2 * MOST_RUNGS)
        self._counted = self._tally.data
        self._roots = np.zeros(MOST_KINDS, np.uint64)
        self._lanes = np.zeros(Lane.WORDS, np.int64)
        self._held: dict[Pad, Array] = {}
        self._pad[Pad.TALLY] = address_of(self._tally)
        self._pad[Pad.LIMITS] = address_of(self._limits)
        self._pad[Pad.ROOTS] = address_of(self._roots)
        self._pad[Pad.LANES] = address_of(self._lanes)
        self._grow(_FIRST_CAPACITY)
        self._make_room(_FIRST_LEFT_OUT)
        self._left_out_capacity = 0
        self._region: Array | None = None
        self._scale = bytearray(8 * Scale.WORDS)
        self._is_scaled = False
        self._boosts: Boosts | None = None
        self._faded: Integers = NO_INTEGERS
        self._capped: Integers | None = None
        self._marks = np.zeros(1, np.uint8)
        self._capped_addresses = 0, 0
        # What was packed last, and need not be again.
        self._segment: Segment | None = None
        self._terms: Terms | None = None
        self._laid: _Laid | None = None
        self._orders: dict[int, _Laid] = {}
        self._addresses = (
            address_of(self._world),
            address_of(np.frombuffer(self._ask, np.uint8)),
            address_of(np.frombuffer(self._facts, np.uint8)),
            address_of(self._pad),
        )
        self._scale_address = address_of(np.frombuffer(self._scale, np.uint8))

    def answer(self, segment: Segment, dictionaries: Dictionaries, query: Query) -> Found:
        """The best items; equal to what the twin answers."""
        terms = terms_of(query, dictionaries)
        self._open(segment)
        self._is_scaled = query.factors is not None
        scale = 0 if query.factors is None else self._pack_scale(query.factors, dictionaries, query.now)
        self._pack(segment, query, terms, scale)
        count = decide(*self._addresses)
        while count == TOO_FULL:
            self._grow(4 * int(self._pad[Pad.CAPACITY]))
            count = decide(*self._addresses)
        return self._found(query, count)

    def competitors(self) -> Integers:
        """Slots of everything that the last answer was chosen from, in no order."""
        return self._held[Pad.SLOT][: self._counted[_HELD]].astype(np.int64)

    def factors(self) -> Floats | None:
        """What the scores of `competitors` were multiplied with, None where with nothing."""
        return self._held[Pad.FACTOR][: self._counted[_HELD]].copy() if self._is_scaled else None

    def warm(self) -> None:
        """Load the machine code, or make it: no question waits for it then."""
        nothing = build_segment(records_of((), Dictionaries()), ())
        self.answer(
            nothing, Dictionaries(), Query(Point(0.0, 0.0), (1.0,), 1, 1, 0.0, Order(Mode.NEAREST), 1)
        )

    def _pack_scale(self, factors: Factors, dictionaries: Dictionaries, now: float) -> int:
        """The address of what scores are multiplied with."""
        boosts = boosts_of(factors, dictionaries, now)
        if boosts is not self._boosts:
            _BOOSTS.pack_into(self._scale, 0, *_boost_registers(boosts))
            self._boosts = boosts
        self._faded = np.fromiter(sorted(factors.faded), np.int64, len(factors.faded))
        _FADING.pack_into(
            self._scale,
            8 * Scale.FADED,
            address_of(self._faded),
            self._faded.size,
            factors.distance_half_m,
            factors.seen_share,
        )
        return self._scale_address

    def _open(self, segment: Segment) -> None:
        if segment is self._segment:
            return
        world = self._world
        world[: segment.addresses.size] = segment.addresses
        world[-2], world[-1] = segment.shape.sorted_rows, segment.shape.slots
        self._pad[Pad.COLD], self._pad[Pad.COLD_BYTES] = address_of(segment.cold), segment.cold.size
        self._segment = segment

    def _pack(self, segment: Segment, query: Query, terms: Terms, scale: int) -> None:
        order, ask = query.order, self._ask
        laid = self._laid
        if laid is None or order is not laid.order or segment.shape is not laid.shape:
            self._lay(order, segment.shape)
        if terms is not self._terms:
            _TERMS.pack_into(ask, _TERMS_BEGIN, *_registers(terms))
            self._terms = terms
        rungs, left_out = len(query.radii_m), query.left_out.size
        if not 0 < rungs <= MOST_RUNGS:
            raise ValueError(f"1 to {MOST_RUNGS} radii can be asked for, not {rungs}")
        _HEAD.pack_into(ask, 0, rungs, query.enough, query.most, query.limit, order.mode, order.pool)
        region = region_of(query)
        self._region = None if region is None else quick_outline(region)
        outline = 0 if self._region is None else address_of(self._region)
        rules = self._rules(segment.shape, query)
        _TAIL.pack_into(ask, _TAIL_BEGIN, left_out, query.seed & _MASK, outline, scale, *rules)
        if left_out:
            self._leave_out(query.left_out, left_out)
        self._pack_facts(query, rungs)

    def _rules(self, shape: Shape, query: Query) -> tuple[int, int, int, int, int, int]:
        """From NEW_UNTIL to MARK_COUNT; nearly always nothing."""
        capped = query.capped
        if not query.new_until and not capped.size:
            return _NO_RULES
        if capped.size and capped is not self._capped:
            # Kept until there are others, as the machine code reads them where they are.
            self._capped, self._marks = capped, _marks_of(capped)
            self._capped_addresses = address_of(capped), address_of(self._marks)
        until, row = 0, 0
        if query.parts_newcomers:
            until, row = query.new_until, shape.kinds.index(IMPRESSION)
        ordered, marks = self._capped_addresses
        return until, row, ordered, capped.size, marks, self._marks.size

    def _lay(self, order: Order, shape: Shape) -> None:
        """Requests go by a few orders in turn: each is packed once, and copied then."""
        # One that is kept is held by it, so that no other has its id.
        laid = self._orders.get(id(order))
        if laid is None or laid.shape is not shape:
            if len(self._orders) >= _MOST_ORDERS:
                self._orders.clear()
            laid = self._orders[id(order)] = _laid(order, shape)
        self._ask[_KINDS_BEGIN : _KINDS_BEGIN + len(laid.kinds)] = laid.kinds
        self._facts[_WEIGHTS_BEGIN : _WEIGHTS_BEGIN + len(laid.measures)] = laid.measures
        self._laid = laid

    def _pack_facts(self, query: Query, rungs: int) -> None:
        center = query.center
        lat, lon = center.lat, center.lon
        phi, lam = radians(lat), radians(lon)
        flat = cos(phi)
        x, y, z = flat * cos(lam), flat * sin(lam), sin(phi)
        _MEASURES[rungs].pack_into(
            self._facts, 0, lat, lon, query.now, query.order.sharpness, x, y, z, *query.radii_m
        )

    def _leave_out(self, left_out: Integers, count: int) -> None:
        if count > self._given.size:
            self._make_room(count)
        self._given[:count] = left_out
        capacity = 1 << (2 * count - 1).bit_length()
        if capacity != self._left_out_capacity:
            self._pad[Pad.LEFT_OUT_CAPACITY] = self._left_out_capacity = capacity

    def _make_room(self, count: int) -> None:
        """For so many postings to be left out, and for the table of them."""
        self._given, self._left_out = np.empty(count, np.int64), np.empty(4 * count, np.int64)
        self._pad[Pad.GIVEN], self._pad[Pad.LEFT_OUT] = address_of(self._given), address_of(self._left_out)

    def _grow(self, capacity: int) -> None:
        for register, dtype in _COLUMNS.items():
            self._held[register] = np.zeros(capacity, dtype)
            self._pad[register] = address_of(self._held[register])
        self._answer = np.zeros((Answer.ROWS, capacity), np.int64)
        self._pad[Pad.ANSWER] = address_of(self._answer)
        self._pad[Pad.CAPACITY] = capacity

    def _found(self, query: Query, count: int) -> Found:
        counted, radii = self._counted, query.radii_m
        last, truncated = counted[_LAST], counted[_TRUNCATED] != 0
        answer = self._answer[:, :count].copy()
        measures = answer.view(np.float64)
        return Found(
            answer[_SLOT],
            answer[_POSTING],
            measures[_DISTANCE],
            answer[_PLACE],
            measures[_SCORE],
            counted[_HELD],
            radii[last],
            truncated,
            truncated or last == len(radii) - 1,
            counted[_NEWCOMERS],
        )


def _marks_of(postings: Integers) -> Array:
    """A byte for each posting, and many more that are not marked."""
    marks = np.zeros(1 << (_MARKS_EACH * postings.size - 1).bit_length(), np.uint8)
    spots = (postings.astype(np.uint64) * _GOLDEN) >> _MARK_SHIFT
    marks[(spots & np.uint64(marks.size - 1)).astype(np.int64)] = 1
    return marks


def _laid(order: Order, shape: Shape) -> _Laid:
    kinds = weighted_kinds(order, shape)
    if len(kinds) > MOST_KINDS:
        raise ValueError(f"an order goes by at most {MOST_KINDS} kinds, not {len(kinds)}")
    numbers = [number for row, kind, _ in kinds for number in (row, kind)]
    measures = [
        measure for _, kind, weight in kinds for measure in (weight, *order.priors.get(kind, UNIFORM_PRIOR))
    ]
    return _Laid(
        order,
        shape,
        pack(f"<{1 + len(numbers)}q", len(kinds), *numbers),
        pack(f"<{len(measures)}d", *measures),
    )


def _registers(terms: Terms) -> tuple[int, ...]:
    """From CATEGORIES to NONE_COUNT; the terms keep what the addresses point at."""
    categories = terms.categories
    return (
        0 if categories is None else address_of(categories),
        0 if categories is None else categories.size,
        address_of(terms.is_open),
        terms.is_open.size,
        terms.market,
        *terms.masks,
        *(number for tags in terms.tags for number in (address_of(tags), tags.size)),
    )


def _boost_registers(boosts: Boosts) -> tuple[int, ...]:
    """From CATEGORIES to OWNER_FACTORS; the boosts keep what the addresses point at."""
    return (
        address_of(boosts.categories),
        boosts.categories.size,
        tag_mask(boosts.tags),
        address_of(boosts.tags),
        boosts.tags.size,
        address_of(boosts.tag_factors),
        address_of(boosts.owners),
        boosts.owners.size,
        address_of(boosts.owner_factors),
    )
