"""Checks of a staged file as a whole, each one statement over all its rows: what no reader of single rows can see.

A check adds findings; its severity comes from the file's profile. Saying the same again changes nothing, so a run that
died here begins again. What is compared with the past looks at what this billing's earlier files said.
"""

from collections.abc import Mapping
from typing import NamedTuple

from storage.billing import Session
from storage.received import ReceivedFile


class Check(NamedTuple):
    """One check: its code, the severity when the profile does not say, the kinds of files it is for, its statement.

    Parameters of a statement: $1 the file, $2 the severity, $3 the billing; then what `_more` gives for its code.
    """

    code: str
    usual: str
    kinds: frozenset[str]
    statement: str


# A second row for the same line of the same document: the first one counts. Served by the partition's (account, row).
_DUPLICATE = """
    INSERT INTO billing_findings (file, row, severity, code, text)
    SELECT DISTINCT ON (row) $1::bigint, row, $2, 'duplicate', 'повторяет строку ' || first_row FROM (
        SELECT row, first_value(row) OVER same AS first_row, row_number() OVER same AS number
        FROM billing_rows WHERE file = $1 AND $3 <> ''
        WINDOW same AS (PARTITION BY account, period, service, provider, kind, reference, zone, on_date
            ORDER BY row, part)) AS numbered
    WHERE number > 1 ORDER BY row, first_row ON CONFLICT DO NOTHING"""

# One operation is one payment, whatever its day.
_OPERATION = """
    INSERT INTO billing_findings (file, row, severity, code, text)
    SELECT DISTINCT ON (row) $1::bigint, row, $2, 'duplicate', 'повторяет строку ' || first_row FROM (
        SELECT row, first_value(row) OVER same AS first_row, row_number() OVER same AS number
        FROM billing_rows WHERE file = $1 AND $3 <> ''
        WINDOW same AS (PARTITION BY reference, service, provider, period ORDER BY row, part)) AS numbered
    WHERE number > 1 ORDER BY row, first_row ON CONFLICT DO NOTHING"""

# One account, one row; and one meter, one row.
_ACCOUNT_TWICE = """
    INSERT INTO billing_findings (file, row, severity, code, text)
    SELECT DISTINCT ON (row) $1::bigint, row, $2, 'duplicate', 'повторяет строку ' || first_row FROM (
        SELECT row, first_value(row) OVER same AS first_row, row_number() OVER same AS number
        FROM billing_rows WHERE file = $1 AND $3 <> ''
        WINDOW same AS (PARTITION BY account, service, reference, zone ORDER BY row, part)) AS numbered
    WHERE number > 1 ORDER BY row, first_row ON CONFLICT DO NOTHING"""

_NO_CODE = """
    INSERT INTO billing_findings (file, row, severity, code, text)
    SELECT DISTINCT file, row, $2, 'empty', 'не указана услуга или поставщик' FROM billing_rows
    WHERE file = $1 AND (service = '' OR provider = '') AND $3 <> '' ON CONFLICT DO NOTHING"""

# Accounts that neither this billing nor the ledger knows. Served by billing_accounts_pkey and (account, account_seq).
_ACCOUNT_UNKNOWN = """
    INSERT INTO billing_findings (file, row, severity, code, text)
    SELECT DISTINCT r.file, r.row, $2, 'account_unknown', 'лицевой счёт не найден' FROM billing_rows r
    WHERE r.file = $1
        AND NOT EXISTS (SELECT 1 FROM billing_accounts k WHERE k.billing = $3 AND k.account = r.account)
        AND NOT EXISTS (SELECT 1 FROM events e WHERE e.account = r.account AND e.kind = 1)
    ON CONFLICT DO NOTHING"""

_ACCOUNT_CLOSED = """
    INSERT INTO billing_findings (file, row, severity, code, text)
    SELECT DISTINCT r.file, r.row, $2, 'account_closed', 'лицевой счёт закрыт' FROM billing_rows r
    JOIN billing_accounts k ON k.billing = $3 AND k.account = r.account AND k.is_closed
    WHERE r.file = $1 ON CONFLICT DO NOTHING"""

