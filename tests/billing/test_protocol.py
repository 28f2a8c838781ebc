"""Every row ends as something, with code and text; what is wrong with the whole file refuses it before any posting."""

import msgspec
import pytest

from intake.faults import Code, Severity
from intake.presets import CHARGES_CSV
from intake.profile import Profile, encode
from storage import profiles
from tests.billing.stage import Stage, charge, charges

ANNA, BORIS, VERA = "1000000001", "1000000002", "1000000003"


async def test_a_file_with_every_kind_of_fault_has_exactly_this_protocol(stage: Stage) -> None:
    await stage.take(
        charges(
            charge(account, "1", "77", "100,00", period="2026-09", opening="0,00", closing="100,00")
            for account in (ANNA, BORIS)
        )
    )
    lines = [
        charge(ANNA, "1", "77", "100,00", opening="90,00"),
        charge(ANNA, "1", "77", "100,00"),
        charge(ANNA, "2", "77", "1O0,00"),
        charge(ANNA, "waste", "77", "10,00"),
        charge(ANNA, "2", "99", "10,00"),
        charge(ANNA, "2", "78", "10,005"),
        charge("", "1", "77", "100,00"),
        charge(BORIS, "1", "77", "5000,00", opening="100,00"),
        charge(BORIS, "2", "78", "-5,00"),
        charge(BORIS, "2", "", "5,00"),
        charge(BORIS, "1", "78", "100,00", period="2099-01"),
        charge(BORIS, "2", "77", "1,00"),
    ]
    file = await stage.take(charges(lines), mode="delta")
    told = [line.split(";")[:4] for line in await stage.told(file.file)]
    assert told == [
        ["2", ANNA, "принято", ""],
        ["3", ANNA, "отклонено", "duplicate"],
        ["4", "", "отклонено", "money"],
        ["5", ANNA, "ждёт сопоставления", "service_unmapped"],
        ["6", ANNA, "ждёт сопоставления", "provider_unmapped"],
        ["7", "", "отклонено", "money_too_precise"],
        ["8", "", "отклонено", "empty"],
        ["9", BORIS, "принято с замечанием", "anomaly"],
        ["10", BORIS, "принято с замечанием", "negative"],
        ["11", "", "отклонено", "empty"],
        ["12", BORIS, "отклонено", "future"],
        ["13", BORIS, "принято", ""],
    ]
    assert (await stage.protocol(file.file))[-1] == (
        "итого;принято: 2;принято с замечанием: 2;ждёт сопоставления: 2;отклонено: 6"
    )
    assert (file.rows_total, file.rows_accepted, file.rows_warned, file.rows_waiting, file.rows_rejected) == (
        12,
        2,
        2,
        2,
        6,
    )
    assert await stage.is_clean()


async def test_an_opening_balance_that_is_not_the_last_closing_one_is_told_line_by_line(stage: Stage) -> None:
    september = [charge(ANNA, "1", "77", "100,00", period="2026-09", closing="150,00")]
    await stage.take(charges([*september, charge(BORIS, "1", "77", "100,00", period="2026-09", closing="1,00")]))
    file = await stage.take(
        charges([charge(ANNA, "1", "77", "100,00", opening="140,00"), charge(BORIS, "1", "77", "9,00", opening="1,00")])
    )
    assert [line.split(";")[3] for line in await stage.told(file.file)] == ["opening_mismatch", ""]


async def test_nothing_charged_for_a_service_of_the_month_before_is_told(stage: Stage) -> None:
    september = [
        charge(ANNA, "1", "77", "100,00", period="2026-09"),
        charge(BORIS, "1", "77", "0,00", period="2026-09"),
    ]
    await stage.take(charges(september))
    october = [charge(ANNA, "1", "77", "0,00"), charge(BORIS, "1", "77", "0,00"), charge(ANNA, "2", "77", "0,00")]
    file = await stage.take(charges(october))
    assert [line.split(";")[3] for line in await stage.told(file.file)] == ["zero", "", ""]


