"""No money moves over a mapping that nobody has confirmed; once somebody has, what waited is posted by itself."""

from storage import billing_waiting, mapping
from tests.billing.stage import Stage, charge, charges

ANNA, BORIS = "1000000001", "1000000002"


def half_known() -> bytes:
    """Anna's waste is of a service that nobody has confirmed; Boris's lines are all known."""
    return charges(
        [
            charge(ANNA, "1", "77", "1000,00"),
            charge(ANNA, "waste", "77", "300,00", penalty="1,00"),
            charge(BORIS, "1", "77", "500,00"),
        ]
    )


async def test_a_row_with_an_unknown_code_waits_and_its_account_is_held(stage: Stage) -> None:
    file = await stage.take(half_known())
    assert (file.state, file.rows_accepted, file.rows_waiting) == ("done", 2, 1)
    assert await stage.debts(ANNA) == {"HEAT P1 202610 1": 100_000}
    (waiting,) = await billing_waiting.list_waiting(stage.database_url, "erc")
    assert (waiting.kind, waiting.code, waiting.rows, waiting.accounts, waiting.kopecks) == (
        "service",
        "waste",
        1,
        1,
        30_100,
    )
    (proposed,) = await mapping.list_mappings(stage.database_url, "erc", "proposed")
    assert (proposed.kind, proposed.code) == ("service", "waste")


async def test_a_payment_to_a_held_account_is_kept_and_moves_to_nobody(stage: Stage) -> None:
    await stage.take(half_known())
    outcome = await stage.pay(ANNA, 50_000)
    assert outcome.receipt.balance_kopecks == 50_000
    assert await stage.debts(ANNA) == {"HEAT P1 202610 1": 100_000}
    await stage.pay(BORIS, 50_000)
    assert await stage.debts(BORIS) == {}


async def test_what_waited_is_posted_once_its_code_is_confirmed_and_the_advance_meets_the_debts(stage: Stage) -> None:
    file = await stage.take(half_known())
    await stage.pay(ANNA, 50_000)
    await stage.confirm("service", "waste", "WASTE")
    assert await stage.importer().run("erc")
    anna = await stage.account(ANNA)
    assert (anna.due_kopecks, anna.advance_kopecks) == (80_100, 0)
    file = await stage.file(file.file)
    assert (file.rows_accepted, file.rows_waiting) == (3, 0)
    assert await stage.count("SELECT count(*) FROM billing_holds") == 0
    assert await stage.is_clean()


async def test_releasing_again_changes_nothing(stage: Stage) -> None:
    await stage.take(half_known())
    await stage.confirm("service", "waste", "WASTE")
    await stage.importer().run("erc")
    events = await stage.count("SELECT count(*) FROM events")
    await stage.importer().run("erc")
    assert await stage.count("SELECT count(*) FROM events") == events


async def test_a_release_makes_a_second_protocol_and_keeps_the_first(stage: Stage) -> None:
    file = await stage.take(half_known())
    await stage.confirm("service", "waste", "WASTE")
    await stage.importer().run("erc")
    assert any("service_unmapped" in line for line in await stage.protocol(file.file, 1))
    assert not any("service_unmapped" in line for line in await stage.protocol(file.file, 2))


async def test_a_whole_file_supersedes_what_waits_of_its_month(stage: Stage) -> None:
    await stage.take(half_known())
    await stage.take(
        charges(
            [
                charge(ANNA, "1", "77", "1000,00"),
                charge(ANNA, "2", "77", "300,00"),
                charge(BORIS, "1", "77", "500,00"),
            ]
        )
    )
    assert await stage.count("SELECT count(*) FROM billing_holds") == 0
    await stage.confirm("service", "waste", "WASTE")
    await stage.importer().run("erc")
    assert await stage.debts(ANNA) == {"HEAT P1 202610 1": 100_000, "WATER P1 202610 1": 30_000}
    await stage.pay(ANNA, 130_000)
    assert await stage.debts(ANNA) == {}


async def test_an_account_is_let_go_only_with_the_last_of_its_codes(stage: Stage) -> None:
    lines = [charge(ANNA, "waste", "77", "300,00"), charge(ANNA, "lift", "77", "100,00")]
    await stage.take(charges(lines))
    await stage.confirm("service", "waste", "WASTE")
    await stage.importer().run("erc")
    assert await stage.debts(ANNA) == {"WASTE P1 202610 1": 30_000}
    assert await stage.count("SELECT count(*) FROM billing_holds") == 1
    await stage.confirm("service", "lift", "LIFT")
    await stage.importer().run("erc")
    assert await stage.debts(ANNA) == {"LIFT P1 202610 1": 10_000, "WASTE P1 202610 1": 30_000}
    assert await stage.count("SELECT count(*) FROM billing_holds") == 0


async def test_a_correction_after_the_release_counts_what_was_released(stage: Stage) -> None:
    await stage.take(half_known())
    await stage.confirm("service", "waste", "WASTE")
    corrected = half_known().replace(b"300,00", b"250,00")
    await stage.take(corrected)
    assert (await stage.debts(ANNA))["WASTE P1 202610 1"] == 25_000
    assert await stage.is_clean()
