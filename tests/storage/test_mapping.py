"""The life of a mapping in a real Postgres: proposed, decided once, by two where money follows; the past stays."""

import asyncio
import datetime
from collections.abc import Coroutine, Sequence
from typing import Any, NamedTuple, TypeVar

import asyncpg
import msgspec
import pytest

from engine.ids import ProviderId, ServiceCode
from engine.master import Provider, ProviderStatus, Record, Service
from engine.requisites import inn_of
from intake.matching import Kind, Method
from storage import mapping, mapping_decisions, master
from storage.embedded import EmbeddedPostgres
from storage.mapping import FROM_THE_BEGINNING, CodeMap, Mapping, Status
from storage.mapping_decisions import Refusal
from storage.master import Change
from tests.databases import new_database, prepare
from tests.engine.test_master import HOUSE, PROVIDER, SERVICE

T = TypeVar("T")
TODAY = datetime.date(2026, 11, 25)
YESTERDAY = TODAY - datetime.timedelta(days=1)
TEPLO, VODA, GONE, LEAVING = (inn_of(f"77070838{n}") for n in range(1, 5))
ANNA, BORIS = Change("anna", "по письму № 1"), Change("boris", "проверено")


def run(work: Coroutine[Any, Any, T]) -> T:
    return asyncio.run(work)


class Region(NamedTuple):
    """A database with services, providers and a house, shared by these tests; each has a sender of its own."""

    database: str
    sender: str


@pytest.fixture(scope="module")
def shared_database(postgres: EmbeddedPostgres) -> str:
    database = new_database(postgres)
    kinds: list[list[Record]] = [
        [service("HEAT", "Отопление"), service("GAS", "Газоснабжение"), service("COLD_WATER", "Холодная вода")],
        [provider("P1", "АО «Тепло»", TEPLO), provider("P2", "МУП «Водоканал»", VODA)],
        [HOUSE],
    ]

    async def fill() -> None:
        await prepare(database)
        for records in kinds:
            await master.put(database, records, Change("seed", "test"))

    run(fill())
    return database


@pytest.fixture
def region(shared_database: str, request: pytest.FixtureRequest) -> Region:
    return Region(shared_database, request.node.name)


def service(code: str, name: str) -> Service:
    return msgspec.structs.replace(SERVICE, service=ServiceCode(code), name=name)


def provider(code: str, name: str, inn: str) -> Provider:
    return msgspec.structs.replace(PROVIDER, provider=ProviderId(code), name=name, inn=inn, ogrn="")


def propose(region: Region, kind: Kind, *codes: tuple[str, str], by: str = "import") -> int:
    return run(mapping.propose(*region, kind, codes, by))


def rows(region: Region, status: str = "") -> list[Mapping]:
    return run(mapping.list_mappings(*region, status))


def code_map(region: Region) -> CodeMap:
    return run(mapping.read_confirmed(*region))


def only(region: Region, status: str = "proposed") -> Mapping:
    (row,) = rows(region, status)
    return row


def confirm(region: Region, *numbers: int, by: Change = BORIS) -> dict[int, Refusal]:
    return run(mapping_decisions.confirm(region.database, numbers, by))


def reject(region: Region, *numbers: int, by: Change = BORIS) -> dict[int, Refusal]:
    return run(mapping_decisions.reject(region.database, numbers, by))


def replace(
    region: Region, number: int, master_id: str, since: datetime.date = TODAY, by: Change = ANNA
) -> int | Refusal:
    return run(mapping_decisions.replace(region.database, number, master_id, since, by))


def test_a_key_confirms_itself_and_a_name_waits(region: Region) -> None:
    assert propose(region, Kind.PROVIDER, (TEPLO, ""), ("7", "МУП Водоканал"), ("8", "Неизвестно")) == 3
    codes = code_map(region)
    assert codes.provider(TEPLO, TODAY) == "P1"
    assert codes.provider("7", TODAY) is None
    assert codes.provider("8", TODAY) is None
    found = {row.code: row for row in rows(region)}
    assert (found[TEPLO].status, found[TEPLO].decided_by) == (Status.CONFIRMED, "auto")
    assert (found["7"].status, found["7"].master_id, found["7"].method) == (Status.PROPOSED, "P2", Method.NAME_EXACT)
    assert (found["8"].status, found["8"].master_id, found["8"].method) == (Status.PROPOSED, None, Method.NONE)


def test_proposing_again_adds_nothing(region: Region) -> None:
    codes = (("HEAT", "Отопление"), ("02", "Газ"), ("02", "Газ природный"))
    assert propose(region, Kind.SERVICE, *codes) == 2
    before = rows(region)
    assert propose(region, Kind.SERVICE, *codes) == 0
    assert propose(region, Kind.SERVICE) == 0
    assert rows(region) == before


