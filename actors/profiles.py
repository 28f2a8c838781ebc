"""Which profile a name means: a preset of the program, or a version from the database. One way for everybody.

Names of presets are reserved: what was read under `bank-12@1` can be read so again whatever the database holds. To
change a preset, its JSON is added under a name of one's own.
"""

import msgspec

from intake import columns, profile
from intake.presets import PRESETS
from intake.profile import Encoding, Profile
from storage import profiles


class NoSuchProfile(LookupError):
    """There is no profile of this name and version."""


async def resolve(database_url: str, name: str, version: int = 0) -> Profile:
    """Return a profile by name; the newest version for 0.

    Errors: `NoSuchProfile`; `NotDone` when the database cannot be asked.
    """
    preset = PRESETS.get(name)
    if preset is not None and version in (0, preset.version):
        return preset
    stored = None if preset is not None else await profiles.find(database_url, name, version)
    if stored is None:
        raise NoSuchProfile(f"there is no profile {name}" + (f" of version {version}" if version else ""))
    return msgspec.structs.replace(profile.decode(stored.settings), name=name, version=stored.version)


async def add(database_url: str, wanted: Profile, added_by: str) -> int:
    """Add a profile as the next version of its name and return the version.

    Errors: ValueError for a profile that could read nothing, or takes a preset's name; `NotDone`.
    """
    if wanted.name in PRESETS:
        raise ValueError(f"{wanted.name} is the name of a preset; give yours another")
    if wanted.encoding is Encoding.AUTO:
        raise ValueError("an encoding is declared, not guessed; `kopeck profile try` suggests one")
    columns.verify(wanted)
    return await profiles.add(database_url, wanted.name, wanted.kind.value, profile.encode(wanted).decode(), added_by)