# Opening (P) = closing (P - 1), line by line: $4 the newest whole file of the month before, $5 that month, $6 this one.
_OPENING = """
    INSERT INTO billing_findings (file, row, severity, code, text)
    SELECT DISTINCT ON (r.row) r.file, r.row, $2, 'opening_mismatch', format(
        'входящий остаток %s коп. не равен исходящему прошлого периода %s коп.', r.opening_kopecks, b.closing_kopecks)
    FROM billing_rows r
    JOIN billing_rows b ON b.account = r.account AND b.service = r.service AND b.provider = r.provider
        AND b.kind = r.kind
    WHERE r.file = $1 AND b.file = $4 AND b.period = $5 AND r.period = $6 AND $3 <> ''
        AND r.opening_kopecks IS NOT NULL AND b.closing_kopecks IS NOT NULL AND r.opening_kopecks <> b.closing_kopecks
    ORDER BY r.row ON CONFLICT DO NOTHING"""

_BEFORE = """
    SELECT f.file FROM received_files f JOIN billing_runs u ON u.file = f.file
    WHERE f.sender = $1 AND f.kind = 'charges' AND f.mode = 'full' AND f.state = 'done' AND f.file < $2
        AND $3 = ANY(u.periods) ORDER BY f.file DESC LIMIT 1"""

# A service that the month before still charged. Served as `_OPENING`.
_ZERO = """
    INSERT INTO billing_findings (file, row, severity, code, text)
    SELECT DISTINCT ON (r.row) r.file, r.row, $2, 'zero', 'ничего не начислено, а месяцем раньше начислялось'
    FROM billing_rows r
    JOIN billing_rows b ON b.account = r.account AND b.service = r.service AND b.provider = r.provider
        AND b.kind = r.kind
    WHERE r.file = $1 AND b.file = $4 AND b.period = $5 AND r.period = $6 AND $3 <> ''
        AND r.kind = 1 AND r.due_kopecks = 0 AND b.due_kopecks > 0
    ORDER BY r.row ON CONFLICT DO NOTHING"""

# What a code means is a mapping's to say; the master says whether that provider is still there.
_PROVIDER_INACTIVE = """
    INSERT INTO billing_findings (file, row, severity, code, text)
    SELECT DISTINCT r.file, r.row, $2, 'provider_inactive', 'поставщик закрыт: ' || p.provider
    FROM billing_rows r
    JOIN mappings m ON m.source = $3 AND m.kind = 'provider' AND m.code = r.provider AND m.status = 'confirmed'
    JOIN providers p ON p.provider = m.master_id AND p.status = 'closed'
    WHERE r.file = $1 ON CONFLICT DO NOTHING"""

# $4: how many times the median, $5: of how many months before. Told on the account's first row.
_ANOMALY = """
    INSERT INTO billing_findings (file, row, severity, code, text)
    SELECT $1::bigint, min(now_charged.row), $2, 'anomaly', format(
        'начислено %s коп. при обычных %s коп.', min(now_charged.kopecks), min(usual.kopecks))
    FROM (SELECT account, period, min(row) AS row, sum(due_kopecks)::bigint AS kopecks FROM billing_rows
            WHERE file = $1 AND kind = 1 GROUP BY account, period) AS now_charged
    JOIN LATERAL (SELECT percentile_disc(0.5) WITHIN GROUP (ORDER BY charged_kopecks) AS kopecks FROM (
            SELECT charged_kopecks FROM billed b WHERE b.billing = $3 AND b.account = now_charged.account
                AND b.period < now_charged.period ORDER BY b.period DESC LIMIT $5::int) AS last_months) AS usual ON true
    WHERE usual.kopecks > 0 AND now_charged.kopecks > usual.kopecks * $4::int
    GROUP BY now_charged.account, now_charged.period ON CONFLICT DO NOTHING"""

# $4: by how many percent the number of accounts may differ from the month before; row 0 is the file.
_ACCOUNTS_CHANGED = """
    INSERT INTO billing_findings (file, row, severity, code, text)
    SELECT $1::bigint, 0, $2, 'accounts_changed',
        format('счетов в файле %s, в прошлом периоде было %s', n.accounts, b.accounts)
    FROM (SELECT count(DISTINCT account) AS accounts, max(period) AS period FROM billing_rows WHERE file = $1) AS n,
        LATERAL (SELECT count(*) AS accounts FROM billed WHERE billing = $3
            AND period = (SELECT max(period) FROM billed WHERE billing = $3 AND period <= n.period)) AS b
    WHERE b.accounts > 0 AND abs(n.accounts - b.accounts) * 100 > b.accounts * $4::int
    ON CONFLICT DO NOTHING"""

