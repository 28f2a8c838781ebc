"""Master data in a real Postgres: every change leaves who and why, nobody edits that, and what is put is read back."""

import asyncio
import datetime
from collections.abc import Sequence
from decimal import Decimal

import asyncpg
import msgspec
import pytest

from cli import region, region_master
from engine.calendar import is_working_day
from engine.ids import ProviderId, ServiceCode
from engine.master import KINDS, CalendarDay, Norm, ProviderName, Record, Tariff, in_force, key_of
from engine.master_checks import faults
from engine.rates import TERMS
from intake.master_files import Known, read_records, review, write_records
from storage import master, rates, reference
from storage.errors import NotDone
from storage.master import Change, Put
from tests.engine.test_master import (
    ACCOUNT,
    CAP,
    CONTRACT,
    HOUSE,
    JANUARY,
    MORATORIUM,
    PROVIDER,
    RATE,
    SERVICE,
    TARIFF,
)

ANNA = Change("anna", "приказ № 1")
NORM = Norm(
    service=ServiceCode("HEAT"),
    territory="45382000",
    category="",
    valid_from=JANUARY,
    valid_to=None,
    value=Decimal("0.01880"),
    unit="Гкал/м²",
    act="приказ № 2",
    is_void=False,
)
NAME = ProviderName(
    provider=ProviderId("P01"), valid_from=JANUARY, valid_to=None, name="ОАО «Тепло; старое»", is_void=False
)
DAY_OFF = CalendarDay(day=datetime.date(2027, 3, 15), is_working=False, act="ПП РФ")
ONE_OF_EACH: list[Record] = [
    *(SERVICE, PROVIDER, NAME, ACCOUNT, CONTRACT, HOUSE),
    *(TARIFF, NORM, DAY_OFF, RATE, CAP, MORATORIUM),
]


def put(database: str, *records: Record, change: Change = ANNA) -> Put:
    return asyncio.run(master.put(database, records, change))


def put_each(database: str) -> None:
    for record in ONE_OF_EACH:
        put(database, record)


def execute(database: str, *statements: str) -> None:
    async def work() -> None:
        connection = await asyncpg.connect(database)
        try:
            for statement in statements:
                await connection.execute(statement)
        finally:
            await connection.close()

    asyncio.run(work())


def history(database: str, kind: str, record: Record) -> list[master.ChangeRow]:
    return asyncio.run(master.history(database, kind, key_of(record)))


def test_there_is_a_record_of_every_kind_here() -> None:
    assert [type(record) for record in ONE_OF_EACH] == list(KINDS.values())


def test_every_kind_comes_back_from_the_database_and_a_file_the_same(database: str) -> None:
    put_each(database)
    for kind, record in zip(KINDS, ONE_OF_EACH, strict=True):
        found: Sequence[Record] = asyncio.run(master.read(database, KINDS[kind]))
        assert list(found) == [record]
        content = write_records(kind, found)
        assert write_records(kind, [record]) == content
        assert read_records(kind, content).records == [record]
        assert put(database, *read_records(kind, content).records) == Put(unchanged=1)


def test_every_change_keeps_who_why_before_and_after(database: str) -> None:
    put(database, SERVICE)
    renamed = msgspec.structs.replace(SERVICE, name="Тепловая энергия")
    assert put(database, renamed, change=Change("boris", "письмо № 2")) == Put(changed=1)
    first, second = history(database, "services", SERVICE)
    assert (first.who, first.why, first.before) == ("anna", "приказ № 1", {})
    assert (second.who, second.why) == ("boris", "письмо № 2")
    assert (second.before["name"], second.after["name"]) == ("Отопление", "Тепловая энергия")
    assert first.after == second.before == msgspec.to_builtins(SERVICE)


def test_what_is_put_again_as_it_is_leaves_no_trace(database: str) -> None:
    put(database, SERVICE)
    assert put(database, SERVICE) == Put(unchanged=1)
    assert len(history(database, "services", SERVICE)) == 1


def test_a_record_of_several_keys_has_its_history_by_all_of_them(database: str) -> None:
    put_each(database)
    for kind, record in zip(KINDS, ONE_OF_EACH, strict=True):
        assert [row.who for row in history(database, kind, record)] == ["anna"], kind


