"""A region that never was: houses, accounts, providers, three months of charges, believable payers. For demos and load.

Everything follows from the seed and the month, so two runs make the same region; no real person or address is meant.
Debts are spread as they are in life: most owe the last bill only, some a month or two more, a few have stopped paying,
some have paid ahead.
"""

import datetime
import random
from collections.abc import Iterator
from typing import NamedTuple

from engine.calendar import due_date, next_period
from engine.charge import Kind
from engine.commands import AcceptPayment, AnyCommand, ChargeLine, Earmark, OpenAccount, PostCharges, fingerprint
from engine.ids import AccountId, Period, ProviderId, ServiceCode, SourceId, TxnId
from engine.policy import PolicyCode, SplitPolicy

AGREEMENT = "main"
BILLING = SourceId("billing")
HISTORY = SourceId("history")
_CAPITAL_REPAIR = ServiceCode("KAPREM")
_FLATS_PER_HOUSE = 96
_MONTHS = 3

SERVICES = {
    "HEAT": "Отопление",
    "HOT_WATER": "Горячее водоснабжение",
    "COLD_WATER": "Холодное водоснабжение",
    "SEWERAGE": "Водоотведение",
    "MAINTENANCE": "Содержание жилого помещения",
    "WASTE": "Обращение с ТКО",
    "ELECTRICITY": "Электроснабжение",
    "GAS": "Газоснабжение",
    "KAPREM": "Взнос на капитальный ремонт",
}
PROVIDERS = {
    "P01": "АО «Заречные тепловые сети»",
    "P02": "МУП «Заречныйводоканал»",
    "P04": "ООО «Чистый край», региональный оператор",
    "P05": "АО «Заречэнергосбыт»",
    "P06": "ООО «Межрайгаз Заречный»",
    "P09": "Фонд капитального ремонта Заречной области",
    "P11": "ООО «УК Уютный двор»",
    "P12": "ООО «УК Домовой»",
    "P13": "ТСЖ «Берёзовая роща»",
}
_STREETS = ("Садовая", "Заводская", "Лесная", "Речная", "Школьная", "Молодёжная", "Полевая", "Озёрная", "Кедровая")
_SURNAMES = ("Ёлкин", "Сосновский", "Берёзкин", "Дубравин", "Кленов", "Рябинин", "Осинин", "Ольхов", "Вербин", "Липов")
_GIVEN = ("Пётр", "Семён", "Иван", "Матвей", "Лев", "Артём", "Глеб", "Фёдор", "Юрий", "Олег")
_PATRONYMICS = ("Иванович", "Петрович", "Семёнович", "Львович", "Фёдорович", "Олегович", "Глебович", "Юрьевич")


class Tariffs(NamedTuple):
    """Kopecks a unit, by service, and how many units: per square metre (in hundredths) or per resident."""

    per_area: dict[str, int]
    per_person: dict[str, int]


TARIFFS = Tariffs(
    {"HEAT": 3_912, "MAINTENANCE": 3_140, "KAPREM": 1_270},
    {
        "HOT_WATER": 61_480,
        "COLD_WATER": 21_350,
        "SEWERAGE": 24_790,
        "WASTE": 11_860,
        "ELECTRICITY": 52_040,
        "GAS": 9_310,
    },
)


class Flat(NamedTuple):
    """One account and who lives there."""

    account: AccountId
    house: int
    flat: int
    holder: str
    area_dm2: int
    residents: int
    services: tuple[tuple[ServiceCode, ProviderId], ...]


def policy(since: datetime.date) -> SplitPolicy:
    """The region's splitting policy: the bill's own period first, then the oldest; capital repair apart."""
    return SplitPolicy(
        agreement=AGREEMENT,
        code=PolicyCode.CURRENT_FIRST,
        version=1,
        valid_from=since,
        segregated_services=frozenset({_CAPITAL_REPAIR}),
    )


def house_address(house: int) -> str:
    """The address of a house."""
    street = _STREETS[house % len(_STREETS)]
    return f"Заречная область, г. Заречный, ул. {street}, д. {house // len(_STREETS) + 1}"