# The same for a list of accounts: against those that are open.
_LIST_CHANGED = """
    INSERT INTO billing_findings (file, row, severity, code, text)
    SELECT $1::bigint, 0, $2, 'accounts_changed', format('счетов в файле %s, открыто было %s', n.accounts, b.accounts)
    FROM (SELECT count(DISTINCT account) AS accounts FROM billing_rows WHERE file = $1) AS n,
        (SELECT count(*) AS accounts FROM billing_accounts WHERE billing = $3 AND NOT is_closed) AS b
    WHERE b.accounts > 0 AND abs(n.accounts - b.accounts) * 100 > b.accounts * $4::int
    ON CONFLICT DO NOTHING"""

# A payment that an earlier file told already: it counts once. $4: the billing's source. Served by its primary key.
_OPERATION_KNOWN = """
    INSERT INTO billing_findings (file, row, severity, code, text)
    SELECT DISTINCT r.file, r.row, $2, 'operation_known', 'операция уже учтена ранее' FROM billing_rows r
    JOIN idempotency_keys k ON k.source = $4 AND k.txn_id =
        concat_ws('/', 'p', r.reference, r.service, r.provider, CASE WHEN r.period > 0 THEN r.period::text ELSE '' END)
    WHERE r.file = $1 AND $3 <> '' ON CONFLICT DO NOTHING"""

_METER_UNKNOWN = """
    INSERT INTO billing_findings (file, row, severity, code, text)
    SELECT DISTINCT r.file, r.row, $2, 'meter_unknown', 'прибор учёта не найден' FROM billing_rows r
    WHERE r.file = $1 AND NOT EXISTS (SELECT 1 FROM meters m WHERE m.billing = $3 AND m.account = r.account
        AND m.service = r.service AND m.serial = r.reference AND m.zone = r.zone)
    ON CONFLICT DO NOTHING"""

_METER_REMOVED = """
    INSERT INTO billing_findings (file, row, severity, code, text)
    SELECT DISTINCT r.file, r.row, $2, 'meter_removed', 'прибор учёта снят' FROM billing_rows r
    JOIN LATERAL (SELECT is_removed FROM meters m WHERE m.billing = $3 AND m.account = r.account
        AND m.service = r.service AND m.serial = r.reference AND m.zone = r.zone ORDER BY file DESC LIMIT 1) AS m
        ON m.is_removed
    WHERE r.file = $1 ON CONFLICT DO NOTHING"""

_DIGITS = """
    INSERT INTO billing_findings (file, row, severity, code, text)
    SELECT DISTINCT r.file, r.row, $2, 'digits', format('у прибора %s знаков до запятой', m.digits) FROM billing_rows r
    JOIN LATERAL (SELECT digits FROM meters m WHERE m.billing = $3 AND m.account = r.account
        AND m.service = r.service AND m.serial = r.reference AND m.zone = r.zone ORDER BY file DESC LIMIT 1) AS m
        ON m.digits > 0 AND r.value::numeric >= power(10::numeric, m.digits)
    WHERE r.file = $1 ON CONFLICT DO NOTHING"""

# Less than the last reading before its day, of this file or an earlier one, or than the meter's first.
_DECREASED = """
    INSERT INTO billing_findings (file, row, severity, code, text)
    SELECT DISTINCT ON (r.row) r.file, r.row, $2, 'reading_decreased', 'меньше предыдущего показания'
    FROM billing_rows r
    LEFT JOIN LATERAL (SELECT value FROM (
            SELECT value, read_on, file FROM readings d WHERE d.billing = $3 AND d.account = r.account
                AND d.service = r.service AND d.serial = r.reference AND d.zone = r.zone AND d.read_on < r.on_date
            UNION ALL
            SELECT d.value::numeric, d.on_date, d.file FROM billing_rows d WHERE d.file = $1 AND d.account = r.account
                AND d.service = r.service AND d.reference = r.reference AND d.zone = r.zone AND d.on_date < r.on_date
        ) AS before ORDER BY read_on DESC, file DESC LIMIT 1) AS last ON true
    LEFT JOIN LATERAL (SELECT initial AS value FROM meters m WHERE m.billing = $3 AND m.account = r.account
        AND m.service = r.service AND m.serial = r.reference AND m.zone = r.zone ORDER BY file DESC LIMIT 1) AS first
        ON true
    WHERE r.file = $1 AND r.value::numeric < coalesce(last.value, first.value)
    ORDER BY r.row ON CONFLICT DO NOTHING"""