def test_two_imports_that_propose_at_once_add_each_code_once(region: Region) -> None:
    async def several() -> list[int]:
        codes = [(f"{n:02d}", f"Услуга {n}") for n in range(20)]
        return await asyncio.gather(*(mapping.propose(*region, "service", codes, f"i{n}") for n in range(4)))

    assert sum(run(several())) == 20
    assert len(rows(region)) == 20


def test_codes_of_kinds_and_senders_do_not_mix(region: Region) -> None:
    propose(region, Kind.SERVICE, ("HEAT", ""))
    run(mapping.propose(region.database, f"{region.sender}/beta", "service", [("HEAT", "Интернет")], "import"))
    assert code_map(region).provider("HEAT", TODAY) is None
    assert code_map(region).service("HEAT", TODAY) == "HEAT"
    assert run(mapping.read_confirmed(region.database, f"{region.sender}/beta")).service("HEAT", TODAY) is None


def test_a_person_confirms_what_a_name_suggests(region: Region) -> None:
    propose(region, Kind.PROVIDER, ("7", "МУП Водоканал"))
    assert confirm(region, only(region).mapping) == {}
    row = only(region, "confirmed")
    assert (row.decided_by, row.reason, row.valid_from, row.valid_to) == (
        "boris",
        "проверено",
        FROM_THE_BEGINNING,
        None,
    )
    assert code_map(region).provider("7", datetime.date(2000, 1, 1)) == "P2"


def test_houses_have_numbers(region: Region) -> None:
    propose(region, Kind.HOUSE, ("17", HOUSE.guid))
    assert code_map(region).house("17", TODAY) == 1


def test_what_nobody_suggested_cannot_be_confirmed(region: Region) -> None:
    propose(region, Kind.SERVICE, ("99", "Неизвестно"))
    number = only(region).mapping
    assert confirm(region, number) == {number: Refusal.UNLIKE_ANYTHING}
    assert reject(region, number) == {number: Refusal.UNLIKE_ANYTHING}


@pytest.mark.parametrize("who", ["anna", "ANNA", " anna ", "Anna\u00a0"])
def test_who_proposed_a_provider_does_not_confirm_it(region: Region, who: str) -> None:
    propose(region, Kind.PROVIDER, ("7", "МУП Водоканал"), by="anna")
    number = only(region).mapping
    assert confirm(region, number, by=Change(who, "сама")) == {number: Refusal.SAME_PERSON}
    assert code_map(region).provider("7", TODAY) is None
    assert confirm(region, number) == {}


def test_one_person_is_enough_for_a_service(region: Region) -> None:
    propose(region, Kind.SERVICE, ("03", "Отопление"), by="anna")
    assert confirm(region, only(region).mapping, by=ANNA) == {}


def test_a_decision_has_a_person_and_a_reason(region: Region) -> None:
    propose(region, Kind.SERVICE, ("03", "Отопление"))
    number = only(region).mapping
    for nobody in (Change("", "x"), Change("  ", "x"), Change("Auto", "x"), Change("anna", " ")):
        assert confirm(region, number, by=nobody) == {number: Refusal.NAMELESS}
        assert reject(region, number, by=nobody) == {number: Refusal.NAMELESS}
        assert replace(region, number, "GAS", by=nobody) is Refusal.NAMELESS


def test_a_list_is_confirmed_whole_or_not_at_all(region: Region) -> None:
    propose(region, Kind.SERVICE, ("03", "Отопление"), ("04", "Газоснабжение"), ("05", "Неизвестно"))
    good, better, unlike = (row.mapping for row in rows(region))
    assert confirm(region, good, unlike, better, 10**6) == {unlike: Refusal.UNLIKE_ANYTHING, 10**6: Refusal.UNKNOWN}
    assert rows(region, "confirmed") == []
    assert confirm(region, good, better) == {}
    assert len(rows(region, "confirmed")) == 2


def test_of_two_who_decide_at_once_one_hears_that_it_is_decided(region: Region) -> None:
    propose(region, Kind.PROVIDER, ("7", "МУП Водоканал"))
    number = only(region).mapping

    async def both() -> list[dict[int, Refusal]]:
        decide = [
            mapping_decisions.confirm(region.database, [number], Change(f"person {n}", "at once")) for n in range(4)
        ]
        return await asyncio.gather(*decide, mapping_decisions.reject(region.database, [number], Change("other", "no")))

    refused = run(both())
    assert sorted(map(len, refused)) == [0, 1, 1, 1, 1]
    assert {reason for each in refused for reason in each.values()} == {Refusal.DECIDED}
    assert len([row for row in rows(region) if row.mapping == number and row.status != "proposed"]) == 1


