"""What doors and commands ask about registers, answered from the database: one object, given to whoever needs it."""

import asyncio
import datetime
import tempfile
import time
from collections.abc import AsyncIterator

import msgspec

from actors import case_suggestions, register_intake
from actors.register_intake import Delivery, Place
from intake.profile import FileKind
from storage import cases, codec, received, register_days, register_report, registers, taken
from storage.cases import Case, HistoryEntry, Payer
from storage.received import ReceivedFile
from storage.register_report import DayReport
from storage.registers import OutcomeSum, Register

_KINDS = (FileKind.REGISTER.value, FileKind.STATEMENT.value)


class FileTooLarge(Exception):
    """More bytes than a file may have."""


class RegisterStory(msgspec.Struct, frozen=True, kw_only=True):
    """A file and what became of it. `register` is None until it was staged, and for statements."""

    file: ReceivedFile
    register: Register | None
    outcomes: list[OutcomeSum]


class CaseStory(msgspec.Struct, frozen=True, kw_only=True):
    """A case, what was done with it, and what may help: personal data is in it."""

    case: Case
    history: list[HistoryEntry]
    payer: Payer
    suggestions: list[case_suggestions.Suggestion]


class RegisterDesk:
    """Registers and cases as asked for. Errors of every method: `NotDone` when the database is away."""

    def __init__(self, place: Place, size_bytes_max: int) -> None:
        self._place = place
        self._url = place.database_url
        self._size_bytes_max = size_bytes_max

    async def receive(self, content: AsyncIterator[bytes], delivery: Delivery) -> tuple[RegisterStory, bool]:
        """Keep what comes as a file, and tell what became of it, and whether it is new. Work on it comes later.

        Errors: `FileTooLarge`, `NoSuchConnection`, `NoSuchProfile`; nothing is kept then.
        """
        size = 0
        with tempfile.TemporaryFile() as spool:
            async for chunk in content:
                size += len(chunk)
                if size > self._size_bytes_max:
                    raise FileTooLarge
                await asyncio.to_thread(spool.write, chunk)
            spool.seek(0)
            file, is_new = await register_intake.receive(self._place, spool, delivery, self._size_bytes_max)
        return await self._story(file), is_new

    async def page(self, sender: str, after: int, limit: int) -> list[ReceivedFile]:
        """Return registers and statements, newest first, below a number; of one sender, or of all if empty."""
        return await received.page(self._url, _KINDS, sender, after, limit)

    async def find(self, file: int) -> RegisterStory | None:
        """Return a file by its number, or None."""
        found = await received.find(self._url, file)
        return None if found is None or found.kind not in _KINDS else await self._story(found)

    async def _story(self, file: ReceivedFile) -> RegisterStory:
        return RegisterStory(
            file=file,
            register=await registers.find(self._url, file.file),
            outcomes=await registers.sums(self._url, file.file),
        )

    async def cases(self, file: int, after: int, limit: int) -> list[Case]:
        """Return the cases of a register, in order of their numbers, after one of them."""
        return await cases.page(self._url, after=after, limit=limit, file=file)

    async def case(self, number: int) -> CaseStory | None:
        """Return a case with everything around it, for an operator; None when there is none."""
        case = await cases.find(self._url, number)
        if case is None:
            return None
        payer = await cases.payer_of(self._url, case)
        return CaseStory(
            case=case,
            history=await cases.history(self._url, number),
            payer=payer,
            suggestions=await case_suggestions.suggest(self._url, case, payer),
        )

    async def report(self, connection: str, day: datetime.date) -> DayReport:
        """Reconcile an operating day of a connection. Errors: `NoSuchConnection`."""
        contract = await register_intake.contract_of(self._url, connection)
        await taken.follow(self._url)
        begins_us, ends_us = contract.span_us(day)
        asked = register_days.Day(
            connection=contract.name,
            source=contract.source,
            day=day,
            begins_at=codec.instant(begins_us),
            ends_at=codec.instant(ends_us),
        )
        return await register_report.day_report(self._url, asked)

    async def yesterday(self, connection: str) -> datetime.date:
        """Return the newest operating day of a connection that is over. Errors: `NoSuchConnection`."""
        contract = await register_intake.contract_of(self._url, connection)
        return contract.day_of(time.time_ns() // 1000) - datetime.timedelta(days=1)
