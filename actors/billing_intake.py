"""A billing's file comes in: kept as received, and registered once, with the profile that it will be read by."""

from typing import BinaryIO, NamedTuple

from actors import profiles
from intake.profile import FileKind, Profile
from storage import billing, received
from storage.archive import Archive, Kept
from storage.billing import Billing
from storage.received import Arrival, ReceivedFile

FILE_BYTES_MAX = 8 << 30
KINDS = (FileKind.ACCOUNTS, FileKind.CHARGES, FileKind.METERS, FileKind.READINGS, FileKind.PAYMENTS)
_MAY_BE_FULL = (FileKind.ACCOUNTS, FileKind.CHARGES)


class Wrong(ValueError):
    """What was asked cannot be: no such billing, a profile or a mode that this kind of file does not have."""


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
    """Keep a file and register it: `vet`, then `register`. Errors: as theirs; ValueError when it is too large."""
    await vet(place, delivery)
    return await register(place, delivery, place.archive.keep(content, FILE_BYTES_MAX))


async def vet(place: Place, delivery: Delivery) -> Profile:
    """Return the profile that a file would be read by. Errors: `Wrong`; `NoSuchProfile`; `NotDone`."""
    of = await billing.find_billing(place.database_url, delivery.billing)
    if of is None:
        raise Wrong(f"there is no billing {delivery.billing}; add it with `kopeck import billing`")
    profile = await profiles.resolve(place.database_url, profile_for(of, delivery.kind, delivery.profile))
    if profile.kind is not delivery.kind:
        raise Wrong(f"profile {profile.name} is for {profile.kind.value}, not for {delivery.kind.value}")
    if _mode(delivery) not in _modes(delivery.kind):
        raise Wrong(f"{delivery.kind.value} have no mode {delivery.mode}")
    return profile


async def register(place: Place, delivery: Delivery, kept: Kept) -> tuple[ReceivedFile, bool]:
    """Register a file in the archive; return it, and whether there is anything to do: the same again is the first one.

    Rule: a file that was refused has posted nothing, so the same content may be tried again.
    Errors: as `vet`; none of them leaves a registered file.
    """
    profile, mode = await vet(place, delivery), _mode(delivery)
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


def profile_for(of: Billing, kind: FileKind, named: str) -> str:
    """The profile of a file: the one that is named, else the billing's own for this kind, else the canonical one."""
    return named or of.terms.profiles.get(kind.value, "") or f"{kind.value}-csv"


def _mode(delivery: Delivery) -> str:
    return delivery.mode or ("full" if delivery.kind is FileKind.CHARGES else "delta")


def _modes(kind: FileKind) -> tuple[str, ...]:
    return ("full", "delta") if kind in _MAY_BE_FULL else ("delta",)