def test_a_rejected_suggestion_leaves_the_code_waiting_and_does_not_return(region: Region) -> None:
    propose(region, Kind.PROVIDER, ("7", "МУП Водоканал"))
    assert reject(region, only(region).mapping) == {}
    waiting = only(region)
    assert (waiting.code, waiting.master_id, waiting.proposed_by) == ("7", None, "import")
    assert run(mapping.suggest_again(*region, "anna")) == 0
    assert only(region) == waiting
    assert propose(region, Kind.PROVIDER, ("7", "МУП Водоканал")) == 0


def test_what_the_master_data_learn_later_is_suggested_then(region: Region) -> None:
    propose(region, Kind.SERVICE, ("WASTE", "Вывоз ТКО"), ("09", "Обращение с ТКО"))
    run(master.put(region.database, [service("WASTE", "Обращение с ТКО")], BORIS))
    assert run(mapping.suggest_again(*region, "anna")) == 2
    found = {row.code: row for row in rows(region) if row.status is not Status.SUPERSEDED}
    assert (found["09"].status, found["09"].master_id, found["09"].proposed_by) == ("proposed", "WASTE", "import")
    assert run(mapping.suggest_again(*region, "anna")) == 0


def test_a_changed_mapping_is_a_new_row_and_the_past_keeps_the_old_one(region: Region) -> None:
    propose(region, Kind.SERVICE, ("HEAT", ""))
    old = only(region, "confirmed")
    new = replace(region, old.mapping, "GAS")
    codes = code_map(region)
    assert codes.service("HEAT", YESTERDAY) == "HEAT"
    assert codes.service("HEAT", TODAY) == "GAS"
    ended = only(region, "superseded")
    assert (ended.mapping, ended.master_id, ended.valid_to) == (old.mapping, "HEAT", YESTERDAY)
    current = only(region, "confirmed")
    assert (current.mapping, current.method, current.decided_by) == (new, Method.MANUAL, "anna")


def test_a_slip_is_replaced_from_its_own_first_day(region: Region) -> None:
    propose(region, Kind.SERVICE, ("HEAT", ""))
    slip = only(region, "confirmed")
    for master_id in ("GAS", "COLD_WATER"):
        assert isinstance(replace(region, slip.mapping, master_id, FROM_THE_BEGINNING), int)
        assert code_map(region).service("HEAT", FROM_THE_BEGINNING) == master_id
        assert code_map(region).service("HEAT", TODAY) == master_id
    assert len(rows(region, "superseded")) == 2


def test_another_meaning_of_a_provider_waits_for_a_second_person(region: Region) -> None:
    propose(region, Kind.PROVIDER, (TEPLO, ""))
    number = replace(region, only(region, "confirmed").mapping, "P2")
    assert isinstance(number, int)
    assert code_map(region).provider(TEPLO, TODAY) == "P1"
    assert confirm(region, number, by=ANNA) == {number: Refusal.SAME_PERSON}
    assert confirm(region, number, by=BORIS) == {}
    assert code_map(region).provider(TEPLO, YESTERDAY) == "P1"
    assert code_map(region).provider(TEPLO, TODAY) == "P2"


def test_a_refused_replacement_leaves_what_is_confirmed(region: Region) -> None:
    propose(region, Kind.PROVIDER, (TEPLO, ""))
    number = replace(region, only(region, "confirmed").mapping, "P2")
    assert isinstance(number, int)
    assert reject(region, number) == {}
    assert rows(region, "proposed") == []
    assert code_map(region).provider(TEPLO, TODAY) == "P1"


def test_a_person_names_what_nothing_suggested(region: Region) -> None:
    propose(region, Kind.SERVICE, ("77", "Голубое топливо"))
    assert isinstance(replace(region, only(region).mapping, "GAS"), int)
    assert code_map(region).service("77", datetime.date(2001, 1, 1)) == "GAS"
    assert rows(region, "proposed") == []


def test_a_second_replacement_takes_the_place_of_the_first_that_waits(region: Region) -> None:
    propose(region, Kind.PROVIDER, ("7", "Неизвестно"))
    first = replace(region, only(region).mapping, "P1")
    assert isinstance(first, int)
    second = replace(region, first, "P2", by=BORIS)
    assert only(region).mapping == second
    assert confirm(region, first, by=Change("vera", "ok")) == {first: Refusal.DECIDED}


def test_what_makes_no_sense_is_refused(region: Region) -> None:
    propose(region, Kind.SERVICE, ("HEAT", ""))
    number = only(region, "confirmed").mapping
    assert replace(region, number, "NOTHING") is Refusal.UNKNOWN_MEANING
    assert replace(region, number, "HEAT") is Refusal.SAME_MEANING
    assert replace(region, number, "GAS", datetime.date(1999, 12, 31)) is Refusal.TOO_EARLY
    assert replace(region, 10**6, "GAS") is Refusal.UNKNOWN
    assert confirm(region, number) == {number: Refusal.DECIDED}


