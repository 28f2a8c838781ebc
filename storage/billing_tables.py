"""What a billing tells besides money: cards of accounts, meters, readings. Taken in one statement a file, with history.

None of it goes through the shards, for it moves no money. A statement takes the rows that no finding rejects; the same
again changes nothing, so a run that died here begins again. Names and addresses stay in these tables (152-ФЗ).
"""

from collections.abc import Sequence

from storage.billing import Session

# The content of a row is a JSON object with the fields of its record in `intake.rows`.
_TAKE_CARDS = """
    INSERT INTO account_cards (file, billing, account, house_code, content, waits)
    SELECT DISTINCT ON (r.account) r.file, $2, r.account, h.code, r.content,
        h.code <> '' AND (r.content::json ->> 'area_dm2')::integer > 0
    FROM billing_rows r CROSS JOIN LATERAL (
        SELECT coalesce(nullif(r.content::json ->> 'house_guid', ''), r.content::json ->> 'address') AS code) AS h
    WHERE r.file = $1 AND NOT EXISTS (SELECT 1 FROM billing_findings f
        WHERE f.file = $1 AND f.row = r.row AND f.severity <> 'warning')
    ORDER BY r.account, r.row DESC
    ON CONFLICT (billing, account) DO UPDATE SET file = excluded.file, house_code = excluded.house_code,
        content = excluded.content, waits = excluded.waits WHERE account_cards.file < excluded.file"""

# Houses that somebody has confirmed; who lives there is shown in documents from then on.
_PUT_HOLDERS = """
    WITH placed AS (
        UPDATE account_cards c SET waits = false FROM unnest($2::text[], $3::int[]) AS h(code, house)
        WHERE c.billing = $1 AND c.waits AND h.code = c.house_code
        RETURNING c.account, h.house, c.content::json AS content)
    INSERT INTO account_holders (account, house, flat, holder, area_dm2)
    SELECT account, house, content ->> 'flat', content ->> 'holder', (content ->> 'area_dm2')::integer FROM placed
    ON CONFLICT (account) DO UPDATE SET house = excluded.house, flat = excluded.flat, holder = excluded.holder,
        area_dm2 = excluded.area_dm2"""

_TAKE_METERS = """
    INSERT INTO meters (file, row, billing, account, service, serial, zone, digits, factor, verified_on, verify_next_on,
        initial, is_removed)
    SELECT r.file, r.row, $2, r.account, r.service, r.reference, r.zone, (r.content::json ->> 'digits')::smallint,
        (r.content::json ->> 'factor')::numeric, (r.content::json ->> 'verified_on')::date,
        (r.content::json ->> 'verify_next_on')::date, (r.content::json ->> 'initial')::numeric,
        (r.content::json ->> 'is_removed')::boolean
    FROM billing_rows r WHERE r.file = $1 AND NOT EXISTS (SELECT 1 FROM billing_findings f
        WHERE f.file = $1 AND f.row = r.row AND f.severity <> 'warning')
    ON CONFLICT DO NOTHING"""

_TAKE_READINGS = """
    INSERT INTO readings (file, row, billing, account, service, serial, zone, read_on, value, source)
    SELECT r.file, r.row, $2, r.account, r.service, r.reference, r.zone, r.on_date, r.value::numeric,
        r.content::json ->> 'source'
    FROM billing_rows r WHERE r.file = $1 AND NOT EXISTS (SELECT 1 FROM billing_findings f
        WHERE f.file = $1 AND f.row = r.row AND f.severity <> 'warning')
    ON CONFLICT DO NOTHING"""

_TAKE = {"accounts": _TAKE_CARDS, "meters": _TAKE_METERS, "readings": _TAKE_READINGS}


async def take_tables(session: Session, file: int, kind: str) -> None:
    """Take what a file tells besides money. Of charges and payments there is nothing."""
    if kind in _TAKE:
        await session.connection.execute(_TAKE[kind], file, session.billing.billing)


async def house_codes(session: Session) -> list[tuple[str, str]]:
    """Return the codes (GUID, or the address as sent) and the addresses of houses whose people we cannot place yet."""
    rows = await session.connection.fetch(
        """SELECT house_code, min(content::json ->> 'address') AS address FROM account_cards
            WHERE billing = $1 AND waits GROUP BY house_code ORDER BY house_code""",
        session.billing.billing,
    )
    return [(row["house_code"], row["address"]) for row in rows]


async def put_holders(session: Session, houses: Sequence[tuple[str, int]]) -> None:
    """Place the people of houses (code, our house) that somebody has confirmed."""
    if houses:
        codes, numbers = zip(*houses, strict=True)
        await session.connection.execute(_PUT_HOLDERS, session.billing.billing, codes, numbers)
