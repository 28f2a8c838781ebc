"""A billing's file comes in: kept as received, registered once, and read by the profile that it was registered with."""

from collections.abc import Iterable
from functools import partial
from pathlib import Path
from typing import BinaryIO, NamedTuple

import msgspec

from actors.billing_stage import Read
from intake import reader
from intake.presets import PRESETS
from intake.profile import FileKind, Profile, decode
from intake.rows import Item
from storage import billing, profiles, received
from storage.archive import Archive
from storage.billing import Billing
from storage.received import Arrival, ReceivedFile

FILE_BYTES_MAX = 8 << 30
KINDS = (FileKind.ACCOUNTS, FileKind.CHARGES, FileKind.METERS, FileKind.READINGS, FileKind.PAYMENTS)
MAY_BE_FULL = (FileKind.ACCOUNTS, FileKind.CHARGES)


class Wrong(ValueError):
    """What was asked cannot be: no such billing or profile, a mode that this kind of file does not have."""


class Delivery(NamedTuple):
    """A file as handed over. `profile`: empty for the billing's own of this kind. `mode`: empty for the usual one."""

    billing: str
    kind: FileKind
    name: str
    by: str
    profile: str = ""
    mode: str = ""


class Place(NamedTuple):
    """Where files are kept, and where what is known of them."""

    database_url: str
    archive: Archive


async def receive(place: Place, delivery: Delivery, content: BinaryIO) -> tuple[ReceivedFile, bool]:
    """Keep a file and register it; return it, and whether there is anything to do: the same again is the first one.

    Rule: a file that was refused has posted nothing, so the same content may be tried again.
    Errors: `Wrong`; ValueError when it is too large; `NotDone` of the database. None of them leaves a registered file.
    """
    of = await _billing(place, delivery)
    profile = await profile_named(place.database_url, _profile_name(of, delivery))
    if profile.kind is not delivery.kind:
        raise Wrong(f"profile {profile.name} is for {profile.kind.value}, not for {delivery.kind.value}")
    mode = _mode(delivery)
    kept = place.archive.keep(content, FILE_BYTES_MAX)
    arrival = Arrival(
        kept=kept,
        name=delivery.name,
        kind=delivery.kind.value,
        sender=delivery.billing,
        profile=profile.name,
        profile_version=profile.version,
        received_by=delivery.by,
        mode=mode,
    )
    file, is_new = await received.register(place.database_url, arrival)
    if not is_new and file.state == "refused":
        is_new = await billing.reopen_refused(place.database_url, file.file, profile.name, profile.version, mode)
    return file, is_new or file.state not in ("done", "refused")


async def _billing(place: Place, delivery: Delivery) -> Billing:
    found = await billing.find_billing(place.database_url, delivery.billing)
    if found is None:
        raise Wrong(f"there is no billing {delivery.billing}; add it with `kopeck import billing`")
    return found


def _profile_name(of: Billing, delivery: Delivery) -> str:
    name = delivery.profile or of.terms.profiles.get(delivery.kind.value, "")
    return name or f"{delivery.kind.value}-csv"


def _mode(delivery: Delivery) -> str:
    mode = delivery.mode or ("full" if delivery.kind is FileKind.CHARGES else "delta")
    if mode not in ("full", "delta") or (mode == "full" and delivery.kind not in MAY_BE_FULL):
        raise Wrong(f"{delivery.kind.value} have no mode {mode}")
    return mode


async def profile_named(database_url: str, name: str, version: int = 0) -> Profile:
    """Return a profile: a version of it or the newest; what the database has goes before what the program brings.

    Errors: `Wrong` when there is none.
    """
    stored = await (
        profiles.at_version(database_url, name, version) if version else profiles.newest(database_url, name)
    )
    profile = decode(stored.settings) if stored is not None else PRESETS.get(name)
    if profile is None:
        raise Wrong(f"there is no profile {name}")
    return msgspec.structs.replace(
        profile, name=name, version=stored.version if stored is not None else profile.version
    )


def reading(path: Path, profile: Profile) -> Read:
    """Return what begins to read a file from its first byte."""
    return partial(_items, path, profile)


def _items(path: Path, profile: Profile) -> Iterable[Item]:
    return reader.items(path, profile)
