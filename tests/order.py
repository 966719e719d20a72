"""Which files the tests begin with: the long ones, so that no worker is alone with one at the end."""

from pathlib import Path

# What takes more than some ten seconds of two cores, the longest first; `--durations=0` tells how long.
# A house of processes serves the files that ask for faults, so they stay together.
LONGEST = (
    "acceptance/test_cli_workers.py",
    "acceptance/test_town_learning.py",
    "acceptance/test_cli_up.py",
    "quality/test_tools.py",
    "integration/test_replicated_log.py",
    "acceptance/test_cli_ports.py",
    "acceptance/test_cli_operators.py",
    "acceptance/test_cli_scribes.py",
    "faults/test_chaos.py",
    "faults/test_changes.py",
    "faults/test_keeper_deaths.py",
    "faults/test_log_faults.py",
    "faults/test_log_disks.py",
    "faults/test_restores.py",
    "faults/test_gateway_deaths.py",
    "faults/test_store_faults.py",
    "faults/test_reports.py",
    "acceptance/test_cli_stopping.py",
    "docs/test_readme.py",
    "unit/compiling/test_native.py",
    "acceptance/test_bootstrap.py",
    "acceptance/test_cli_proof.py",
    "acceptance/test_cli_simulate.py",
    "acceptance/test_cli_policy_file.py",
    "integration/test_source.py",
    "integration/test_compacting.py",
    "integration/test_verifying.py",
    "integration/test_preflight.py",
    "integration/test_keeper.py",
    "integration/test_learned_priors.py",
    "integration/test_footprints.py",
    "integration/test_evaluate.py",
    "property/test_fuzz_gateway.py",
    "unit/replica/test_answers.py",
    "golden/geo/test_calls.py",
    "unit/town/test_simulate.py",
)
TESTS = Path(__file__).resolve().parent
TURNS = {TESTS / name: turn for turn, name in enumerate(LONGEST)}


def turn_of(file: Path) -> int:
    """The long ones in their order, then all others as they were found."""
    return TURNS.get(file, len(TURNS))
