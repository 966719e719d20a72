"""What a key of the policy may be, in words."""

import re
from functools import cache

from nearcast_config.declaration import allowed, settings_of
from nearcast_config.policy import Policy


def allowed_at(key: str) -> str:
    """Such as `a number in (0, 500000] metres`; "" for what is no single key."""
    return next((words for pattern, words in _ranges() if pattern.fullmatch(key)), "")


@cache
def _ranges() -> tuple[tuple[re.Pattern[str], str], ...]:
    return tuple(
        (_pattern(setting.key), allowed(setting.type, setting.unit))
        for setting in settings_of(Policy, "policy.")
    )


def _pattern(key: str) -> re.Pattern[str]:
    """A name that the operator gives may have dots."""
    parts = [re.escape(part) for part in key.split("<name>")]
    return re.compile("[^ ]+".join(parts))
