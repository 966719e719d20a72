"""The page of preflight says what the rules say."""

from pathlib import Path
from typing import Any

from nearcast_store.preflight.postgres_rules import POSTGRES_RULES
from nearcast_store.preflight.redis_rules import REDIS_RULES
from nearcast_store.preflight.reference import reference
from nearcast_store.preflight.rule import Rule

RULES: tuple[Rule[Any], ...] = (*POSTGRES_RULES, *REDIS_RULES)
PAGE = Path(__file__).parents[2] / "docs" / "preflight.md"


def test_the_committed_page_is_the_generated_one() -> None:
    assert PAGE.read_text(encoding="utf-8") == reference(), (
        "run: python -m nearcast_store.preflight.reference > docs/preflight.md"
    )


def test_every_rule_has_one_row_that_says_everything() -> None:
    rows = [line for line in PAGE.read_text(encoding="utf-8").splitlines() if line.startswith("| `")]
    for rule in RULES:
        (row,) = [row for row in rows if row.startswith(f"| `{rule.code}` |")]
        assert all(part.strip() for part in row.replace("\\|", "").strip("|").split("|")), row
        assert rule.demand in row
        assert rule.why in row
    assert len(rows) == len(RULES)
