"""Between the door of registers and the desk behind it: stories become replies, troubles become problems."""

import datetime
import time
from collections.abc import AsyncIterator, Awaitable
from typing import TypeVar

import msgspec

from actors.profiles import NoSuchProfile
from actors.register_desk import FileTooLarge, RegisterDesk, RegisterStory
from actors.register_intake import Delivery, NoSuchConnection
from gateways.problems import Refused
from gateways.register_wire import CaseReply, DayReportReply, OutcomeReply, RegisterReply
from storage.cases import Case, proposal_of
from storage.errors import NotDone
from storage.received import ReceivedFile

ResultT = TypeVar("ResultT")


class RegisterPort:
    """What the door asks, with errors that it can tell: every method may raise `Refused`."""

    def __init__(self, desk: RegisterDesk) -> None:
        self._desk = desk

    async def receive(
        self,
        content: AsyncIterator[bytes],
        *,
        name: str,
        connection: str,
        who: str,
        profile: str,
        day: datetime.date | None,
    ) -> tuple[RegisterReply, bool]:
        """Keep a file; tell what is known of it, and whether it is new. Empty `profile`: as the contract says."""
        delivery = Delivery(name=name, connection=connection, who=who, profile=profile, day=day)
        story, is_new = await _told(self._desk.receive(content, delivery))
        return _register(story), is_new

    async def page(self, sender: str, below: int, limit: int) -> list[RegisterReply]:
        """Return files below a number, newest first; of one connection, or of all if empty."""
        return [_file(one) for one in await _told(self._desk.page(sender, below, limit))]

    async def find(self, file: int, sender: str) -> RegisterReply:
        """Return one file; of this connection unless empty."""
        story = await _told(self._desk.find(file))
        if story is None or (sender and story.file.sender != sender):
            raise Refused("register-unknown", "id")
        return _register(story)

    async def cases(self, file: int, after: int, limit: int) -> list[CaseReply]:
        """Return cases of a file after a number, in order."""
        return [_case(one) for one in await _told(self._desk.cases(file, after, limit))]

    async def report(self, connection: str, day: datetime.date) -> DayReportReply:
        """Reconcile an operating day."""
        return msgspec.convert(await _told(self._desk.report(connection, day)), DayReportReply, from_attributes=True)


async def _told(asked: Awaitable[ResultT]) -> ResultT:
    try:
        return await asked
    except NoSuchConnection:
        raise Refused("connection-unknown", "connection") from None
    except NoSuchProfile:
        raise Refused("field-invalid", "profile") from None
    except FileTooLarge:
        raise Refused("body-too-large", headers={"Connection": "close"}) from None
    except (NotDone, OSError):
        raise Refused("unavailable", retry_after_s=1) from None


def _file(file: ReceivedFile) -> RegisterReply:
    return RegisterReply(
        id=str(file.file),
        kind=file.kind,
        connection=file.sender,
        name=file.name,
        sha256=file.sha256,
        size_bytes=file.size_bytes,
        profile=file.profile,
        received_at=file.received_at,
        state=file.state,
        problems=file.problem.splitlines(),
        rows_total=file.rows_total,
        rows_accepted=file.rows_accepted,
        rows_warned=file.rows_warned,
        rows_rejected=file.rows_rejected,
    )


def _register(story: RegisterStory) -> RegisterReply:
    outcomes = msgspec.convert(story.outcomes, list[OutcomeReply], from_attributes=True)
    day = story.register.day if story.register is not None else None
    return msgspec.structs.replace(_file(story.file), day=day, outcomes=outcomes)


def _case(case: Case) -> CaseReply:
    today = datetime.datetime.fromtimestamp(time.time(), tz=datetime.UTC).date()
    return CaseReply(
        number=case.number,
        kind=case.kind,
        state=case.state,
        day=case.day,
        due_on=case.due_on,
        row=case.row,
        txn_id=case.txn_id,
        account=case.account,
        ours_kopecks=case.ours_kopecks,
        theirs_kopecks=case.theirs_kopecks,
        proposed=proposal_of(case, today),
    )
