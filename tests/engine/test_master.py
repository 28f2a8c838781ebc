"""Master data: what is wrong with a record, what is in force on a day, and how an installation's rows join ours."""

import datetime
from decimal import Decimal
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.calendar import KNOWN, due_date, is_working_day
from engine.ids import Period, ProviderId, ServiceCode
from engine.master import (
    KEYS,
    KINDS,
    AccountPurpose,
    BankAccount,
    Contract,
    House,
    KeyRateRow,
    MoratoriumRow,
    Provider,
    ProviderRole,
    ProviderStatus,
    RateCapRow,
    Record,
    Service,
    ServiceGroup,
    Tariff,
    in_force,
    key_of,
)
from engine.master_checks import faults
from engine.penalty import MoratoriumScope, Regime
from engine.policy import Commission, CommissionMode
from engine.rates import TERMS, cap_ends_within, terms_with

JANUARY = datetime.date(2026, 1, 1)
JULY = datetime.date(2026, 7, 1)
DAY = datetime.timedelta(days=1)

SERVICE = Service(
    service=ServiceCode("HEAT"),
    name="Отопление",
    unit="Гкал",
    okei="233",
    service_group=ServiceGroup.COMMUNAL,
    is_segregated=False,
    is_restrictable=False,
    parent=ServiceCode(""),
)
PROVIDER = Provider(
    provider=ProviderId("P01"),
    name="АО «Тепло»",
    inn="7707083893",
    kpp="770701001",
    ogrn="1027700132195",
    status=ProviderStatus.ACTIVE,
    roles=(ProviderRole.SUPPLIER,),
)
ACCOUNT = BankAccount(
    provider=ProviderId("P01"),
    bic="044525225",
    account="40702810138250123017",
    valid_from=JANUARY,
    valid_to=None,
    purpose=AccountPurpose.SETTLEMENT,
    bank="ПАО Банк",
    corr_account="30101810400000000225",
    is_void=False,
)
CONTRACT = Contract(
    contract="K-1",
    provider=ProviderId("P01"),
    operator="ООО РЦ",
    number="15/2026",
    signed_on=JANUARY,
    valid_from=JANUARY,
    valid_to=None,
    agreement="main",
    commission_mode=CommissionMode.WITHHELD,
    commission_rate_bp=150,
    commission_min_kopecks=0,
    commission_max_kopecks=None,
    is_void=False,
)
HOUSE = House(
    house=1,
    address="г. Заречный, ул. Садовая, д. 1",
    guid="0c5b2444-70a0-4932-980c-b4dc0d3f02b5",
    oktmo="45382000",
    postal_code="440000",
    cadastral_number="77:01:0001001:1514",
)
TARIFF = Tariff(
    service=ServiceCode("HEAT"),
    provider=ProviderId("P01"),
    territory="45382000",
    category="population",
    valid_from=JANUARY,
    valid_to=None,
    value=Decimal("2450.18333"),
    unit="Гкал",
    act="приказ № 1",
    is_void=False,
)
RATE = KeyRateRow(since=datetime.date(2026, 11, 2), rate_percent=Decimal("14.75"), act="Банк России", is_void=False)
CAP = RateCapRow(
    since=datetime.date(2027, 1, 1),
    until=datetime.date(2027, 12, 31),
    rate_percent=Decimal("9.5"),
    act="ПП РФ",
    is_void=False,
)
MORATORIUM = MoratoriumRow(
    since=datetime.date(2026, 5, 1),
    territory="45382000",
    until=datetime.date(2026, 6, 1),
    scope=MoratoriumScope.ALL,
    regimes=(Regime.HOUSING,),
    act="указ",
    is_void=False,
)
SOUND: list[Record] = [SERVICE, PROVIDER, ACCOUNT, CONTRACT, HOUSE, TARIFF, RATE, CAP, MORATORIUM]


def changed(record: Record, **fields: Any) -> Record:
    return msgspec.structs.replace(record, **fields)


@pytest.mark.parametrize("record", SOUND, ids=lambda record: type(record).__name__)
def test_nothing_is_wrong_with_a_sound_record(record: Record) -> None:
    assert faults(record) == []


