"""What senders' codes mean: proposals, and what is in force on a day. Decisions are in `storage/mapping_decisions.py`.

A mapping is decided once. Proposed, it waits for a person, unless a key answers for it; confirmed, it holds from its
first day on; another meaning is another row, from a later day, and the days before keep what they had. The database
itself refuses anything else (`guard_mapping`, `providers_need_two` in `storage/migrations/0005_master_data.sql`). A
code always has a confirmed row, or a proposed one that waits, with or without a suggestion; a confirmed one may have a
proposal beside it.
"""

import datetime
import enum
from collections.abc import Sequence

import asyncpg
import msgspec

from engine.ids import ProviderId, ServiceCode
from engine.master import House, Provider, ProviderName, Service
from intake.matching import Kind, Master, Matcher, Method, Suggestion, attributes_of
from storage.database import connected
from storage.master import Change, read_inside, say_why

FROM_THE_BEGINNING = datetime.date(2000, 1, 1)
"""The first day that any period can name: where the first mapping of a code begins."""

AUTO = "auto"
"""Who decides when a key does. No person may go by this name."""


class Status(enum.StrEnum):
    """Where a row is in its life: proposed, then one of the others; confirmed may be superseded later."""

    PROPOSED = "proposed"
    CONFIRMED = "confirmed"
    REJECTED = "rejected"
    SUPERSEDED = "superseded"


class SenderCode(msgspec.Struct, frozen=True):
    """A sender's code, and the name that it gives it."""

    source: str
    kind: Kind
    code: str
    name: str


class Mapping(msgspec.Struct, frozen=True, kw_only=True):
    """One row of the table; `storage/migrations/0005_master_data.sql` says what the columns mean."""

    mapping: int
    source: str
    kind: Kind
    code: str
    name: str
    attributes: str
    master_id: str | None
    status: Status
    confidence_percent: int
    method: Method
    valid_from: datetime.date
    valid_to: datetime.date | None
    proposed_by: str
    proposed_at: datetime.datetime
    decided_by: str | None
    decided_at: datetime.datetime | None
    reason: str

    @property
    def sender_code(self) -> SenderCode:
        """What this row is about."""
        return SenderCode(self.source, self.kind, self.code, self.name)


class Meaning(msgspec.Struct, frozen=True):
    """What a code meant from `first` to `last`, both included; None: it still does."""

    first: datetime.date
    last: datetime.date | None
    master_id: str


class CodeMap(msgspec.Struct, frozen=True):
    """One sender's codes as confirmed, by day. What is not here waits for a person, and no money moves over it."""

    source: str
    meanings: dict[tuple[Kind, str], tuple[Meaning, ...]]

    def service(self, code: str, on: datetime.date) -> ServiceCode | None:
        """Return our service for a sender's code on a local date, or None."""
        found = self._find(Kind.SERVICE, code, on)
        return None if found is None else ServiceCode(found)

    def provider(self, code: str, on: datetime.date) -> ProviderId | None:
        """Return our provider for a sender's code on a local date, or None."""
        found = self._find(Kind.PROVIDER, code, on)
        return None if found is None else ProviderId(found)

    def house(self, code: str, on: datetime.date) -> int | None:
        """Return our house for a sender's code on a local date, or None."""
        found = self._find(Kind.HOUSE, code, on)
        return None if found is None else int(found)

    def _find(self, kind: Kind, code: str, on: datetime.date) -> str | None:
        for meaning in self.meanings.get((kind, code), ()):
            if meaning.first <= on and (meaning.last is None or on <= meaning.last):
                return meaning.master_id
        return None


# Served by mappings_in_force. A superseded row that was never confirmed has no last day.
_IN_FORCE = """
    SELECT kind, code, valid_from, valid_to, master_id FROM mappings
    WHERE source = $1 AND (status = 'confirmed' OR status = 'superseded' AND valid_to IS NOT NULL)
    ORDER BY mapping"""


async def read_confirmed(database_url: str, source: str) -> CodeMap:
    """Read what a sender's codes mean, and meant. Errors: `NotDone`."""
    async with connected(database_url) as connection:
        rows = await connection.fetch(_IN_FORCE, source)
    meanings: dict[tuple[Kind, str], tuple[Meaning, ...]] = {}
    for row in rows:
        key = Kind(row["kind"]), row["code"]
        meanings[key] = (*meanings.get(key, ()), Meaning(row["valid_from"], row["valid_to"], row["master_id"]))
    return CodeMap(source, meanings)


# Both served by the unique indexes of open rows.
_KNOWN_CODES = """
    SELECT code FROM mappings
    WHERE source = $1 AND kind = $2 AND code = ANY ($3::text[]) AND status IN ('proposed', 'confirmed')"""
_SUGGESTED_OPEN = """
    SELECT * FROM mappings
    WHERE status = 'proposed' AND method <> 'manual' AND ($1 = '' OR source = $1) ORDER BY mapping FOR UPDATE"""


async def propose(database_url: str, source: str, kind: str, codes: Sequence[tuple[str, str]], by: str) -> int:
    """Propose a meaning for each (code, name) that has none yet; return how many codes are new.

    Rule: `intake/matching.py`; a key confirms itself, the rest waits for a person. Repeating it adds nothing.
    Errors: ValueError for a kind that is none; `NotDone`, and then nothing was proposed.
    """
    of_kind = Kind(kind)
    names = dict(reversed(codes))
    async with connected(database_url) as connection, connection.transaction():
        await say_why(connection, Change(by, "a code was met for the first time"))
        known = await connection.fetch(_KNOWN_CODES, source, of_kind, list(names))
        fresh = sorted(names.keys() - {row["code"] for row in known})
        if not fresh:
            return 0
        matcher = Matcher(await _master(connection, of_kind))
        added = 0
        for code in fresh:
            suggestion = matcher.suggest(of_kind, code, names[code])
            sender_code = SenderCode(source, of_kind, code, names[code])
            added += await insert_proposal(connection, sender_code, suggestion, by) is not None
    return added


