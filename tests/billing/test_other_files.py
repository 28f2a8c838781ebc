"""Accounts, meters, readings and payments taken elsewhere: kept as told, checked, and counted once."""

from engine.ids import SourceId, is_of_billing
from intake.profile import FileKind
from tests.billing.stage import Stage, charge, charges

ANNA, BORIS, VERA = "1000000001", "1000000002", "1000000003"


def table(header: str, *lines: str) -> bytes:
    return "\r\n".join((header, *lines, "")).encode()


# Accounts ------------------------------------------------------------------------------------------------------------

ACCOUNTS = "ACCOUNT;HOLDER;ADDRESS;FLAT;AREA;CLOSED"


async def test_a_list_of_accounts_opens_and_closes_them(stage: Stage) -> None:
    opened = table(
        ACCOUNTS,
        f"{ANNA};Анна А.;г. Зареченск, ул. Садовая, д. 1;5;54,30;0",
        f"{BORIS};Борис Б.;г. Зареченск, ул. Садовая, д. 1;6;40,00;0",
    )
    await stage.take(opened, FileKind.ACCOUNTS)
    assert (await stage.account(ANNA)).status == "OPEN"
    await stage.take(table(ACCOUNTS, f"{ANNA};Анна А.;;5;54,30;1"), FileKind.ACCOUNTS)
    assert (await stage.account(ANNA)).status == "CLOSED"
    assert (await stage.account(BORIS)).status == "OPEN"


async def test_a_whole_list_closes_who_is_no_longer_on_it(stage: Stage) -> None:
    lines = [f"{account};;;;;0" for account in (ANNA, BORIS, VERA)]
    await stage.take(table(ACCOUNTS, *lines), FileKind.ACCOUNTS, mode="full")
    await stage.execute("UPDATE billings SET settings = '{\"accounts_change_percent\": 50}'")
    await stage.take(table(ACCOUNTS, *lines[:2]), FileKind.ACCOUNTS, mode="full")
    assert [(await stage.account(account)).status for account in (ANNA, BORIS, VERA)] == ["OPEN", "OPEN", "CLOSED"]


async def test_names_and_addresses_never_reach_the_ledger(stage: Stage) -> None:
    await stage.take(table(ACCOUNTS, f"{ANNA};Канарейкина Анна;ул. Канареечная;5;54,30;0"), FileKind.ACCOUNTS)
    assert await stage.count("SELECT count(*) FROM account_cards WHERE content LIKE '%Канарейкина%'") == 1
    assert await stage.count("SELECT count(*) FROM events e WHERE e::text ~* 'канаре'") == 0


async def test_people_are_placed_once_somebody_confirms_their_house(stage: Stage) -> None:
    address = "г. Зареченск, ул. Садовая, д. 1"
    await stage.take(table(ACCOUNTS, f"{ANNA};Анна А.;{address};5;54,30;0"), FileKind.ACCOUNTS)
    assert await stage.count("SELECT count(*) FROM account_holders") == 0
    await stage.execute("INSERT INTO houses (house, address) VALUES (7, $1)", address)
    await stage.confirm("house", address, "7")
    await stage.importer().run("erc")
    assert await stage.count("SELECT house FROM account_holders WHERE account = $1 AND area_dm2 = 5430", ANNA) == 7


# Payments taken elsewhere --------------------------------------------------------------------------------------------

PAYMENTS = "OPERATION;ACCOUNT;DATE;SUM;SERVICE;PROVIDER_INN"


async def billed(stage: Stage) -> None:
    await stage.take(charges([charge(ANNA, "1", "77", "1000,00"), charge(ANNA, "2", "78", "500,00")]))


async def test_a_payment_taken_elsewhere_lowers_the_debt_and_is_marked_by_its_source(stage: Stage) -> None:
    await billed(stage)
    file = await stage.take(table(PAYMENTS, f"OP-1;{ANNA};2026-11-10;1500,00;;"), FileKind.PAYMENTS)
    assert (file.rows_accepted, await stage.debts(ANNA)) == (1, {})
    assert await stage.count("SELECT count(*) FROM events WHERE kind = 6 AND channel = 'elsewhere'") == 1
    assert is_of_billing(SourceId("billing:erc"))
    assert not is_of_billing(SourceId("terminal"))