ENTREPRENEUR = {"inn": "500100732259", "kpp": "", "ogrn": "304620000000011"}
FAULTY: list[tuple[Record, str]] = [
    (changed(SERVICE, service=ServiceCode("heat")), "service 'heat' is not one"),
    (changed(SERVICE, name=""), "name is empty"),
    (changed(SERVICE, name="Отоп\u200bление"), "name has blanks around it or characters that cannot be seen"),
    (changed(SERVICE, name="Отопление "), "name has blanks around it or characters that cannot be seen"),
    (changed(SERVICE, name="О" * 501), "name is longer than 500 characters"),
    (changed(SERVICE, okei="Гкал"), "okei 'Гкал' is not one"),
    (changed(SERVICE, parent=ServiceCode("HEAT")), "a service is not its own parent"),
    (changed(PROVIDER, provider=ProviderId("П01")), "provider 'П01' is not one"),
    (changed(PROVIDER, inn="7707083894"), "inn '7707083894' is not one"),
    (changed(PROVIDER, kpp=""), "an organisation has a kpp"),
    (changed(PROVIDER, kpp="77070100"), "kpp '77070100' is not one"),
    (changed(PROVIDER, **ENTREPRENEUR | {"kpp": "770701001"}), "an entrepreneur has no kpp"),
    (changed(PROVIDER, ogrn="304620000000011"), "ogrn '304620000000011' is not one of such a provider"),
    (changed(PROVIDER, roles=(ProviderRole.MANAGER,) * 2), "a role is named twice"),
    (changed(ACCOUNT, bic="144525225"), "bic '144525225' is not one"),
    (changed(ACCOUNT, account="40702810238250123017"), "account has a wrong form or key for this bic"),
    (changed(ACCOUNT, corr_account="30101810400000000226"), "corr_account has a wrong form or key for this bic"),
    (changed(ACCOUNT, valid_to=JANUARY - DAY), "valid_to is before valid_from"),
    (changed(CONTRACT, number=""), "number is empty"),
    (
        changed(CONTRACT, commission_rate_bp=10_001),
        "commission_rate_bp is 0 to 10000 hundredths of a percent",
    ),
    (
        changed(CONTRACT, commission_min_kopecks=2, commission_max_kopecks=1),
        "commission_min_kopecks and commission_max_kopecks are no range",
    ),
    (changed(CONTRACT, commission_mode=None), "a commission without commission_mode"),
    (changed(HOUSE, guid="0c5b2444"), "guid '0c5b2444' is not one"),
    (changed(HOUSE, oktmo="4538200"), "oktmo '4538200' is not one"),
    (changed(HOUSE, postal_code="44000"), "postal_code '44000' is not one"),
    (changed(HOUSE, cadastral_number="77:01"), "cadastral_number '77:01' is not one"),
    (changed(HOUSE, house=-1), "house is a number from 0"),
    (changed(TARIFF, value=Decimal(-1)), "value is negative"),
    (changed(TARIFF, territory="Москва"), "territory 'Москва' is not an oktmo"),
    (changed(TARIFF, act=""), "act is empty"),
    (changed(RATE, rate_percent=Decimal("14.755")), "rate_percent has at most two decimals"),
    (changed(RATE, rate_percent=Decimal(101)), "rate_percent is 0 to 100"),
    (changed(CAP, until=datetime.date(2026, 1, 1)), "until is before since"),
]


@pytest.mark.parametrize(("record", "fault"), FAULTY, ids=lambda value: value if isinstance(value, str) else "")
def test_one_thing_wrong_is_told_as_that_thing(record: Record, fault: str) -> None:
    assert faults(record) == [fault]


def test_an_entrepreneur_has_no_kpp_and_longer_numbers() -> None:
    assert faults(changed(PROVIDER, **ENTREPRENEUR)) == []


def test_every_kind_has_its_key() -> None:
    assert set(KEYS) == set(KINDS.values())
    assert all(set(KEYS[record]) <= set(record.__struct_fields__) for record in KINDS.values())
    assert key_of(TARIFF) == "HEAT/P01/45382000/population/2026-01-01"


