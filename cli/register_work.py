"""What commands about registers and cases do: against the running system, or one started for them."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from actors import case_work, register_intake, register_run, run_file
from actors.register_desk import RegisterDesk
from actors.register_intake import Delivery, Place
from actors.settings import Settings
from cli.system import joined, running
from engine.ids import AccountId
from intake import reader
from intake.register_survey import Survey, survey
from storage.archive import Archive
from storage.cases import Case
from storage.received import ReceivedFile


@asynccontextmanager
async def place_of(settings: Settings) -> AsyncIterator[Place]:
    """The way to database, archive and shards for the length of a block."""
    archive = Archive(settings.archive_folder)
    if run_file.read(settings.home) is not None:
        async with joined(settings) as (running_file, router):
            yield Place(running_file.database_url, archive, router)
        return
    async with running(settings, gateways=False) as system:
        yield Place(system.servers.database_url, archive, await system.router())


async def take_file(settings: Settings, path: Path, delivery: Delivery) -> tuple[ReceivedFile, bool]:
    """Bring a file in and to its end; return it, and whether it was new.

    Errors: `NoSuchConnection`, `NoSuchProfile`, `Interrupted` (the same command goes on), ValueError, OSError.
    """
    async with place_of(settings) as place:
        with path.open("rb") as content:
            file, is_new = await register_intake.receive(
                place.database_url, place.archive, content, delivery, settings.register_bytes_max
            )
        return await register_run.work(place, file.file), is_new


async def try_file(database_url: str, path: Path, connection: str, profile: str) -> Survey:
    """Look through a register and write nothing. Errors: `NoSuchConnection`, `NoSuchProfile`, OSError."""
    contract = await register_intake.contract_of(database_url, connection)
    named = await register_intake.profile_named(database_url, profile or contract.register.profile)
    return survey(reader.items(path, named), contract)


def desk_at(settings: Settings, database_url: str) -> RegisterDesk:
    """A desk for questions that only the database must answer."""
    return RegisterDesk(database_url, Archive(settings.archive_folder), settings.register_bytes_max)


async def decide(settings: Settings, number: int, decision: str, account: str, who: str, reason: str) -> Case:
    """Carry out what a person decided of a case. Errors: `case_work.Refused`, `Interrupted`, `cases.Changed`."""
    async with place_of(settings) as place:
        if decision == "assign":
            return await case_work.assign(place, number, AccountId(account), who, reason)
        return await _DECISIONS[decision](place, number, who, reason)


_DECISIONS = {
    "take": case_work.take,
    "return": case_work.give_back,
    "accept-amount": case_work.accept_amount,
    "explain": case_work.explain,
    "retry": case_work.retry,
}
DECISIONS = ("assign", *_DECISIONS)
