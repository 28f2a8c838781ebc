"""What a code may mean: the order of keys, what confirms itself, and that names never do."""

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.ids import ProviderId, ServiceCode
from engine.master import House, Provider, ProviderName, ProviderStatus, Service
from engine.requisites import inn_of, ogrn_of
from intake.matching import NOTHING, Attributes, Kind, Master, Matcher, Method, Suggestion, attributes_of
from tests.engine.test_master import HOUSE, JANUARY, PROVIDER, SERVICE

TEPLO, VODA, BRANCHES, GONE = (inn_of(f"77070838{n}") for n in range(1, 5))
TEPLO_OGRN = ogrn_of("102770013219")
ENTREPRENEUR = "500100732259"
GUID = "0c5b2444-70a0-4932-980c-b4dc0d3f02b5"


def provider(code: str, name: str, inn: str, kpp: str = "770701001", ogrn: str = "") -> Provider:
    return msgspec.structs.replace(PROVIDER, provider=ProviderId(code), name=name, inn=inn, kpp=kpp, ogrn=ogrn)


def service(code: str, name: str) -> Service:
    return msgspec.structs.replace(SERVICE, service=ServiceCode(code), name=name)


def house(number: int, address: str, guid: str = "", cadastral: str = "") -> House:
    return msgspec.structs.replace(HOUSE, house=number, address=address, guid=guid, cadastral_number=cadastral)


MATCHER = Matcher(
    Master(
        services=[
            service("HEAT", "Отопление"),
            service("COLD_WATER", "Холодное водоснабжение"),
            service("HOT_WATER", "Горячее водоснабжение"),
        ],
        providers=[
            provider("P1", "АО «Заречные тепловые сети»", TEPLO, ogrn=TEPLO_OGRN),
            provider("P2", "МУП «Водоканал»", VODA),
            provider("P3", "ООО «Сбыт», Северный филиал", BRANCHES, "770702001"),
            provider("P4", "ООО «Сбыт», Южный филиал", BRANCHES, "770703001"),
            provider("P5", "ИП Ёлкин Пётр Семёнович", ENTREPRENEUR, ""),
            provider("P6", "ТСЖ «Берёзовая роща»", inn_of("770708385")),
            provider("P7", "ТСН «Березовая роща»", inn_of("770708386")),
            msgspec.structs.replace(provider("P8", "АО «Закрытое»", GONE), status=ProviderStatus.CLOSED),
        ],
        provider_names=[
            ProviderName(provider=ProviderId("P2"), valid_from=JANUARY, valid_to=None, name="Горводхоз", is_void=False),
            ProviderName(provider=ProviderId("P2"), valid_from=JANUARY, valid_to=None, name="Ошибка", is_void=True),
        ],
        houses=[
            house(1, "г. Заречный, ул. Садовая, д. 12", GUID, "77:01:0001001:1514"),
            house(2, "г. Заречный, ул. Садовая, д. 12, корп. 1"),
            house(3, "г. Заречный, пер. Садовый, д. 12"),
            house(4, "г. Каменка, ул. Лесная, д. 3"),
            house(5, "г. Заречный, ул. Лесная, д. 3"),
        ],
    )
)

