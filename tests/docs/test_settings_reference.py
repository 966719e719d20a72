"""The settings page says what the declarations say."""

from pathlib import Path

from nearcast_config.declaration import settings_of
from nearcast_config.environment import OTHER_NAMES, variable_of
from nearcast_config.policy import Policy
from nearcast_config.process import ProcessConfig
from nearcast_config.reference import reference

PAGE = Path(__file__).parents[2] / "docs" / "reference" / "settings.md"


def test_the_committed_page_is_the_generated_one() -> None:
    assert PAGE.read_text(encoding="utf-8") == reference(), (
        "run: python -m nearcast_config.reference > docs/reference/settings.md"
    )


def test_every_key_has_a_meaning_on_the_page() -> None:
    page = reference()
    settings = [*settings_of(ProcessConfig), *settings_of(Policy, "policy.")]
    assert len(settings) > 50
    for setting in settings:
        assert setting.description, f"{setting.key} has no meaning"
        assert f"`{setting.key.rsplit('.', 1)[-1]}`" in page
        assert setting.description in page


def test_every_process_key_stands_with_its_variable() -> None:
    page = reference()
    for setting in settings_of(ProcessConfig):
        assert f"`{variable_of(setting.key)}`" in page
    for name in OTHER_NAMES:
        assert f"`{name}`" in page