_CHARGES, _PAYMENTS, _ACCOUNTS = frozenset({"charges"}), frozenset({"payments"}), frozenset({"accounts"})
_METERS, _READINGS = frozenset({"meters"}), frozenset({"readings"})
CHECKS = (
    Check("duplicate", "row", _CHARGES | _READINGS, _DUPLICATE),
    Check("duplicate", "row", _PAYMENTS, _OPERATION),
    Check("duplicate", "row", _ACCOUNTS | _METERS, _ACCOUNT_TWICE),
    Check("empty", "row", _CHARGES, _NO_CODE),
    Check("account_unknown", "row", _CHARGES | _PAYMENTS, _ACCOUNT_UNKNOWN),
    Check("account_closed", "warning", _CHARGES, _ACCOUNT_CLOSED),
    Check("opening_mismatch", "warning", _CHARGES, _OPENING),
    Check("zero", "warning", _CHARGES, _ZERO),
    Check("provider_inactive", "warning", _CHARGES | _PAYMENTS, _PROVIDER_INACTIVE),
    Check("anomaly", "warning", _CHARGES, _ANOMALY),
    Check("accounts_changed", "warning", _CHARGES, _ACCOUNTS_CHANGED),
    Check("accounts_changed", "warning", _ACCOUNTS, _LIST_CHANGED),
    Check("operation_known", "warning", _PAYMENTS, _OPERATION_KNOWN),
    Check("meter_unknown", "row", _READINGS, _METER_UNKNOWN),
    Check("meter_removed", "row", _READINGS, _METER_REMOVED),
    Check("digits", "row", _READINGS, _DIGITS),
    Check("reading_decreased", "row", _READINGS, _DECREASED),
)


async def check(session: Session, file: ReceivedFile, severities: Mapping[str, str], source: str) -> None:
    """Make every check that is for this kind of file, and note that the file is checked; all or nothing.

    Rule: a whole file with far fewer accounts than before would take back what the others were billed, so there that
    finding refuses the file unless the profile says otherwise.
    """
    async with session.connection.transaction():
        for one in CHECKS:
            severity = severities.get(one.code, _usual(one, file))
            if file.kind in one.kinds and severity != "off" and not _is_beside_the_point(one, session, file):
                for more in await _more(one, session, file, source):
                    await session.connection.execute(one.statement, file.file, severity, session.billing.billing, *more)
        await session.connection.execute("UPDATE received_files SET state = 'checked' WHERE file = $1", file.file)


def _usual(check: Check, file: ReceivedFile) -> str:
    return "file" if check.code == "accounts_changed" and file.mode == "full" else check.usual


def _is_beside_the_point(check: Check, session: Session, file: ReceivedFile) -> bool:
    """Accounts need not be known where a charge opens them; a delta says nothing of balances or of who is absent."""
    if check.code == "account_unknown":
        return file.kind == "charges" and session.billing.terms.opens_accounts
    return file.mode == "delta" and check.code in ("opening_mismatch", "zero", "accounts_changed")


async def _more(check: Check, session: Session, file: ReceivedFile, source: str) -> list[tuple[int | str, ...]]:
    """The further parameters of a statement, once for each time that it is to be made."""
    terms = session.billing.terms
    match check.code:
        case "anomaly":
            return [(terms.median_times, terms.median_months)]
        case "accounts_changed":
            return [(terms.accounts_change_percent,)]
        case "operation_known":
            return [(source,)]
        case "opening_mismatch" | "zero":
            return await _months_before(session, file)
        case _:
            return [()]


async def _months_before(session: Session, file: ReceivedFile) -> list[tuple[int | str, ...]]:
    """For every month of a file: the file that told the month before, that month, and the month itself."""
    found: list[tuple[int | str, ...]] = []
    for period in await periods_of(session, file.file):
        month_before = period - 1 if period % 100 > 1 else period - 89
        before = await session.connection.fetchval(_BEFORE, session.billing.billing, file.file, month_before)
        if before is not None:
            found.append((before, month_before, period))
    return found


async def unreadable_rows(session: Session, file: int) -> int:
    """Count the rows that could not be understood at all: nobody knows whose they were."""
    count: int = await session.connection.fetchval(
        """SELECT count(DISTINCT f.row) FROM billing_findings f
            WHERE f.file = $1 AND f.row > 0 AND f.severity <> 'warning'
                AND NOT EXISTS (SELECT 1 FROM billing_rows r WHERE r.file = $1 AND r.row = f.row)""",
        file,
    )
    return count


async def periods_of(session: Session, file: int) -> list[int]:
    """Return the months that a file speaks of."""
    rows = await session.connection.fetch("SELECT DISTINCT period FROM billing_rows WHERE file = $1 ORDER BY 1", file)
    return [row["period"] for row in rows]
