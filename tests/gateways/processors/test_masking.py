"""What a payer may see of a person, and how fast a connection may ask."""

import pytest

from gateways.processors.masking import masked_address, masked_name
from gateways.processors.pace import CheckPace


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("Иванов Пётр Семёнович", "И*** П. С."),
        ("Иванов Пётр", "И*** П."),
        ("Ёлкин", "Ё***"),
        ("Мамин-Сибиряк Дмитрий Наркисович", "М*** Д. Н."),
        ("Мамедов Али Гусейн оглы", "М*** А. Г."),
        ("", "***"),
        ("   ", "***"),
    ],
)
def test_a_name_shows_a_letter_and_the_initials(name: str, shown: str) -> None:
    assert masked_name(name) == shown


@pytest.mark.parametrize(
    ("address", "flat", "shown"),
    [
        ("г. Энск, ул. Мира, д. 1", "2", "г. Энск, ул. Мира, д. 1"),
        ("с. Лесное, ул. Садовая, д. 7", "", "с. Лесное, ул. Садовая, ***"),
        ("с. Лесное, ул. Садовая, д. 7", " ", "с. Лесное, ул. Садовая, ***"),
        ("Лесное", "", "***"),
        ("", "", "***"),
    ],
)
def test_an_address_never_points_to_one_household(address: str, flat: str, shown: str) -> None:
    assert masked_address(address, flat) == shown


class Clock:
    """A clock that a test moves."""

    def __init__(self) -> None:
        self.now = 1_000.0

    def __call__(self) -> float:
        return self.now


def test_so_many_checks_a_minute_and_no_more() -> None:
    clock = Clock()
    pace = CheckPace(60, 60, clock)
    assert sum(pace.admit() for _ in range(100)) == 60
    clock.now += 2
    assert sum(pace.admit() for _ in range(100)) == 2
    clock.now += 3_600
    assert sum(pace.admit() for _ in range(100)) == 60, "a long silence saves up no more than a minute's worth"


def test_checks_that_found_nothing_are_held_more_tightly() -> None:
    clock = Clock()
    pace = CheckPace(600, 6, clock)
    for _ in range(6):
        assert pace.admit()
        pace.missed()
    assert not pace.admit()
    clock.now += 10
    assert pace.admit(), "one more after a sixth of a minute"


def test_misses_in_flight_at_once_are_paid_back() -> None:
    clock = Clock()
    pace = CheckPace(600, 6, clock)
    assert all(pace.admit() for _ in range(60))
    for _ in range(60):
        pace.missed()
    clock.now += 60
    assert not pace.admit()