AS_ANNA = "SELECT set_config('kopeck.who', 'anna', false), set_config('kopeck.why', 'so', false)"
REFUSED = [
    "UPDATE master_changes SET who = 'nobody'",
    "DELETE FROM master_changes",
    "TRUNCATE master_changes",
    "DELETE FROM services",
    "TRUNCATE services CASCADE",
    "DELETE FROM key_rates",
    "UPDATE services SET name = 'without a reason'",
    "INSERT INTO key_rates VALUES ('2027-01-01', 20, 'by hand', false)",
    f"{AS_ANNA}; UPDATE key_rates SET since = '2027-05-05'",
]


def test_the_database_itself_refuses_what_leaves_no_history(database: str) -> None:
    put_each(database)
    for statement in REFUSED:
        with pytest.raises(asyncpg.PostgresError, match=r"history is never edited|says who and why|key of key_rates"):
            execute(database, statement)


def test_a_change_without_a_person_or_a_reason_is_refused(database: str) -> None:
    for change in (Change("", "because"), Change("anna", "")):
        with pytest.raises(NotDone, match="says who and why"):
            put(database, SERVICE, change=change)
    assert asyncio.run(master.read(database, KINDS["services"])) == []


def test_one_bad_record_takes_the_whole_list_back(database: str) -> None:
    put(database, SERVICE)
    orphan = msgspec.structs.replace(TARIFF, provider=ProviderId("P77"))
    put(database, PROVIDER)
    with pytest.raises(NotDone):
        put(database, TARIFF, orphan)
    assert asyncio.run(master.read(database, Tariff)) == []
    assert history(database, "tariffs", TARIFF) == []


def test_two_who_put_the_same_at_once_leave_one_history(database: str) -> None:
    async def both() -> list[Put]:
        return await asyncio.gather(*(master.put(database, [SERVICE], Change(who, "at once")) for who in "abcd"))

    done = asyncio.run(both())
    assert sorted(put.added for put in done) == [0, 0, 0, 1]
    assert len(history(database, "services", SERVICE)) == 1


def test_a_tariff_is_found_by_its_day(database: str) -> None:
    july = msgspec.structs.replace(TARIFF, valid_from=datetime.date(2026, 7, 1), value=Decimal("2680.4969"))
    wrong = msgspec.structs.replace(july, valid_from=datetime.date(2026, 7, 2), value=Decimal(1), is_void=True)
    for record in (SERVICE, PROVIDER, TARIFF, july, wrong):
        put(database, record)
    rows = asyncio.run(master.read(database, Tariff))
    on = {day: in_force(rows, day) for day in (datetime.date(2026, 6, 30), datetime.date(2026, 7, 3))}
    assert [row.value for row in on.values() if row] == [Decimal("2450.18333"), Decimal("2680.4969")]


def test_the_databases_rates_come_on_top_of_ours(database: str) -> None:
    assert asyncio.run(rates.penalty_terms(database)) == TERMS
    for record in (RATE, CAP, MORATORIUM):
        put(database, record)
    terms = asyncio.run(rates.penalty_terms(database))
    assert terms.key_rates == (*TERMS.key_rates, RATE.rule)
    assert terms.caps == (*TERMS.caps, CAP.rule)
    assert terms.moratoria == (*TERMS.moratoria, MORATORIUM.rule)


def test_the_databases_days_come_on_top_of_our_calendar(database: str) -> None:
    put(database, DAY_OFF)
    assert not is_working_day(DAY_OFF.day, asyncio.run(rates.read_calendar(database)))
    assert is_working_day(DAY_OFF.day)


def test_the_demonstration_region_is_sound_and_put_once(database: str) -> None:
    async def twice() -> None:
        await reference.add_policy(database, region.policy(JANUARY))
        await region_master.put_master_data(database, 500)
        await region_master.put_master_data(database, 500)

    asyncio.run(twice())
    known = Known(frozenset(region.SERVICES), frozenset(region.PROVIDERS), frozenset({region.AGREEMENT}))
    for kind, record in KINDS.items():
        found = asyncio.run(master.read(database, record))
        assert [fault for row in found for fault in faults(row)] == []
        assert review(read_records(kind, write_records(kind, found)), [], known) == []
        assert all(len(history(database, kind, row)) == 1 for row in found[:3])


def test_a_policy_is_history_from_the_start(database: str) -> None:
    policy = region.policy(JANUARY)
    assert asyncio.run(reference.add_policies(database, [policy], ANNA)) == 1
    assert asyncio.run(reference.add_policies(database, [policy], Change("boris", "again"))) == 0
    changes = asyncio.run(master.history(database, "split_policies", f"{policy.agreement}/{policy.version}"))
    assert [change.who for change in changes] == ["anna"]
