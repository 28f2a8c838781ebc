"""What every dialect promises, asked of every one: once, to the kopeck, and no fatal code for a trouble of ours."""

import asyncio
from collections.abc import AsyncIterator
from urllib.parse import unquote

import pytest
import pytest_asyncio
from prometheus_client import REGISTRY

from actors.messages import Payer
from engine.commands import OpenAccount
from engine.ids import AccountId
from engine.outcomes import NotDone, Outcome, OutcomeUnknown
from gateways.processors.desk import Desk
from gateways.processors.dialects import all_dialects
from gateways.processors.results import RETRYABLE, SUCCESSES, RefusedError, Result
from tests.gateways.osmp_stage import CLOSED, LOGIN, OPEN, PASSWORD, UNKNOWN, Stage, basic, contract, open_doors, row
from tests.gateways.processors.drivers import DRIVERS, Driver, Sent
from tests.gateways.processors.sending import Client, ask, send

SIGNED = [name for name, driver in DRIVERS.items() if driver.is_signed]
CYRILLIC = AccountId("ЖКУ007")


@pytest.fixture(params=DRIVERS)
def driver(request: pytest.FixtureRequest) -> Driver:
    return DRIVERS[request.param]


@pytest_asyncio.fixture
async def door(stage: Stage, driver: Driver) -> AsyncIterator[Client]:
    async with open_doors(stage, driver.connection()) as client:
        yield client


def desk_of(driver: Driver, stage: Stage) -> Desk:
    connection = driver.connection()
    return all_dialects()[driver.name].desk(connection, stage.doors(connection))


def counted(name: str, **labels: str) -> float:
    return REGISTRY.get_sample_value(name, labels) or 0


def test_every_dialect_is_in_this_suite() -> None:
    assert set(DRIVERS) == set(all_dialects())


# Checks -----------------------------------------------------------------------------------------------------------


async def test_a_check_of_an_open_account_changes_nothing(stage: Stage, door: Client, driver: Driver) -> None:
    before = list(stage.journal.events)
    assert (await ask(door, driver, driver.check(OPEN, "100.00"))).code == driver.codes["ok"]
    assert stage.journal.events == before


@pytest.mark.parametrize(("account", "case"), [(UNKNOWN, "unknown"), (CLOSED, "closed"), ("7+7", "format")])
async def test_a_check_refuses_what_cannot_be_paid(door: Client, driver: Driver, account: str, case: str) -> None:
    answer = await ask(door, driver, driver.check(account))
    assert (answer.kind, answer.code) == ("no", driver.codes[case])


