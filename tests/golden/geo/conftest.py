"""Each index in turn, empty."""

from collections.abc import AsyncIterator

import pytest

from tests.golden.geo.indexes import INDEXES, Index, open_index


@pytest.fixture(params=INDEXES)
async def index(request: pytest.FixtureRequest) -> AsyncIterator[Index]:
    async with open_index(request.param, lambda: request.getfixturevalue("redis_url")) as index:
        yield index
