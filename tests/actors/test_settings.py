"""Settings: every variable typed, every broken one named."""

from pathlib import Path

import msgspec
import pytest

from actors.settings import load


def test_what_is_not_given_has_its_default(tmp_path: Path) -> None:
    settings = load({"KOPECK_HOME": str(tmp_path)})
    assert (settings.home, settings.port, settings.shards, settings.database_url) == (tmp_path, 8080, 2, "")


def test_variables_are_read_by_their_names(tmp_path: Path) -> None:
    given = {"KOPECK_HOME": str(tmp_path), "KOPECK_PORT": "9000", "KOPECK_SHARDS": "3", "KOPECK_ALLOW_INSECURE": "1"}
    settings = load(given)
    assert (settings.port, settings.shards, settings.allow_insecure) == (9000, 3, True)


@pytest.mark.parametrize(
    ("name", "text", "what"),
    [
        ("KOPECK_PORT", "many", "port"),
        ("KOPECK_SHARDS", "0", "at least 1"),
        ("KOPECK_GATEWAYS", "0", "at least 1"),
        ("KOPECK_BATCH_COMMANDS_MAX", "9000", "inbox"),
        ("KOPECK_ACCOUNTS_CACHED_MAX", "10", "cache"),
    ],
)
def test_a_setting_that_cannot_be_is_refused_by_name(name: str, text: str, what: str) -> None:
    with pytest.raises((msgspec.ValidationError, ValueError), match=what):
        load({"KOPECK_HOME": "/nowhere", name: text})
