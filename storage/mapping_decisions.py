"""Decisions of persons on what senders' codes mean: confirm, reject, replace. Each is all or nothing.

What may not be done is refused with its reason and changes nothing; the database refuses it again by its own rules. Two
who decide at once wait for each other: the second one hears that it has been decided.
"""

import datetime
import enum
from collections.abc import Sequence

import asyncpg

from intake.matching import NOTHING, Kind, Method, Suggestion
from storage.database import connected
from storage.mapping import (
    AUTO,
    FROM_THE_BEGINNING,
    Mapping,
    SenderCode,
    Status,
    insert_proposal,
    mapping_of,
    supersede_proposal,
)
from storage.master import Change, say_why


class Refusal(enum.StrEnum):
    """Why a decision was not taken."""

    NAMELESS = "a decision has a person and a reason, and no person is called auto"
    UNKNOWN = "there is no such mapping"
    DECIDED = "it has been decided already"
    UNLIKE_ANYTHING = "nothing is suggested for this code; say what it means with `replace`"
    SAME_PERSON = "a provider's mapping needs a second person: who proposed it does not confirm it"
    UNKNOWN_MEANING = "the master data have no such record, or it is closed"
    SAME_MEANING = "that is what it means already"
    TOO_EARLY = "it would begin before the mapping that it replaces"
    OVERTAKEN = "somebody else has just proposed another meaning"


_OPEN_ROWS = "SELECT * FROM mappings WHERE mapping = ANY ($1::bigint[]) ORDER BY mapping FOR UPDATE"
# Served by mappings_one_confirmed and mappings_one_proposed.
_OF_CODE = """
    SELECT * FROM mappings WHERE source = $1 AND kind = $2 AND code = $3 AND status IN ('proposed', 'confirmed')
    ORDER BY mapping FOR UPDATE"""
_CONFIRM = """
    UPDATE mappings SET status = 'confirmed', decided_by = $2, decided_at = now(), reason = $3 WHERE mapping = $1"""
_REJECT = """
    UPDATE mappings SET status = 'rejected', decided_by = $2, decided_at = now(), reason = $3 WHERE mapping = $1"""
_END = "UPDATE mappings SET status = 'superseded', valid_to = $2 WHERE mapping = $1"
_MASTER_HAS = """
    SELECT CASE $1 WHEN 'service' THEN EXISTS (SELECT FROM services WHERE service = $2)
                   WHEN 'provider' THEN EXISTS (SELECT FROM providers WHERE provider = $2 AND status <> 'closed')
                   ELSE EXISTS (SELECT FROM houses WHERE house::text = $2) END"""


async def confirm(database_url: str, numbers: Sequence[int], change: Change) -> dict[int, Refusal]:
    """Confirm proposals; return what was refused and why, and if anything was, nothing is confirmed.

    Rule: the meaning that was confirmed before ends on the day before this one begins. Errors: `NotDone`.
    """
    if not _is_a_person(change):
        return dict.fromkeys(numbers, Refusal.NAMELESS)
    async with connected(database_url) as connection, connection.transaction():
        await say_why(connection, change)
        proposals = await _locked(connection, numbers)
        former = {number: await _confirmed_of(connection, row.sender_code) for number, row in proposals.items()}
        refused = {
            number: refusal
            for number in numbers
            if (refusal := _why_not(proposals.get(number), former.get(number), change.who))
        }
        for number, row in proposals.items():
            if number not in refused and not await connection.fetchval(_MASTER_HAS, row.kind, row.master_id):
                refused[number] = Refusal.UNKNOWN_MEANING
        if not refused:
            for number, row in proposals.items():
                await _confirm_one(connection, row, former[number], change)
    return refused


def _why_not(proposal: Mapping | None, former: Mapping | None, who: str) -> Refusal | None:
    if proposal is None:
        return Refusal.UNKNOWN
    if proposal.status is not Status.PROPOSED:
        return Refusal.DECIDED
    if proposal.master_id is None:
        return Refusal.UNLIKE_ANYTHING
    if proposal.kind is Kind.PROVIDER and _same_person(who, proposal.proposed_by):
        return Refusal.SAME_PERSON
    if former is not None and proposal.valid_from < former.valid_from:
        return Refusal.TOO_EARLY
    return None


