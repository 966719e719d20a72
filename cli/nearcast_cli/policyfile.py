"""The file of a policy: its text, or what is wrong with the file itself."""

import sys
from pathlib import Path


def read_policy_file(file: Path) -> str:
    """The text of `file`, or of standard input for "-".

    Raises SettingsError where it is none, empty or too long.
    """
    from nearcast_config.policytext import MOST_TEXT_CHARS
    from nearcast_config.problems import SettingProblem, SettingsError

    content = sys.stdin.buffer.read() if str(file) == "-" else file.read_bytes()
    try:
        text = content.decode("utf-8")
    except UnicodeDecodeError as error:
        raise SettingsError([SettingProblem("", "cannot be read: it is not UTF-8", str(file))]) from error
    if len(text) > MOST_TEXT_CHARS:
        message = f"must have at most {MOST_TEXT_CHARS} characters, got {len(text)}"
        raise SettingsError([SettingProblem("", message, str(file))])
    if not text.strip():
        message = "is empty: for a policy of all defaults write [policy]"
        raise SettingsError([SettingProblem("", message, str(file))])
    return text
