"""The audit: clean when all is well, and naming the place when anything was changed behind our back."""

import asyncpg
import pytest

from engine.ids import ShardId
from storage import codec
from storage.audit import AuditReport, audit
from storage.journal import PostgresJournal
from tests.engine.bills import ACCOUNT
from tests.storage.test_journal_contract import Writer


async def _ledger(url: str) -> None:
    journal, writer = PostgresJournal(url), Writer()
    await journal.take_ownership(ShardId(1), "a")
    await journal.append([*writer.opening(), writer.payment(1), writer.payment(2, 400_000)])
    await journal.save_snapshots([(ACCOUNT, 4, codec.pack_snapshot(writer.states[ACCOUNT]))])
    await journal.append([writer.payment(3)])
    await journal.close()


async def _tamper(url: str, sql: str) -> AuditReport:
    """Do by hand, as a superuser, what the database refuses everybody else; then audit."""
    await _ledger(url)
    connection = await asyncpg.connect(url)
    await connection.execute("SET session_replication_role = replica")
    await connection.execute(sql)
    await connection.close()
    return await audit(url)


async def test_an_honest_ledger_is_clean(database: str) -> None:
    await _ledger(database)
    report = await audit(database)
    assert report.clean
    assert (report.events, report.accounts, report.keys, report.payments, report.snapshots) == (5, 1, 5, 3, 1)
    assert report.paid_kopecks == 402_000


@pytest.mark.parametrize(
    ("sql", "seq", "what"),
    [
        ("UPDATE events SET amount_kopecks = amount_kopecks + 1 WHERE seq = 3", 3, "hash"),
        ("UPDATE events SET amounts = ARRAY[1, 999] WHERE seq = 3", 3, "hash"),
        ("UPDATE events SET recorded_at = recorded_at + interval '1 second' WHERE seq = 4", 4, "hash"),
        ("UPDATE events SET source = 'other' WHERE seq = 4", 4, "hash"),
        ("DELETE FROM events WHERE seq = 4", 5, "missing"),
        ("DELETE FROM events WHERE seq = 5", 4, "ends at 5"),
        ("UPDATE events SET balance_kopecks = balance_kopecks - 1 WHERE seq = 5", 5, "told balance"),
        ("DELETE FROM idempotency_keys WHERE txn_id = '2'", 4, "key is missing"),
        ("UPDATE idempotency_keys SET payment_id = payment_id + 1 WHERE txn_id = '2'", 5, "belongs to no such event"),
        ("UPDATE account_snapshots SET state = state || '\\x00'", 4, "snapshot"),
    ],
)
async def test_a_row_changed_by_hand_is_named(database: str, sql: str, seq: int, what: str) -> None:
    report = await _tamper(database, sql)
    assert not report.clean
    named = [finding for finding in report.findings if what in finding.what]
    assert named
    assert seq in {finding.seq for finding in named}
