"""A register meets what was taken online: every line ends in one way, and no kopeck is credited twice."""

import datetime

from engine.commands import AcceptPayment, fingerprint
from engine.ids import TxnId
from engine.outcomes import Acknowledged, KeyConflict
from storage import codec
from tests.registers.stage import ANNA, BORIS, DAY, NOBODY, SOURCE, BankLine, Stage, at, bank_file


async def test_lines_that_came_online_match_and_credit_nothing(stage: Stage) -> None:
    await stage.online("1", ANNA)
    await stage.online("2", BORIS, 50_000)
    done = await stage.take(BankLine(operation="1"), BankLine(operation="2", account=BORIS, kopecks=50_000))
    assert done.state == "done"
    assert await stage.outcomes(done.file) == ["matched", "matched"]
    assert (done.rows_total, done.rows_accepted, done.rows_warned, done.rows_rejected) == (2, 2, 0, 0)
    assert await stage.balance(ANNA) == 150_000
    await stage.audited()


async def test_what_did_not_come_online_is_credited_from_the_register(stage: Stage) -> None:
    done = await stage.take(BankLine(operation="1", kopecks=100_000))
    assert await stage.outcomes(done.file) == ["missing_online"]
    assert await stage.balance(ANNA) == 200_000
    await stage.audited()
