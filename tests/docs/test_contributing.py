"""The recipes of CONTRIBUTING name what is there."""

import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
TEXT = (ROOT / "CONTRIBUTING.md").read_text("utf-8")
RECIPES = ("feed", "RPC", "migration", "metric", "policy key", "error reason", "command", "dependency")


def test_every_recipe_is_there() -> None:
    for recipe in RECIPES:
        assert re.search(rf"^### Add an? {recipe}$", TEXT, re.MULTILINE), recipe


def test_every_file_and_folder_that_a_recipe_names_exists() -> None:
    named = re.findall(r"`((?:[a-z.]+/)+[\w.-]*)", TEXT)
    made = [name for name in named if "NNNN" not in name and not name.startswith(".venv")]
    assert len(made) > 25
    missing = [name for name in made if not (ROOT / name).exists()]
    assert not missing


def test_every_module_that_a_recipe_runs_exists() -> None:
    for module in set(re.findall(r"python -m ([\w.]+)", TEXT)):
        room, _, rest = module.partition(".")
        folder = ROOT / room.removeprefix("nearcast_") / room if room.startswith("nearcast_") else ROOT / room
        assert (folder / (rest.replace(".", "/") + ".py")).exists(), module