def houses(accounts: int) -> range:
    """Numbers of the houses that this many accounts live in."""
    return range((accounts + _FLATS_PER_HOUSE - 1) // _FLATS_PER_HOUSE)


def flat(seed: int, index: int) -> Flat:
    """The `index`-th account of the region of a seed."""
    chance = random.Random(f"{seed}/{index}")
    house = index // _FLATS_PER_HOUSE
    manager = ("P11", "P12", "P13")[house % 3]
    given = [("HEAT", "P01"), ("HOT_WATER", "P01"), ("COLD_WATER", "P02"), ("SEWERAGE", "P02")]
    given += [("MAINTENANCE", manager), ("WASTE", "P04")]
    given += [("ELECTRICITY", "P05")] if house % 4 else []
    given += [("GAS", "P06")] if house % 5 == 0 else []
    given += [("KAPREM", "P09")] if house % 4 == 1 else []
    holder = f"{chance.choice(_SURNAMES)} {chance.choice(_GIVEN)} {chance.choice(_PATRONYMICS)}"
    return Flat(
        AccountId(f"{seed % 90 + 10}{index:08d}"),
        house,
        index % _FLATS_PER_HOUSE + 1,
        holder,
        chance.randrange(2_800, 9_600),
        chance.choice((1, 1, 2, 2, 2, 3, 3, 4, 5)),
        tuple((ServiceCode(service), ProviderId(provider)) for service, provider in given),
    )


def months(last: Period) -> list[Period]:
    """The charged months, oldest first, ending with `last`."""
    year, month = divmod(last, 100)
    first = Period((year - 1) * 100 + month + 12 - _MONTHS + 1 if month < _MONTHS else last - _MONTHS + 1)
    found = [first]
    while found[-1] != last:
        found.append(next_period(found[-1]))
    return found


def life_of(seed: int, index: int, last: Period, now_us: int) -> Iterator[AnyCommand]:
    """All that happened to one account: opened, charged month by month, paid as its people pay."""
    home = flat(seed, index)
    chance = random.Random(f"{seed}/{index}/money")
    account = home.account
    yield OpenAccount(
        source=BILLING,
        txn_id=TxnId(f"open-{account}"),
        request_hash=fingerprint(account),
        account=account,
        accepted_at_us=now_us,
        agreement=AGREEMENT,
    )
    habit = chance.choices(("last_due", "clear", "ahead", "late", "stopped"), (52, 14, 8, 20, 6))[0]
    charged = months(last)
    for number, period in enumerate(charged):
        for bill in _bills(home, period, chance, now_us):
            yield bill
            paid = _paid(habit, number == len(charged) - 1, sum(line.kopecks for line in bill.lines), chance)
            if paid:
                yield _payment(bill, paid, now_us)
    if habit == "stopped":
        yield _penalties(home, charged[0], chance, now_us)


def _bills(home: Flat, period: Period, chance: random.Random, now_us: int) -> Iterator[PostCharges]:
    """The month's bill, and capital repair in a document of its own, as its law wants it."""
    lines = [
        ChargeLine(service, provider, charge(home, service, chance))
        for service, provider in home.services
        if service != _CAPITAL_REPAIR
    ]
    yield _bill(home, period, lines, "bill", now_us)
    for service, provider in home.services:
        if service == _CAPITAL_REPAIR:
            yield _bill(home, period, [ChargeLine(service, provider, charge(home, service, chance))], "kr", now_us)


def charge(home: Flat, service: ServiceCode, chance: random.Random) -> int:
    if service in TARIFFS.per_area:
        return TARIFFS.per_area[service] * home.area_dm2 // 100
    return TARIFFS.per_person[service] * home.residents * chance.randrange(70, 131) // 100


def _bill(home: Flat, period: Period, lines: list[ChargeLine], kind: str, now_us: int) -> PostCharges:
    document = f"{kind}-{period}-{home.account}"
    return PostCharges(
        source=BILLING,
        txn_id=TxnId(document),
        request_hash=fingerprint(document, *lines),
        account=home.account,
        accepted_at_us=now_us,
        period=period,
        lines=tuple(lines),
        document=document,
        due_on=due_date(period),
    )


def _paid(habit: str, is_last: bool, charged: int, chance: random.Random) -> int:
    """What a household of a habit pays towards a month's bill."""
    if habit == "ahead":
        return charged + chance.randrange(10_000, 200_000)
    if habit == "clear":
        return charged
    if habit == "stopped" or is_last:
        return 0
    return charged if habit == "last_due" else charged * chance.randrange(0, 101) // 100


def _payment(bill: PostCharges, kopecks: int, now_us: int) -> AcceptPayment:
    """Pay a bill; capital repair by its own document, hence with its own designation."""
    repair = bill.lines[0].service == _CAPITAL_REPAIR
    return AcceptPayment(
        source=HISTORY,
        txn_id=TxnId(f"paid-{bill.document}"),
        request_hash=fingerprint(bill.account, kopecks),
        account=bill.account,
        accepted_at_us=now_us,
        amount_kopecks=kopecks,
        channel="bank",
        doc_period=bill.period,
        earmark=Earmark(service=_CAPITAL_REPAIR) if repair else None,
    )


def _penalties(home: Flat, period: Period, chance: random.Random, now_us: int) -> PostCharges:
    lines = [
        ChargeLine(service, provider, chance.randrange(150, 9_000), Kind.PENALTY)
        for service, provider in home.services
        if chance.random() < 0.6 or service == "HEAT"
    ]
    return PostCharges(
        source=BILLING,
        txn_id=TxnId(f"penalty-{period}-{home.account}"),
        request_hash=fingerprint(period, *lines),
        account=home.account,
        accepted_at_us=now_us,
        period=period,
        lines=tuple(lines),
    )
