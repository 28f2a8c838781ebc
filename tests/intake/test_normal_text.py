"""Texts that mean the same have one form; how alike texts are is a whole number, the same both ways."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from intake.normal_text import (
    ParsedAddress,
    normal,
    normal_organisation,
    normal_service,
    parse_address,
    similarity_percent,
)

texts = st.text("абвгеёжзий АБЁ abc 012 «»\"'.,-()№\u00a0", max_size=40)


@given(texts)
def test_the_normal_form_is_its_own_normal_form(text: str) -> None:
    for form in (normal, normal_organisation, normal_service):
        assert form(form(text)) == form(text)


@given(texts)
def test_case_quotes_blanks_and_yo_do_not_matter(text: str) -> None:
    assert normal(text.upper()) == normal(text)
    assert normal(f"  «{text}»\u00a0") == normal(text)
    assert normal(text.replace("ё", "е").replace("Ё", "Е")) == normal(text)


@given(texts, texts)
def test_likeness_is_symmetrical_and_within_its_bounds(one: str, other: str) -> None:
    left, right = normal(one), normal(other)
    assert 0 <= similarity_percent(left, right) == similarity_percent(right, left) <= 100


@given(texts)
def test_a_text_is_wholly_like_itself_in_any_order_of_words(text: str) -> None:
    words = normal(text).split()
    assert similarity_percent(" ".join(words), " ".join(reversed(words))) == (100 if words else 0)


SAME_ORGANISATION = [
    ("ООО «УК Уютный двор»", 'Общество с ограниченной ответственностью "УК УЮТНЫЙ ДВОР"'),
    ("АО «Заречные тепловые сети»", "Акционерное общество Заречные тепловые сети"),
    ("ПАО «Берёзка»", "Публичное акционерное общество «БЕРЕЗКА»"),
    ("ТСЖ «Берёзовая роща»", "Товарищество собственников жилья Березовая роща"),
    ("МУП «Водоканал»", "Муниципальное унитарное предприятие 'Водоканал'"),
    ("ИП Ёлкин П. С.", "Индивидуальный предприниматель Елкин П.С."),
]


@pytest.mark.parametrize(("one", "other"), SAME_ORGANISATION)
def test_the_legal_form_does_not_matter(one: str, other: str) -> None:
    assert normal_organisation(one) == normal_organisation(other) != ""


def test_a_legal_form_inside_a_word_is_left_alone() -> None:
    assert normal_organisation("ООО «Каопт»") == "каопт"
    assert normal_organisation("ООО") == "ооо"


SAME_SERVICE = [
    ("ХВС", "Холодное водоснабжение"),
    ("Гор. вода", "Горячее водоснабжение"),
    ("Канализация", "Водоотведение"),
    ("Капремонт", "Капитальный ремонт"),
    ("Содержание жилья", "Содержание жилого помещения"),
]


@pytest.mark.parametrize(("one", "other"), SAME_SERVICE)
def test_the_words_of_bills_are_spelled_out(one: str, other: str) -> None:
    assert normal_service(one) == normal_service(other)


PLACE = ParsedAddress(city="заречный", street_type="улица", street="садовая", house="12", building="1", flat="5")
ADDRESSES = [
    ("Заречная область, г. Заречный, ул. Садовая, д. 12 корп. 1, кв. 5", PLACE),
    ("442960, г.Заречный, улица Садовая, дом 12, корпус 1, квартира 5", PLACE),
    ("Заречный г, Садовая ул., 12, к. 1, кв.5", PLACE),
    ("ГОРОД ЗАРЕЧНЫЙ, УЛ САДОВАЯ, Д. № 12, СТР. 1, КВ 5", PLACE),
    (
        "пр-кт Мира, д. 7/2а",
        ParsedAddress(street_type="проспект", street="мира", house="7/2а"),
    ),
    ("пер. 1-й Лесной, д. 3 б", ParsedAddress(street_type="переулок", street="1 й лесной", house="3б")),
    ("с. Ёлки, ул. Озёрная, д. 1", ParsedAddress(city="елки", street_type="улица", street="озерная", house="1")),
    ("неизвестно где", ParsedAddress()),
    ("", ParsedAddress()),
    ("ул. А, " + "1 " * 20_000, ParsedAddress(street_type="улица", street="а", house="1")),
    ("12, 13, 14", ParsedAddress()),
]


@pytest.mark.parametrize(("text", "parsed"), ADDRESSES, ids=[text[:40] for text, _ in ADDRESSES])
def test_an_address_is_read_as_a_person_reads_it(text: str, parsed: ParsedAddress) -> None:
    assert parse_address(text) == parsed


@given(st.text(max_size=300))
def test_no_text_breaks_the_reading_of_addresses(text: str) -> None:
    parse_address(text)
    normal(text)
