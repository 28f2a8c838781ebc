"""Files of charges become debts to the kopeck: whole files, deltas, corrections, and the same file again."""

from tests.billing.stage import Stage, charge, charges

ANNA, BORIS, VERA = "1000000001", "1000000002", "1000000003"


async def test_a_first_file_opens_accounts_and_posts_its_lines(stage: Stage) -> None:
    file = await stage.take(
        charges(
            [
                charge(ANNA, "1", "77", "1000,10"),
                charge(ANNA, "2", "78", "200,05", penalty="3,07"),
                charge(BORIS, "1", "77", "500,00", kind="penalty"),
            ]
        )
    )
    assert (file.state, file.rows_total, file.rows_accepted) == ("done", 3, 3)
    assert await stage.debts(ANNA) == {
        "HEAT P1 202610 1": 100_010,
        "WATER P2 202610 1": 20_005,
        "WATER P2 202610 3": 307,
    }
    assert await stage.debts(BORIS) == {"HEAT P1 202610 3": 50_000}
    assert await stage.is_clean()


async def test_a_corrected_whole_file_posts_the_difference_as_an_adjustment(stage: Stage) -> None:
    await stage.take(charges([charge(ANNA, "1", "77", "1000,00"), charge(BORIS, "1", "77", "500,00")]))
    await stage.take(charges([charge(ANNA, "1", "77", "900,00"), charge(BORIS, "1", "77", "500,00")]))
    assert await stage.debts(ANNA) == {"HEAT P1 202610 1": 90_000}
    assert await stage.debts(BORIS) == {"HEAT P1 202610 1": 50_000}
    adjusted = "SELECT count(*) FROM events WHERE kind = 4"
    assert await stage.count(adjusted) == 1
    assert await stage.is_clean()


async def test_what_a_whole_file_no_longer_names_is_owed_no_more(stage: Stage) -> None:
    lines = [charge(account, "1", "77", "500,00") for account in (ANNA, BORIS, VERA)]
    await stage.take(charges([*lines, charge(ANNA, "2", "78", "10,00")]))
    await stage.execute("UPDATE billings SET settings = '{\"accounts_change_percent\": 50}'")
    await stage.take(charges(lines[:2]))
    assert await stage.debts(ANNA) == {"HEAT P1 202610 1": 50_000}
    assert await stage.debts(BORIS) == {"HEAT P1 202610 1": 50_000}
    assert await stage.debts(VERA) == {}


async def test_a_delta_adds_its_lines(stage: Stage) -> None:
    await stage.take(charges([charge(ANNA, "1", "77", "1000,00"), charge(BORIS, "1", "77", "500,00")]))
    await stage.take(charges([charge(ANNA, "1", "77", "-100,00")]), mode="delta")
    assert await stage.debts(ANNA) == {"HEAT P1 202610 1": 90_000}
    assert await stage.debts(BORIS) == {"HEAT P1 202610 1": 50_000}


async def test_a_whole_file_after_a_delta_brings_the_month_to_what_it_says(stage: Stage) -> None:
    await stage.take(charges([charge(ANNA, "1", "77", "1000,00")]))
    await stage.take(charges([charge(ANNA, "1", "77", "250,00")]), mode="delta")
    await stage.take(charges([charge(ANNA, "1", "77", "1000,01")]))
    assert await stage.debts(ANNA) == {"HEAT P1 202610 1": 100_001}


async def test_the_same_file_again_posts_nothing_and_gives_the_first_protocol(stage: Stage) -> None:
    content = charges([charge(ANNA, "1", "77", "1000,00")])
    first = await stage.take(content)
    events = await stage.count("SELECT count(*) FROM events")
    again, is_new = await stage.receive(content)
    await stage.importer().run("erc")
    assert (again.file, is_new) == (first.file, False)
    assert await stage.count("SELECT count(*) FROM events") == events
    assert await stage.count("SELECT count(*) FROM billing_protocols") == 1


async def test_months_are_corrected_apart(stage: Stage) -> None:
    await stage.take(charges([charge(ANNA, "1", "77", "1000,00", period="2026-09")]))
    await stage.take(charges([charge(ANNA, "1", "77", "1100,00")]))
    await stage.take(charges([charge(ANNA, "1", "77", "1050,00", period="2026-09")]))
    assert await stage.debts(ANNA) == {"HEAT P1 202609 1": 105_000, "HEAT P1 202610 1": 110_000}


async def test_a_correction_below_what_was_paid_becomes_a_credit_and_no_edit(stage: Stage) -> None:
    await stage.take(charges([charge(ANNA, "1", "77", "1000,00")]))
    await stage.pay(ANNA, 100_000)
    await stage.take(charges([charge(ANNA, "1", "77", "700,00")]))
    assert (await stage.account(ANNA)).balance_kopecks == -30_000
    assert await stage.is_clean()
