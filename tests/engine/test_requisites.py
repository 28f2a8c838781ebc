"""Requisites: published examples are accepted; one digit off, a digit less, other alphabets are not."""

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.requisites import (
    inn_of,
    is_bank_account,
    is_bic,
    is_cadastral_number,
    is_guid,
    is_inn,
    is_kpp,
    is_ogrn,
    is_oktmo,
    is_snils,
    ogrn_of,
    snils_of,
)

Check = Callable[[str], bool]

WITH_CHECK_DIGITS: list[tuple[Check, str]] = [
    (is_inn, "7707083893"),
    (is_inn, "6200098763"),
    (is_inn, "7700000009"),
    (is_inn, "500100732259"),
    (is_inn, "770000000082"),
    (is_ogrn, "1027700132195"),
    (is_ogrn, "1026200000001"),
    (is_ogrn, "304620000000011"),
    (is_snils, "11223344595"),
    (is_snils, "112-233-445 95"),
]
FORMS: list[tuple[Check, str]] = [
    (is_kpp, "770701001"),
    (is_kpp, "7707AB001"),
    (is_bic, "044525225"),
    (is_bic, "014525988"),
    (is_oktmo, "45382000"),
    (is_oktmo, "45382000101"),
    (is_guid, "0c5b2444-70a0-4932-980c-b4dc0d3f02b5"),
    (is_cadastral_number, "77:01:0001001:1514"),
    (is_cadastral_number, "62:29:080029:7"),
]


@pytest.mark.parametrize(("check", "number"), WITH_CHECK_DIGITS + FORMS)
def test_a_valid_number_is_accepted(check: Check, number: str) -> None:
    assert check(number)


@pytest.mark.parametrize(("check", "number"), WITH_CHECK_DIGITS)
def test_a_last_digit_off_by_one_is_refused(check: Check, number: str) -> None:
    assert not check(number[:-1] + str((int(number[-1]) + 1) % 10))


@pytest.mark.parametrize(("check", "number"), WITH_CHECK_DIGITS + FORMS)
def test_one_character_more_or_less_is_refused(check: Check, number: str) -> None:
    more_may_fit = check is is_cadastral_number
    assert not check(number[1:])
    assert not check("0" + number)
    assert more_may_fit or not check(number + "0")
    assert not check(number + "\n")
    assert not check(" " + number)


OTHER_DIGITS = str.maketrans("0123456789", "٠١٢٣٤٥٦٧٨٩")


@pytest.mark.parametrize(("check", "number"), WITH_CHECK_DIGITS + FORMS)
def test_digits_of_other_alphabets_and_nothing_are_refused(check: Check, number: str) -> None:
    assert not check(number.translate(OTHER_DIGITS))
    assert not check("")


REFUSED: list[tuple[Check, str]] = [
    (is_inn, "0000000000"),
    (is_ogrn, "0000000000000"),
    (is_kpp, "000000000"),
    (is_kpp, "7707аб001"),
    (is_bic, "084525225"),
    (is_snils, "00100199801"),
    (is_snils, "112-233-44595"),
    (is_guid, "0C5B2444-70A0-4932-980C-B4DC0D3F02B5"),
]


@pytest.mark.parametrize(("check", "number"), REFUSED)
def test_what_only_looks_like_a_number_is_refused(check: Check, number: str) -> None:
    assert not check(number)


def test_a_bank_account_belongs_to_its_bank() -> None:
    assert is_bank_account("40702810138250123017", "044525225")
    assert not is_bank_account("40702810138250123017", "044525974")
    assert not is_bank_account("40702810138250123017".translate(OTHER_DIGITS), "044525225")
    assert not is_bank_account("40702810138250123017", "044525225".translate(OTHER_DIGITS))


@given(st.integers(1, 10**9 - 1), st.integers(1, 9))
def test_any_single_wrong_digit_of_an_inn_at_the_end_is_seen(body: int, shift: int) -> None:
    number = inn_of(f"{body:09d}")
    assert is_inn(number)
    assert not is_inn(number[:-1] + str((int(number[-1]) + shift) % 10))


@given(st.integers(1, 10**12 - 1))
def test_a_completed_ogrn_is_valid(body: int) -> None:
    assert is_ogrn(ogrn_of(f"{body:012d}"))


@given(st.integers(1001999, 10**9 - 1))
def test_a_completed_snils_is_valid(body: int) -> None:
    assert is_snils(snils_of(f"{body:09d}"))


def test_a_snils_whose_sum_is_a_hundred_ends_with_two_zeros() -> None:
    bodies = [f"{n:09d}" for n in range(10**8, 10**8 + 400_000, 7)]
    by_sum = {sum(int(d) * w for d, w in zip(body, range(9, 0, -1), strict=True)): body for body in bodies}
    assert {total: snils_of(by_sum[total])[9:] for total in (99, 100, 101, 102)} == {
        99: "99",
        100: "00",
        101: "00",
        102: "01",
    }