async def test_an_operation_counts_once_in_all_files(stage: Stage) -> None:
    await billed(stage)
    line = f"OP-1;{ANNA};2026-11-10;100,00;;"
    await stage.take(table(PAYMENTS, line), FileKind.PAYMENTS)
    file = await stage.take(
        table(PAYMENTS, line, line, f"OP-2;{ANNA};2026-11-10;1,00;;", f"OP-3;{VERA};2026-11-10;1,00;;"),
        FileKind.PAYMENTS,
    )
    told = [line.split(";")[3] for line in await stage.told(file.file)]
    assert told == ["operation_known", "duplicate", "", "account_unknown"]
    assert (await stage.account(ANNA)).balance_kopecks == 150_000 - 10_100


async def test_an_operation_of_another_amount_is_a_conflict_and_changes_nothing(stage: Stage) -> None:
    await billed(stage)
    await stage.take(table(PAYMENTS, f"OP-1;{ANNA};2026-11-10;100,00;;"), FileKind.PAYMENTS)
    file = await stage.take(table(PAYMENTS, f"OP-1;{ANNA};2026-11-10;200,00;;"), FileKind.PAYMENTS)
    assert [line.split(";")[3] for line in await stage.told(file.file)] == ["key_conflict"]
    assert (await stage.account(ANNA)).balance_kopecks == 140_000


async def test_a_payment_for_a_service_goes_there_and_waits_if_nobody_knows_the_service(stage: Stage) -> None:
    await billed(stage)
    lines = [f"OP-1;{ANNA};2026-11-10;100,00;2;78", f"OP-2;{ANNA};2026-11-10;100,00;lift;78"]
    file = await stage.take(table(PAYMENTS, *lines), FileKind.PAYMENTS)
    assert (file.rows_accepted, file.rows_waiting) == (1, 1)
    await stage.confirm("service", "lift", "HEAT")
    await stage.importer().run("erc")
    anna = await stage.account(ANNA)
    assert (anna.balance_kopecks, anna.advance_kopecks) == (130_000, 0)
    assert await stage.is_clean()


# Meters and readings -------------------------------------------------------------------------------------------------

METERS = "ACCOUNT;SERVICE;SERIAL;ZONE;DIGITS;INITIAL;REMOVED"
READINGS = "ACCOUNT;SERVICE;SERIAL;VALUE;DATE;ZONE"


async def test_readings_are_kept_with_history_and_refused_where_they_cannot_be(stage: Stage) -> None:
    meters = [f"{ANNA};2;M1;1;3;10;0", f"{ANNA};2;M2;1;5;0;1"]
    await stage.take(table(METERS, *meters), FileKind.METERS)
    readings = [
        f"{ANNA};2;M1;20,5;2026-09-25;1",
        f"{ANNA};2;M1;19,5;2026-10-25;1",
        f"{ANNA};2;M1;1000;2026-10-26;1",
        f"{ANNA};2;M1;9;2026-08-25;1",
        f"{ANNA};2;M2;5;2026-10-25;1",
        f"{ANNA};2;M9;5;2026-10-25;1",
    ]
    file = await stage.take(table(READINGS, *readings), FileKind.READINGS)
    told = [line.split(";")[3] for line in await stage.told(file.file)]
    assert told == ["", "reading_decreased", "digits", "reading_decreased", "meter_removed", "meter_unknown"]
    assert await stage.count("SELECT count(*) FROM readings WHERE value = 20.5") == 1
    assert await stage.count("SELECT count(*) FROM readings") == 1


async def test_a_later_file_adds_to_the_history_and_edits_nothing(stage: Stage) -> None:
    await stage.take(table(METERS, f"{ANNA};2;M1;1;3;10;0"), FileKind.METERS)
    await stage.take(table(METERS, f"{ANNA};2;M1;1;4;10;0"), FileKind.METERS)
    assert await stage.count("SELECT count(*) FROM meters") == 2
    reading = await stage.take(table(READINGS, f"{ANNA};2;M1;1000;2026-10-26;1"), FileKind.READINGS)
    assert reading.rows_accepted == 1
