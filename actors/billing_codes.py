"""What a billing's codes mean: asked of the mapping, proposed to it, and kept out of the ledger until confirmed."""

import datetime
from collections.abc import Sequence

from storage import billing_tables, mapping
from storage.billing import Session
from storage.billing_waiting import FixedCode
from storage.mapping import CodeMap
from storage.received import ReceivedFile

_BY = "import"


async def meanings_of(database_url: str, file: ReceivedFile, used: Sequence[tuple[str, str, int]]) -> list[FixedCode]:
    """Return what the codes of a file mean; those that nobody knows yet are proposed, and mean nothing."""
    for kind in ("service", "provider"):
        names = sorted({(code, _name_in(code)) for of_kind, code, _ in used if of_kind == kind})
        await mapping.propose(database_url, file.sender, kind, names, _BY)
    meanings = await mapping.read_confirmed(database_url, file.sender)
    return [(kind, code, period, meaning_of(meanings, kind, code, period, file)) for kind, code, period in used]


def _name_in(code: str) -> str:
    """Files of charges have no names beside codes; but some billings use the name itself (in Russian) as the code."""
    return "" if code.isascii() else code


def meaning_of(meanings: CodeMap, kind: str, code: str, period: int, file: ReceivedFile) -> str | None:
    """What a code meant on the first day of a month; where no month is told, on the day that the file came."""
    on = datetime.date(period // 100, period % 100, 1) if period else file.received_at.date()
    return meanings.service(code, on) if kind == "service" else meanings.provider(code, on)


async def place_people(session: Session, database_url: str) -> None:
    """Place account holders in houses that somebody has confirmed; propose the others."""
    houses = await billing_tables.house_codes(session)
    if not houses:
        return
    billing = session.billing.billing
    await mapping.propose(database_url, billing, "house", houses, _BY)
    meanings = await mapping.read_confirmed(database_url, billing)
    today = datetime.datetime.now(tz=datetime.UTC).date()
    known = [(code, meanings.house(code, today)) for code, _ in houses]
    await billing_tables.put_holders(session, [(code, house) for code, house in known if house is not None])