def test_a_contract_without_a_fee_leaves_the_agreements() -> None:
    assert CONTRACT.commission == Commission(mode=CommissionMode.WITHHELD, rate_bp=150)
    assert msgspec.structs.replace(CONTRACT, commission_mode=None).commission is None


def tariff(value: str, since: datetime.date, until: datetime.date | None = None, *, is_void: bool = False) -> Tariff:
    return msgspec.structs.replace(TARIFF, value=Decimal(value), valid_from=since, valid_to=until, is_void=is_void)


ROWS = [tariff("1", JANUARY, JULY + 30 * DAY), tariff("2", JULY), tariff("9", JULY + DAY, is_void=True)]
DATED = [
    (JANUARY - DAY, None),
    (JANUARY, "1"),
    (JULY - DAY, "1"),
    (JULY, "2"),
    (JULY + DAY, "2"),
    (JULY + 3650 * DAY, "2"),
]


@pytest.mark.parametrize(("on", "value"), DATED)
def test_the_newest_row_that_has_begun_and_not_ended_is_in_force(on: datetime.date, value: str | None) -> None:
    found = in_force(ROWS, on)
    assert (found.value if found else None) == (Decimal(value) if value else None)


def test_after_the_last_day_nothing_is_in_force() -> None:
    only = [tariff("1", JANUARY, JULY)]
    assert in_force(only, JULY) is not None
    assert in_force(only, JULY + DAY) is None


@given(st.permutations(ROWS), st.dates(JANUARY, JULY + 60 * DAY))
def test_the_order_of_rows_does_not_matter(rows: list[Tariff], on: datetime.date) -> None:
    assert in_force(rows, on) == in_force(ROWS, on)


def test_without_rows_of_its_own_an_installation_has_our_terms() -> None:
    assert terms_with([], [], []) == TERMS


def test_an_installations_rows_come_on_top_of_ours() -> None:
    terms = terms_with([RATE], [CAP], [MORATORIUM])
    assert terms.key_rates == (*TERMS.key_rates, RATE.rule)
    assert terms.caps == (*TERMS.caps, CAP.rule)
    assert terms.moratoria == (*TERMS.moratoria, MORATORIUM.rule)
    assert RATE.rule.rate_bp == 1475


def test_a_row_of_the_same_day_replaces_ours_and_a_void_one_removes_it() -> None:
    ours = TERMS.key_rates[-1]
    corrected = msgspec.structs.replace(RATE, since=ours.since)
    assert terms_with([corrected], [], []).key_rates == (*TERMS.key_rates[:-1], corrected.rule)
    void = msgspec.structs.replace(corrected, is_void=True)
    assert terms_with([void], [], []).key_rates == TERMS.key_rates[:-1]


def test_a_regional_moratorium_does_not_replace_the_national_one_of_that_day() -> None:
    national = TERMS.moratoria[0]
    regional = msgspec.structs.replace(MORATORIUM, since=national.since)
    assert terms_with([], [], [regional]).moratoria == (national, regional.rule, *TERMS.moratoria[1:])


def test_a_cap_that_ends_within_sixty_days_is_told() -> None:
    last = datetime.date(2026, 12, 31)
    assert cap_ends_within(60, last - 60 * DAY)
    assert not cap_ends_within(60, last - 61 * DAY)
    assert not cap_ends_within(60, last, terms_with([], [CAP], []))


def test_a_decree_moves_days_off_and_due_dates_with_them() -> None:
    fifteenth = datetime.date(2027, 3, 15)
    moved = KNOWN.with_days({fifteenth: False, datetime.date(2027, 3, 20): True})
    assert is_working_day(fifteenth)
    assert not is_working_day(fifteenth, moved)
    assert is_working_day(datetime.date(2027, 3, 20), moved)
    assert due_date(Period(202702)) == fifteenth
    assert due_date(Period(202702), moved) == fifteenth + DAY


def test_a_day_of_ours_can_be_said_anew() -> None:
    ours = datetime.date(2024, 4, 27)
    assert is_working_day(ours)
    assert not is_working_day(ours, KNOWN.with_days({ours: False}))