def test_a_closed_provider_gets_no_new_meaning(region: Region) -> None:
    gone = msgspec.structs.replace(provider("P3", "АО «Ушло»", GONE), status=ProviderStatus.CLOSED)
    run(master.put(region.database, [gone], BORIS))
    propose(region, Kind.PROVIDER, (GONE, ""))
    assert code_map(region).provider(GONE, TODAY) is None
    assert replace(region, only(region).mapping, "P3") is Refusal.UNKNOWN_MEANING


def test_a_provider_that_closed_after_it_was_proposed_is_not_confirmed(region: Region) -> None:
    leaving = provider("P4", "АО «Уходящее»", LEAVING)
    run(master.put(region.database, [leaving], BORIS))
    propose(region, Kind.PROVIDER, ("7", "АО Уходящее"))
    run(master.put(region.database, [msgspec.structs.replace(leaving, status=ProviderStatus.CLOSED)], BORIS))
    number = only(region).mapping
    assert confirm(region, number) == {number: Refusal.UNKNOWN_MEANING}


def test_what_waits_is_counted(region: Region) -> None:
    propose(region, Kind.SERVICE, ("HEAT", ""), ("03", "Отопление"), ("04", "Неизвестно"))
    propose(region, Kind.PROVIDER, ("8", "Неизвестно"))
    counted = [
        (w.kind, w.codes, w.unlike_anything)
        for w in run(mapping.count_waiting(region.database))
        if w.source == region.sender
    ]
    assert counted == [(Kind.PROVIDER, 1, 1), (Kind.SERVICE, 2, 1)]


def test_every_step_leaves_its_history(region: Region) -> None:
    propose(region, Kind.PROVIDER, ("7", "МУП Водоканал"))
    number = only(region).mapping
    confirm(region, number)
    steps = run(master.history(region.database, "mappings", str(number)))
    assert [(step.who, step.after["status"]) for step in steps] == [("import", "proposed"), ("boris", "confirmed")]


def execute(database: str, statement: str) -> None:
    async def work() -> None:
        connection = await asyncpg.connect(database)
        try:
            await connection.execute(
                "SELECT set_config('kopeck.who', 'x', false), set_config('kopeck.why', 'x', false)"
            )
            await connection.execute(statement)
        finally:
            await connection.close()

    run(work())


REFUSALS = r"decided once|never edited|providers_need|only_keys|by_somebody"
REFUSED = [
    "UPDATE mappings SET master_id = 'P1' WHERE code = '7' AND source = '{sender}'",
    "UPDATE mappings SET valid_from = '2026-01-01' WHERE code = '7' AND source = '{sender}'",
    "UPDATE mappings SET proposed_by = 'somebody' WHERE code = '7' AND source = '{sender}'",
    "UPDATE mappings SET status = 'confirmed', decided_by = 'anna' WHERE code = '7' AND source = '{sender}'",
    "UPDATE mappings SET status = 'confirmed', decided_by = ' Anna ' WHERE code = '7' AND source = '{sender}'",
    "UPDATE mappings SET status = 'confirmed', decided_by = 'auto' WHERE code = '7' AND source = '{sender}'",
    "UPDATE mappings SET status = 'confirmed' WHERE code = '7' AND source = '{sender}'",
    "UPDATE mappings SET status = 'confirmed', decided_by = 'boris' WHERE code = '8' AND source = '{sender}'",
    f"UPDATE mappings SET status = 'proposed' WHERE code = '{TEPLO}' AND source = '{{sender}}'",
    f"UPDATE mappings SET status = 'rejected' WHERE code = '{TEPLO}' AND source = '{{sender}}'",
    f"UPDATE mappings SET reason = 'another' WHERE code = '{TEPLO}' AND source = '{{sender}}'",
    "DELETE FROM mappings",
    "TRUNCATE mappings",
]


def test_the_database_itself_refuses_to_edit_decisions(region: Region) -> None:
    propose(region, Kind.PROVIDER, (TEPLO, ""), ("7", "МУП Водоканал"), ("8", "Неизвестно"), by="anna")
    before = rows(region)
    for statement in REFUSED:
        with pytest.raises(asyncpg.PostgresError, match=REFUSALS):
            execute(region.database, statement.format(sender=region.sender))
    assert rows(region) == before


def test_many_codes_are_matched_in_a_moment(region: Region) -> None:
    houses: list[Record] = [
        msgspec.structs.replace(HOUSE, house=n, address=f"ул. Садовая, д. {n}", guid="", cadastral_number="")
        for n in range(2, 3_000)
    ]
    run(master.put(region.database, houses, BORIS))
    codes: Sequence[tuple[str, str]] = [(str(n), f"Заречный г, Садовая ул, дом {n}") for n in range(2, 1_000)]
    assert propose(region, Kind.HOUSE, *codes) == 998
    assert all(row.master_id == row.code for row in rows(region))