async def suggest_again(database_url: str, source: str, by: str) -> int:
    """Match what waits once more, after the master data have grown; return how many rows have another suggestion.

    Rule: a person's own proposal stays; what a person has rejected is not suggested again; who was the proposer still
    is, so that whoever asks for suggestions may confirm them. An empty source means all.
    Errors: `NotDone`, and then nothing has changed.
    """
    async with connected(database_url) as connection, connection.transaction():
        await say_why(connection, Change(by, "matched again"))
        waiting = [mapping_of(row) for row in await connection.fetch(_SUGGESTED_OPEN, source)]
        matchers = {kind: Matcher(await _master(connection, kind)) for kind in {row.kind for row in waiting}}
        renewed = 0
        for old in waiting:
            refused = await refused_meanings(connection, old.sender_code)
            found = matchers[old.kind].suggest(old.kind, old.code, old.name, refused)
            if (found.master_id or None, found.method, found.confidence_percent) != _suggested(old):
                await supersede_proposal(connection, old.mapping, by)
                await insert_proposal(connection, old.sender_code, found, old.proposed_by, old.valid_from)
                renewed += 1
    return renewed


def _suggested(mapping: Mapping) -> tuple[str | None, Method, int]:
    return mapping.master_id, mapping.method, mapping.confidence_percent


async def _master(connection: asyncpg.Connection, kind: Kind) -> Master:
    """Read the master data that codes of a kind are matched against."""
    match kind:
        case Kind.SERVICE:
            return Master(services=await read_inside(connection, Service))
        case Kind.PROVIDER:
            names = await read_inside(connection, ProviderName)
            return Master(providers=await read_inside(connection, Provider), provider_names=names)
        case Kind.HOUSE:
            return Master(houses=await read_inside(connection, House))


_INSERT = """
    INSERT INTO mappings (source, kind, code, name, attributes, master_id, status, confidence_percent, method,
                          valid_from, proposed_by, decided_by, decided_at, reason)
    VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, CASE WHEN $12::text IS NOT NULL THEN now() END, $13)
    ON CONFLICT DO NOTHING RETURNING mapping"""


async def insert_proposal(
    connection: asyncpg.Connection,
    of: SenderCode,
    suggestion: Suggestion,
    by: str,
    valid_from: datetime.date = FROM_THE_BEGINNING,
    reason: str = "",
) -> int | None:
    """Add a proposal, confirmed at once if its key says so; None when an open one is there already."""
    attributes = msgspec.json.encode(attributes_of(of.kind, of.code, of.name)).decode()
    status, decided_by = (Status.CONFIRMED, AUTO) if suggestion.confirms_itself else (Status.PROPOSED, None)
    number: int | None = await connection.fetchval(
        _INSERT,
        *(of.source, of.kind, of.code, of.name, attributes, suggestion.master_id or None, status),
        *(suggestion.confidence_percent, suggestion.method, valid_from, by, decided_by, reason),
    )
    return number


async def supersede_proposal(connection: asyncpg.Connection, number: int, who: str) -> None:
    """End an open proposal because another one takes its place."""
    await connection.execute(
        "UPDATE mappings SET status = 'superseded', decided_by = $2, decided_at = now() WHERE mapping = $1",
        *(number, who),
    )


async def refused_meanings(connection: asyncpg.Connection, of: SenderCode) -> list[str]:
    """Return the master ids that persons have rejected for a code."""
    rows = await connection.fetch(
        """SELECT DISTINCT master_id FROM mappings
        WHERE source = $1 AND kind = $2 AND code = $3 AND status = 'rejected' AND master_id IS NOT NULL""",
        *(of.source, of.kind, of.code),
    )
    return [row["master_id"] for row in rows]


async def list_mappings(database_url: str, source: str = "", status: str = "") -> list[Mapping]:
    """Read mappings, newest last; an empty argument means any. Errors: `NotDone`."""
    async with connected(database_url) as connection:
        rows = await connection.fetch(
            "SELECT * FROM mappings WHERE ($1 = '' OR source = $1) AND ($2 = '' OR status = $2) ORDER BY mapping",
            *(source, status),
        )
    return [mapping_of(row) for row in rows]


async def find_mapping(database_url: str, number: int) -> Mapping | None:
    """Return a mapping by its number, or None. Errors: `NotDone`."""
    async with connected(database_url) as connection:
        row = await connection.fetchrow("SELECT * FROM mappings WHERE mapping = $1", number)
    return None if row is None else mapping_of(row)


class Waiting(msgspec.Struct, frozen=True):
    """How many codes of a sender wait for a person, and how many of them resemble nothing we know."""

    source: str
    kind: Kind
    codes: int
    unlike_anything: int


async def count_waiting(database_url: str) -> list[Waiting]:
    """Count the codes that wait, by sender and kind. Errors: `NotDone`."""
    async with connected(database_url) as connection:
        rows = await connection.fetch(
            """SELECT source, kind, count(*) AS codes, count(*) FILTER (WHERE master_id IS NULL) AS unlike_anything
            FROM mappings WHERE status = 'proposed' GROUP BY source, kind ORDER BY source, kind"""
        )
    return [Waiting(row["source"], Kind(row["kind"]), row["codes"], row["unlike_anything"]) for row in rows]


def mapping_of(row: asyncpg.Record) -> Mapping:
    return msgspec.convert(dict(row), Mapping)
