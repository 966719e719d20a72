"""Where the kernel finds what it is given: few packed arrays, because each argument of a call costs time."""

from enum import IntEnum

from nearcast_replica.layout import COLUMNS

# The segment: the address of each column, and what is fixed of its shape behind them.
WORLD = {column.name: index for index, column in enumerate(COLUMNS)}
WORLD_SORTED_ROWS = len(WORLD)
WORLD_SLOTS = WORLD_SORTED_ROWS + 1
WORLD_WORDS = WORLD_SORTED_ROWS + 2

MOST_RUNGS = 16


class Ask(IntEnum):
    """The question's whole numbers; behind them, for each kind, its row of the statistics and its number."""

    RUNGS = 0
    ENOUGH = 1
    MOST = 2
    LIMIT = 3
    MODE = 4
    POOL = 5
    CATEGORIES = 6
    CATEGORY_COUNT = 7
    OPEN = 8
    OPEN_COUNT = 9
    MARKET = 10
    ALL_MASK = 11
    ANY_MASK = 12
    NONE_MASK = 13
    ALSO_MASK = 14
    ALL = 15
    ALL_COUNT = 16
    ANY = 17
    ANY_COUNT = 18
    NONE = 19
    NONE_COUNT = 20
    ALSO = 21
    ALSO_COUNT = 22
    LEFT_OUT_COUNT = 23
    SEED = 24
    REGION = 25
    SCALE = 26
    # Below so many impressions an item is new, 0 = nobody asks; the row of the statistics that holds them.
    NEW_UNTIL = 27
    IMPRESSIONS = 28
    # Postings in their order; and bytes, so many as a power of two, marked where one of them may be.
    CAPPED = 29
    CAPPED_COUNT = 30
    MARKS = 31
    MARK_COUNT = 32
    KINDS = 33
    FIRST_KIND = 34


class Fact(IntEnum):
    """The question's measures; behind the radii, for each kind, its weight and its prior's A and B."""

    LAT = 0
    LON = 1
    NOW = 2
    SHARPNESS = 3
    X = 4
    Y = 5
    Z = 6
    FIRST_RADIUS = 7
    FIRST_WEIGHT = 7 + MOST_RUNGS


class Scale(IntEnum):
    """What scores are multiplied with: addresses and counts, a mask of tags, and two float64 at the end."""

    CATEGORIES = 0
    CATEGORY_COUNT = 1
    TAG_MASK = 2
    TAGS = 3
    TAG_COUNT = 4
    TAG_FACTORS = 5
    OWNERS = 6
    OWNER_COUNT = 7
    OWNER_FACTORS = 8
    FADED = 9
    FADED_COUNT = 10
    HALF_M = 11
    SEEN_SHARE = 12
    WORDS = 13


class Pad(IntEnum):
    """Addresses of working memory, and its sizes; kept from one question to the next."""

    CAPACITY = 0
    SLOT = 1
    ROW = 2
    CHORD2 = 3
    RUNG = 4
    OK = 5
    KEY = 6
    BEST_SCORE = 7
    BEST = 8
    LEFT_OUT = 9
    LEFT_OUT_CAPACITY = 10
    TALLY = 11
    LIMITS = 12
    ANSWER = 13
    SCORE = 14
    LANES = 15
    COLD = 16
    COLD_BYTES = 17
    # What the code itself leaves here instead of handing it down.
    LAST_RUNG = 18
    KEEPS_ALL = 19
    BY_ID = 20
    # Always 0: a number that is written out would be compiled for as a type of its own.
    ROOT = 21
    KLASS = 22
    ROOTS = 23
    GIVEN = 24
    FACTOR = 25
    WORDS = 26


class Answer(IntEnum):
    """The rows of the answer, each as long as the pad's capacity; the last two are float64."""

    SLOT = 0
    POSTING = 1
    PLACE = 2
    DISTANCE = 3
    SCORE = 4
    ROWS = 5


class Tally(IntEnum):
    """What a pass has counted: items within reach up to each rung, eligible ones, and the rest."""

    ALL = 0
    ELIGIBLE = MOST_RUNGS
    HELD = 2 * MOST_RUNGS
    LAST = 2 * MOST_RUNGS + 1
    TRUNCATED = 2 * MOST_RUNGS + 2
    REPLACING = 2 * MOST_RUNGS + 3
    BEST = 2 * MOST_RUNGS + 4
    NEWCOMERS = 2 * MOST_RUNGS + 5
    WORDS = 2 * MOST_RUNGS + 8