async def test_a_check_does_not_read_the_ledger(
    stage: Stage, door: Client, driver: Driver, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def look(account: AccountId) -> None:
        raise AssertionError("the account is in the shard's memory")

    monkeypatch.setattr(stage.journal, "look", look)
    assert (await ask(door, driver, driver.check(OPEN))).kind == "done"


async def test_a_check_and_a_payment_of_one_number_are_no_repeat(stage: Stage, door: Client, driver: Driver) -> None:
    await ask(door, driver, driver.check(OPEN))
    assert (await ask(door, driver, driver.pay("1", OPEN))).kind == "done"
    assert stage.credited() == [("1", OPEN, 184_317)]


async def test_what_a_payer_sees_is_masked_and_escaped(stage: Stage, driver: Driver) -> None:
    stage.people[OPEN] = Payer("О'Нил <Шон> & Ко", 'г. Энск, ул. "Мира & <Труда>", д. 1', "7")
    connection = driver.connection(shown=("debt", "name", "address"))
    async with open_doors(stage, connection) as door:
        status, body = await send(door, driver.check(OPEN))
    assert (status, driver.read(body).kind) == (200, "done")
    text = _text(body)
    assert "О*** &lt;. &amp;." in text
    assert 'ул. "Мира &amp; &lt;Труда&gt;", д. 1' in text.replace("&quot;", '"')
    assert "Нил" not in text


async def test_nobody_is_asked_who_lives_there_unless_the_contract_shows_it(
    stage: Stage, driver: Driver, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def payer(account: AccountId) -> None:
        raise AssertionError("asked")

    monkeypatch.setattr(stage, "payer", payer)
    async with open_doors(stage, driver.connection(shown=("debt",))) as door:
        assert (await ask(door, driver, driver.check(OPEN))).kind == "done"
    async with open_doors(stage, driver.connection(shown=("name",))) as door:
        assert (await ask(door, driver, driver.check(OPEN))).kind == "repeat", "the stage would have noticed"


def _text(body: bytes) -> str:
    return body.decode("windows-1251" if b"windows-1251" in body[:60] else "utf-8")


@pytest.mark.parametrize("most", [{"checks_a_minute": 3}, {"missed_checks_a_minute": 3}])
async def test_trying_number_after_number_is_stopped(stage: Stage, driver: Driver, most: dict[str, int]) -> None:
    connection = driver.connection(**most)
    labels = {"connection": connection.name}
    before = counted("kopeck_processor_checks_paced_total", **labels)
    async with open_doors(stage, connection) as door:
        for _ in range(3):
            assert (await ask(door, driver, driver.check(UNKNOWN))).code == driver.codes["unknown"]
        assert (await ask(door, driver, driver.check(UNKNOWN))).kind == "repeat"
        assert (await ask(door, driver, driver.check(OPEN))).kind == "repeat", "it must not tell which numbers exist"
        assert (await ask(door, driver, driver.pay("1", OPEN))).kind == "done", "payments go on"
    assert counted("kopeck_processor_checks_paced_total", **labels) == before + 2


# Payments ---------------------------------------------------------------------------------------------------------


async def test_a_payment_is_credited_and_its_repeat_gets_the_first_answer(
    stage: Stage, door: Client, driver: Driver
) -> None:
    first = await ask(door, driver, driver.pay("9715351212001", OPEN))
    again = await ask(door, driver, driver.pay("9715351212001", OPEN))
    assert (first.kind, again.kind, again.code) == ("done", "done", driver.codes["duplicate"])
    assert again.ours == first.ours
    assert first.ours.isdecimal() is driver.tells_number
    assert stage.credited() == [("9715351212001", OPEN, 184_317)]


async def test_a_repeat_beside_the_first_waits_for_the_same_commit(stage: Stage, door: Client, driver: Driver) -> None:
    stage.journal.hold()
    sent = [asyncio.create_task(ask(door, driver, driver.pay("7", OPEN))) for _ in range(2)]
    await stage.journal.appending.wait()
    await asyncio.sleep(0.02)
    assert not any(task.done() for task in sent), "nobody is told before the commit"
    stage.journal.release()
    answers = await asyncio.gather(*sent)
    assert [answer.kind for answer in answers] == ["done", "done"]
    assert len({answer.ours for answer in answers}) == 1
    assert len(stage.credited()) == 1


async def test_a_hundred_equal_payments_at_once_are_one_credit(stage: Stage, door: Client, driver: Driver) -> None:
    answers = await asyncio.gather(*(ask(door, driver, driver.pay("7", OPEN)) for _ in range(100)))
    assert {answer.kind for answer in answers} == {"done"}
    assert len({answer.ours for answer in answers}) == 1
    assert stage.credited() == [("7", OPEN, 184_317)]


@pytest.mark.parametrize(("account", "amount"), [(OPEN, "1843.16"), (CLOSED, "1843.17"), ("7001", "1843.17")])
async def test_one_number_for_other_content_is_a_conflict(
    stage: Stage, door: Client, driver: Driver, account: str, amount: str
) -> None:
    labels = {"connection": f"{driver.name}-demo"}
    before = counted("kopeck_processor_conflicts_total", **labels)
    await ask(door, driver, driver.pay("7", OPEN))
    answer = await ask(door, driver, driver.pay("7", account, amount))
    assert answer.code == driver.codes["conflict"]
    assert stage.credited() == [("7", OPEN, 184_317)]
    assert counted("kopeck_processor_conflicts_total", **labels) == before + 1


async def test_a_lost_reply_is_resolved_by_the_repeat(stage: Stage, door: Client, driver: Driver) -> None:
    stage.journal.hold()
    sent = asyncio.create_task(ask(door, driver, driver.pay("7", OPEN)))
    await stage.journal.appending.wait()
    sent.cancel()
    await asyncio.gather(sent, return_exceptions=True)
    stage.journal.release()
    assert (await ask(door, driver, driver.pay("7", OPEN))).kind == "done"
    assert len(stage.credited()) == 1


@pytest.mark.parametrize(("account", "case"), [(UNKNOWN, "unknown"), (CLOSED, "closed")])
async def test_money_for_what_cannot_be_paid_goes_back_or_is_kept(
    stage: Stage, door: Client, driver: Driver, account: str, case: str
) -> None:
    answer = await ask(door, driver, driver.pay("7", account))
    if driver.keeps_unknown:
        assert answer.kind == "done"
        assert stage.credited() == [("7", account, 184_317)]
    else:
        assert (answer.kind, answer.code) == ("no", driver.codes[case])
        assert stage.credited() == []


async def test_money_for_an_unknown_account_is_kept_where_the_contract_says_so(stage: Stage, driver: Driver) -> None:
    async with open_doors(stage, driver.connection(keep_if_unknown=True)) as door:
        assert (await ask(door, driver, driver.pay("7", UNKNOWN))).kind == "done"
    assert stage.credited() == [("7", UNKNOWN, 184_317)]


async def test_the_contracts_commission_is_taken(stage: Stage, driver: Driver) -> None:
    commission = {"mode": "withheld", "rate_bp": 100}
    async with open_doors(stage, driver.connection(commission=commission)) as door:
        await ask(door, driver, driver.pay("7", OPEN, "100.00"))
    details = stage.journal.events[-1].details
    assert details is not None
    assert details.commission is not None
    assert details.commission.rate_bp == 100


GOOD_AMOUNTS = {"152": 15_200, "152.5": 15_250, "152.50": 15_250}
BAD_AMOUNTS = ["0.00", "0.01", "152.555", "1e3", "-1", "15 000.00", "100,00", "", "NaN", "٣.00"]


@pytest.mark.parametrize("amount", BAD_AMOUNTS)
async def test_amounts_that_are_none_cost_nothing(stage: Stage, door: Client, driver: Driver, amount: str) -> None:
    if driver.name == "moneta" and amount == "0.01":
        pytest.skip("its money was taken already: the contract's least amount does not bind it")
    try:
        sent = driver.pay("7", OPEN, amount)
    except UnicodeEncodeError:
        pytest.skip("the protocol's encoding cannot write it")
    bad, good = await asyncio.gather(ask(door, driver, sent), ask(door, driver, driver.pay("8", OPEN)))
    assert bad.kind != "done"
    assert good.kind == "done"
    assert stage.credited() == [("8", OPEN, 184_317)]


@pytest.mark.parametrize("amount", GOOD_AMOUNTS)
async def test_amounts_with_fewer_decimals_are_read_exactly(
    stage: Stage, door: Client, driver: Driver, amount: str
) -> None:
    answer = await ask(door, driver, driver.pay("7", OPEN, amount))
    if driver.name == "moneta" and amount != "152.50":
        assert answer.kind != "done", "it writes two decimals always"
    else:
        assert stage.credited() == [("7", OPEN, GOOD_AMOUNTS[amount])]


ENCODED = [(name, encoding) for name, driver in DRIVERS.items() for encoding in driver.encodings]


@pytest.mark.parametrize(("name", "encoding"), ENCODED)
async def test_an_account_of_cyrillic_letters_is_read_in_the_contracts_encoding(
    stage: Stage, name: str, encoding: str
) -> None:
    driver = DRIVERS[name]
    await stage.post(CYRILLIC, OpenAccount, agreement="A")
    terms = {"encoding": encoding} if len(driver.encodings) > 1 else {}
    async with open_doors(stage, driver.connection(terms=terms)) as door:
        assert (await ask(door, driver, driver.pay("7", CYRILLIC, encoding=encoding))).kind == "done"
    assert stage.credited() == [("7", CYRILLIC, 184_317)]


async def test_leading_zeros_of_an_account_count(door: Client, driver: Driver) -> None:
    assert (await ask(door, driver, driver.check(OPEN.lstrip("0")))).code == driver.codes["unknown"]


# Troubles of ours -------------------------------------------------------------------------------------------------


async def test_with_no_way_to_the_shards_a_repeat_counts_once(stage: Stage, door: Client, driver: Driver) -> None:
    stage.disconnect()
    check, pay = await asyncio.gather(ask(door, driver, driver.check(OPEN)), ask(door, driver, driver.pay("7", OPEN)))
    assert (check.kind, pay.kind) == ("repeat", "repeat")
    stage.connect()
    assert (await ask(door, driver, driver.pay("7", OPEN))).kind == "done"
    assert (await ask(door, driver, driver.pay("7", OPEN))).kind == "done"
    assert stage.credited() == [("7", OPEN, 184_317)]


@pytest.mark.parametrize("outcome", [NotDone(overloaded=True), OutcomeUnknown(), None], ids=["busy", "unknown", "bug"])
async def test_a_trouble_of_ours_is_never_a_fatal_code(
    stage: Stage, door: Client, driver: Driver, monkeypatch: pytest.MonkeyPatch, outcome: Outcome | None
) -> None:
    async def submit(_: object) -> Outcome:
        if outcome is None:
            raise ZeroDivisionError
        return outcome

    monkeypatch.setattr(stage.router, "submit", submit)
    assert (await ask(door, driver, driver.pay("7", OPEN))).kind == "repeat"


@pytest.mark.parametrize("result", [result for result in Result if result not in SUCCESSES], ids=lambda r: r.name)
def test_every_result_has_its_code_and_only_ours_are_repeated(
    stage_for_desks: Stage, driver: Driver, result: Result
) -> None:
    desk = desk_of(driver, stage_for_desks)
    code, body, _ = desk.refused({}, RefusedError(result))
    assert driver.read(body).code == code
    if driver.name != "moneta":  # It repeats whatever is not SUCCESS.
        assert (driver.kind(code) == "repeat") is (result in RETRYABLE)
    assert driver.kind(code) != "done"


@pytest.fixture
def stage_for_desks() -> Stage:
    return Stage()


# Who is calling ---------------------------------------------------------------------------------------------------


async def test_a_foreign_address_is_turned_away(stage: Stage, driver: Driver) -> None:
    async with open_doors(stage, driver.connection(allow_networks=("10.9.0.0/16",))) as door:
        for sent in (driver.pay("7", OPEN), _named(driver, driver.pay("7", OPEN))):
            status, body = await send(door, sent._replace(headers={**sent.headers, "X-Forwarded-For": "10.9.0.1"}))
            if "foreign" in driver.codes:
                assert (status, driver.read(body).code) == (200, driver.codes["foreign"])
            else:
                assert status == 403
    assert stage.credited() == []


def _named(driver: Driver, sent: Sent) -> Sent:
    """The same request to the path that names the connection."""
    return sent._replace(target=sent.target.replace(f"/{driver.name}", f"/{driver.name}/{driver.name}-demo", 1))


@pytest.mark.parametrize("credentials", ["", basic(LOGIN, "wrong"), basic("nobody", PASSWORD), "Basic !!!"])
async def test_a_wrong_password_opens_nothing(stage: Stage, driver: Driver, credentials: str) -> None:
    secret = contract().basic_password_sha256
    connection = driver.connection(basic_login=LOGIN, basic_password_sha256=secret)
    async with open_doors(stage, connection, authorization=credentials) as door:
        for sent in (driver.pay("7", OPEN), _named(driver, driver.pay("7", OPEN))):
            assert (await send(door, sent))[0] == 401
    async with open_doors(stage, connection, authorization=basic(LOGIN, PASSWORD)) as door:
        assert (await ask(door, driver, driver.pay("8", OPEN))).kind == "done"
    assert stage.credited() == [("8", OPEN, 184_317)]


async def test_the_path_may_name_the_connection(stage: Stage, driver: Driver) -> None:
    twin = driver.connection(name="twin", source="twin")
    async with open_doors(stage, driver.connection(), twin) as door:
        status, body = await send(door, driver.pay("7", OPEN))
        is_told = status == 200 and driver.read(body).code == driver.codes.get("foreign")
        assert is_told or status == 403, "which of the two is meant is not guessed"
        assert (await ask(door, driver, _named(driver, driver.pay("7", OPEN)))).kind == "done"
        assert (await send(door, driver.pay("8", OPEN)._replace(target=f"/{driver.name}/nobody")))[0] == 401
    assert [event.source for event in stage.journal.events][-1] == driver.name


async def test_a_contract_changes_under_an_open_door(stage: Stage, driver: Driver) -> None:
    doors = stage.doors(driver.connection())
    async with open_doors(stage, doors=doors) as door:
        assert (await ask(door, driver, driver.check(OPEN, "100.00"))).kind == "done"
        doors.connections.replace([row(driver.connection(amount_kopecks_min=20_000))])
        assert (await ask(door, driver, driver.check(OPEN, "100.00"))).kind == "no"
        doors.connections.replace([row(driver.connection(active=False))])
        assert (await send(door, driver.check(OPEN)))[0] in (200, 401, 403)
        assert (await send(door, _named(driver, driver.pay("7", OPEN))))[0] == 401
    assert stage.credited() == []


async def test_two_processors_may_use_one_number(stage: Stage) -> None:
    async with open_doors(stage, *(driver.connection() for driver in DRIVERS.values())) as door:
        answers = [await ask(door, driver, driver.pay("7", OPEN, "100.00")) for driver in DRIVERS.values()]
    assert {answer.kind for answer in answers} == {"done"}
    assert len(stage.credited()) == len(DRIVERS)


@pytest.mark.parametrize("name", SIGNED)
async def test_a_changed_amount_breaks_the_signature(stage: Stage, name: str) -> None:
    driver = DRIVERS[name]
    sent = driver.pay("7", OPEN)
    async with open_doors(stage, driver.connection()) as door:
        before = counted("kopeck_processor_signatures_wrong_total", connection=f"{name}-demo")
        answer = await ask(door, driver, _tampered(sent, "1843.17", "1.00"))
    assert answer.code == driver.codes["signature"]
    assert stage.credited() == []
    assert counted("kopeck_processor_signatures_wrong_total", connection=f"{name}-demo") == before + 1


@pytest.mark.parametrize("name", SIGNED)
async def test_an_old_signature_pays_nothing_new(stage: Stage, name: str) -> None:
    driver = DRIVERS[name]
    sent = driver.pay("77001", OPEN)
    async with open_doors(stage, driver.connection()) as door:
        assert (await ask(door, driver, sent)).kind == "done"
        assert (await ask(door, driver, sent)).kind == "done", "the same request again is a repeat"
        answer = await ask(door, driver, _tampered(sent, "77001", "77002"))
    assert answer.code == driver.codes["signature"]
    assert len(stage.credited()) == 1


def _tampered(sent: Sent, old: str, new: str) -> Sent:
    assert old in unquote(sent.target) + (sent.body or b"").decode()
    body = sent.body.replace(old.encode(), new.encode()) if sent.body is not None else None
    return sent._replace(target=sent.target.replace(old, new), body=body)


async def test_head_pays_nothing(stage: Stage, door: Client, driver: Driver) -> None:
    sent = driver.pay("7", OPEN)
    assert (await send(door, sent._replace(method="HEAD", body=None)))[0] == 405
    assert stage.credited() == []