async def _confirm_one(
    connection: asyncpg.Connection, proposal: Mapping, former: Mapping | None, change: Change
) -> None:
    if former is not None:
        await connection.execute(_END, former.mapping, proposal.valid_from - datetime.timedelta(days=1))
    await connection.execute(_CONFIRM, proposal.mapping, change.who, change.why)


async def reject(database_url: str, numbers: Sequence[int], change: Change) -> dict[int, Refusal]:
    """Reject proposals; return what was refused and why, and if anything was, nothing is rejected.

    Rule: a code without a meaning goes on waiting, for another one. Errors: `NotDone`.
    """
    if not _is_a_person(change):
        return dict.fromkeys(numbers, Refusal.NAMELESS)
    async with connected(database_url) as connection, connection.transaction():
        await say_why(connection, change)
        proposals = await _locked(connection, numbers)
        refused = {number: refusal for number in numbers if (refusal := _why_not_rejected(proposals.get(number)))}
        if not refused:
            for row in proposals.values():
                await connection.execute(_REJECT, row.mapping, change.who, change.why)
                if await _confirmed_of(connection, row.sender_code) is None:
                    await insert_proposal(connection, row.sender_code, NOTHING, row.proposed_by, row.valid_from)
    return refused


def _why_not_rejected(proposal: Mapping | None) -> Refusal | None:
    if proposal is None:
        return Refusal.UNKNOWN
    if proposal.status is not Status.PROPOSED:
        return Refusal.DECIDED
    return Refusal.UNLIKE_ANYTHING if proposal.master_id is None else None


async def replace(
    database_url: str, number: int, master_id: str, valid_from: datetime.date, change: Change
) -> int | Refusal:
    """Say what a mapping's code means instead; return the number of the new row, or why not.

    Rule: the new meaning holds from `valid_from` on, or from the beginning when the code has had none. Who says it for
    a service or a house confirms it; for a provider a second person has to. Errors: `NotDone`.
    """
    if not _is_a_person(change):
        return Refusal.NAMELESS
    async with connected(database_url) as connection, connection.transaction():
        await say_why(connection, change)
        found = await connection.fetchrow("SELECT * FROM mappings WHERE mapping = $1", number)
        if found is None:
            return Refusal.UNKNOWN
        of = mapping_of(found).sender_code
        if not await connection.fetchval(_MASTER_HAS, of.kind, master_id):
            return Refusal.UNKNOWN_MEANING
        rows = [mapping_of(row) for row in await connection.fetch(_OF_CODE, of.source, of.kind, of.code)]
        former = next((row for row in rows if row.status is Status.CONFIRMED), None)
        if former is not None and former.master_id == master_id:
            return Refusal.SAME_MEANING
        if former is not None and valid_from < former.valid_from:
            return Refusal.TOO_EARLY
        for row in rows:
            if row.status is Status.PROPOSED:
                await supersede_proposal(connection, row.mapping, change.who)
        return await _propose_by_hand(connection, of, master_id, former, valid_from, change)


async def _propose_by_hand(
    connection: asyncpg.Connection,
    of: SenderCode,
    master_id: str,
    former: Mapping | None,
    valid_from: datetime.date,
    change: Change,
) -> int | Refusal:
    by_hand = Suggestion(master_id, Method.MANUAL, 100)
    first = FROM_THE_BEGINNING if former is None else valid_from
    number = await insert_proposal(connection, of, by_hand, change.who, first, change.why)
    if number is None:
        return Refusal.OVERTAKEN
    if of.kind is not Kind.PROVIDER:
        (proposal,) = (await _locked(connection, [number])).values()
        await _confirm_one(connection, proposal, former, change)
    return number


async def _locked(connection: asyncpg.Connection, numbers: Sequence[int]) -> dict[int, Mapping]:
    rows = await connection.fetch(_OPEN_ROWS, list(numbers))
    return {row["mapping"]: mapping_of(row) for row in rows}


async def _confirmed_of(connection: asyncpg.Connection, of: SenderCode) -> Mapping | None:
    rows = await connection.fetch(_OF_CODE, of.source, of.kind, of.code)
    return next((mapping_of(row) for row in rows if row["status"] == Status.CONFIRMED), None)


def _is_a_person(change: Change) -> bool:
    return bool(change.why.strip()) and _folded(change.who) not in ("", AUTO)


def _same_person(one: str, other: str) -> bool:
    return _folded(one) == _folded(other)


def _folded(name: str) -> str:
    return " ".join(name.split()).casefold()
