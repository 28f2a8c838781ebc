"""`kopeck settings`: every setting, where it comes from, nothing secret."""

import os
from urllib.parse import urlsplit

import msgspec

from actors.settings import Settings


class ShownSetting(msgspec.Struct, frozen=True):
    """One setting as shown."""

    variable: str
    value: str
    origin: str


def shown(settings: Settings) -> list[ShownSetting]:
    """List the settings in the order of their definition."""
    rows = []
    for field in msgspec.structs.fields(Settings):
        variable = "KOPECK_" + field.name.upper()
        value = str(getattr(settings, field.name))
        rows.append(
            ShownSetting(variable, _without_password(value), "environment" if variable in os.environ else "default")
        )
    return rows


def _without_password(value: str) -> str:
    parts = urlsplit(value) if "://" in value else None
    if parts is None or parts.password is None:
        return value
    return value.replace(f":{parts.password}@", ":…@")