KEY, SUM, SAME, LIKE, ADDRESS = (
    Method.EXACT_KEY,
    Method.CHECKSUM_KEY,
    Method.NAME_EXACT,
    Method.NAME_FUZZY,
    Method.ADDRESS_PARSE,
)
FOUND = [
    # our own code, unless the name beside it speaks of something else
    (Kind.SERVICE, "HEAT", "", Suggestion("HEAT", KEY, 100)),
    (Kind.SERVICE, "HEAT", "ОТОПЛЕНИЕ", Suggestion("HEAT", KEY, 100)),
    (Kind.SERVICE, "HEAT", "Вывоз мусора", Suggestion("HEAT", KEY, 90)),
    (Kind.SERVICE, "heat", "", NOTHING),
    (Kind.SERVICE, "01", "ХВС", Suggestion("COLD_WATER", SAME, 95)),
    (Kind.SERVICE, "01", "Отоплние", NOTHING),
    (Kind.SERVICE, "01", "Холодное водоснабжени", Suggestion("COLD_WATER", LIKE, 93)),
    (Kind.SERVICE, "01", "Интернет", NOTHING),
    (Kind.SERVICE, "01", "", NOTHING),
    # ИНН with КПП, then ИНН that has one active provider, then ОГРН
    (Kind.PROVIDER, f"{TEPLO}/770701001", "что угодно", Suggestion("P1", KEY, 100)),
    (Kind.PROVIDER, "17", f"Тепло, ИНН {TEPLO} КПП 770701001", Suggestion("P1", KEY, 100)),
    (Kind.PROVIDER, TEPLO, "", Suggestion("P1", SUM, 98)),
    (Kind.PROVIDER, f"{TEPLO}/999901001", "", Suggestion("P1", SUM, 90)),
    (Kind.PROVIDER, f"{BRANCHES}/770703001", "", Suggestion("P4", KEY, 100)),
    (Kind.PROVIDER, BRANCHES, "", Suggestion("P3", SUM, 90)),
    (Kind.PROVIDER, ENTREPRENEUR, "", Suggestion("P5", KEY, 100)),
    (Kind.PROVIDER, TEPLO_OGRN, "", Suggestion("P1", SUM, 97)),
    (Kind.PROVIDER, inn_of("770708399"), f"ОГРН {TEPLO_OGRN}", Suggestion("P1", SUM, 90)),
    (Kind.PROVIDER, GONE, "АО «Закрытое»", NOTHING),
    (Kind.PROVIDER, TEPLO[:-1] + str((int(TEPLO[-1]) + 1) % 10), "", NOTHING),
    # names
    (Kind.PROVIDER, "7", "ОАО Заречные тепловые сети", Suggestion("P1", SAME, 95)),
    (Kind.PROVIDER, "7", "Горводхоз", Suggestion("P2", SAME, 95)),
    (Kind.PROVIDER, "7", "Ошибка", NOTHING),
    (Kind.PROVIDER, "7", "Заречные теплосети", Suggestion("P1", LIKE, 80)),
    (Kind.PROVIDER, "7", "Заречная тепловая сеть", NOTHING),
    (Kind.PROVIDER, "7", "Заречные тепловые сет", Suggestion("P1", LIKE, 93)),
    (Kind.PROVIDER, "7", "Берёзовая роща", Suggestion("P6", LIKE, 94)),
    # GUID, cadastral number, parsed address
    (Kind.HOUSE, GUID, "", Suggestion("1", KEY, 100)),
    (Kind.HOUSE, GUID.upper(), "г. Каменка, ул. Лесная, д. 3", Suggestion("1", KEY, 100)),
    (Kind.HOUSE, "5", "кадастровый номер 77:01:0001001:1514", Suggestion("1", KEY, 100)),
    (Kind.HOUSE, "5", "Заречный г, Садовая ул, 12", Suggestion("1", ADDRESS, 95)),
    (Kind.HOUSE, "5", "ул. Садовая, д. 12 корп. 1, кв. 7", Suggestion("2", ADDRESS, 95)),
    (Kind.HOUSE, "5", "г. Каменка, ул. Лесная, д. 3", Suggestion("4", ADDRESS, 95)),
    (Kind.HOUSE, "5", "ул. Садовая, д. 13", NOTHING),
    (Kind.HOUSE, "5", "", NOTHING),
]


@pytest.mark.parametrize(("kind", "code", "name", "suggestion"), FOUND, ids=[f"{c}-{n}" for _, c, n, _ in FOUND])
def test_a_code_finds_what_it_means(kind: Kind, code: str, name: str, suggestion: Suggestion) -> None:
    assert MATCHER.suggest(kind, code, name) == suggestion


CONFIRMING = [
    (Suggestion("P1", KEY, 100), True),
    (Suggestion("P1", SUM, 97), True),
    (Suggestion("P1", SUM, 96), False),
    (Suggestion("P1", SAME, 100), False),
    (Suggestion("P1", Method.MANUAL, 100), False),
    (Suggestion("P1", ADDRESS, 99), False),
    (NOTHING, False),
]


@pytest.mark.parametrize(("suggestion", "is_sure"), CONFIRMING)
def test_only_a_key_confirms_itself(suggestion: Suggestion, is_sure: bool) -> None:
    assert suggestion.confirms_itself is is_sure


words = st.text("абвгдеёжзийклмноп «»().-", max_size=30)


@given(st.sampled_from(Kind), st.text(max_size=20), words)
def test_no_name_ever_confirms_itself_or_breaks_the_matching(kind: Kind, code: str, name: str) -> None:
    found = MATCHER.suggest(kind, f"x{code}", name)
    assert not found.confirms_itself or attributes_of(kind, f"x{code}", name) != Attributes()
    assert found.confidence_percent >= 80 or found == NOTHING


@given(st.sampled_from(FOUND))
def test_what_a_person_has_rejected_is_not_suggested_again(row: tuple[Kind, str, str, Suggestion]) -> None:
    kind, code, name, suggestion = row
    assert suggestion is NOTHING or MATCHER.suggest(kind, code, name, [suggestion.master_id]) != suggestion


def test_a_street_in_two_towns_without_a_town_is_a_persons_question() -> None:
    found = MATCHER.suggest(Kind.HOUSE, "5", "ул. Лесная, д. 3")
    assert found.method is Method.NAME_FUZZY or found == NOTHING


def test_keys_are_found_in_codes_and_names_only_when_their_check_digits_hold() -> None:
    assert attributes_of(Kind.PROVIDER, f"{TEPLO}770701001", "") == Attributes()
    assert attributes_of(Kind.PROVIDER, f"{TEPLO}-770701001", "") == Attributes(inn=TEPLO, kpp="770701001")
    assert attributes_of(Kind.PROVIDER, "7707083894", "ОГРН 1027700132196") == Attributes()
    assert attributes_of(Kind.SERVICE, TEPLO, "") == Attributes()