async def test_charges_of_a_provider_that_is_closed_are_told(stage: Stage) -> None:
    await stage.execute(
        """INSERT INTO providers (provider, name, inn, kpp, ogrn, status)
        VALUES ('P2', 'ООО «Бывшее»', '', '', '', 'closed')"""
    )
    file = await stage.take(charges([charge(ANNA, "1", "77", "1,00"), charge(ANNA, "2", "78", "2,00")]))
    assert [line.split(";")[3] for line in await stage.told(file.file)] == ["", "provider_inactive"]


async def test_a_file_error_refuses_the_whole_file_with_the_line_before_any_posting(stage: Stage) -> None:
    strict = encode(_strict()).decode()
    await profiles.add(stage.database_url, "strict", "charges", strict, "tester")
    events = await stage.count("SELECT count(*) FROM events")
    lines = [charge(ANNA, "1", "77", "100,00"), charge(BORIS, "2", "78", "-5,00")]
    file = await stage.take(charges(lines), profile="strict")
    assert (file.state, file.rows_rejected, file.rows_accepted) == ("refused", 2, 0)
    assert "строка 3" in file.problem
    assert await stage.count("SELECT count(*) FROM events") == events


def _strict() -> Profile:
    return msgspec.structs.replace(CHARGES_CSV, name="strict", severities={Code.NEGATIVE: Severity.FILE})


async def test_a_refused_file_may_come_again_under_another_profile(stage: Stage) -> None:
    await profiles.add(stage.database_url, "strict", "charges", encode(_strict()).decode(), "tester")
    content = charges([charge(ANNA, "1", "77", "-100,00")])
    refused = await stage.take(content, profile="strict")
    taken = await stage.take(content)
    assert (refused.state, taken.file, taken.state) == ("refused", refused.file, "done")


@pytest.mark.parametrize("content", [b"", b"\xff\xfe\x00garbage", b"ACCOUNT;PERIOD\r\n1;2026-10\r\n"])
async def test_what_is_no_file_of_charges_is_refused_and_leaves_nothing(stage: Stage, content: bytes) -> None:
    file = await stage.take(content)
    assert file.state == "refused"
    assert file.problem
    assert await stage.count("SELECT count(*) FROM events") == 0
    assert "файл отклонён" in "\n".join(await stage.protocol(file.file))


async def test_a_whole_file_with_an_unreadable_row_takes_nothing_back(stage: Stage) -> None:
    await stage.take(charges(charge(account, "1", "77", "100,00") for account in (ANNA, BORIS)))
    await stage.execute("UPDATE billings SET settings = '{\"accounts_change_percent\": 50}'")
    file = await stage.take(charges([charge(ANNA, "1", "77", "90,00"), charge(BORIS, "1", "77", "x")]))
    assert (file.rows_accepted, file.rows_rejected) == (1, 1)
    assert await stage.debts(ANNA) == {"HEAT P1 202610 1": 9_000}
    assert await stage.debts(BORIS) == {"HEAT P1 202610 1": 10_000}


async def test_a_whole_file_of_far_fewer_accounts_is_refused(stage: Stage) -> None:
    await stage.take(charges(charge(account, "1", "77", "100,00") for account in (ANNA, BORIS, VERA)))
    file = await stage.take(charges([charge(ANNA, "1", "77", "100,00")]))
    assert (file.state, "счетов в файле 1" in file.problem) == ("refused", True)
    assert await stage.debts(VERA) == {"HEAT P1 202610 1": 10_000}


async def test_an_account_that_nobody_knows_is_rejected_where_charges_open_none(stage: Stage) -> None:
    await stage.take(charges([charge(ANNA, "1", "77", "100,00")]))
    await stage.execute("UPDATE billings SET settings = '{\"opens_accounts\": false}'")
    file = await stage.take(charges([charge(ANNA, "1", "77", "110,00"), charge(VERA, "1", "77", "1,00")]), mode="delta")
    assert [line.split(";")[3] for line in await stage.told(file.file)] == ["", "account_unknown"]
