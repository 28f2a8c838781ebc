"""Roubles as text: what is read, what is refused, what is printed."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.money import Grammar, MoneyError, MoneyFault, format_roubles, format_roubles_human, parse_roubles


@pytest.mark.parametrize(
    ("text", "kopecks"), [("152.00", 15200), ("0.01", 1), ("7", 700), ("7.5", 750), ("0", 0), ("007.10", 710)]
)
def test_roubles_are_read_exactly(text: str, kopecks: int) -> None:
    assert parse_roubles(text) == kopecks


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("", MoneyFault.EMPTY),
        ("-1.00", MoneyFault.SIGNED),
        ("+5", MoneyFault.SIGNED),
        ("-0", MoneyFault.SIGNED),
        ("0.001", MoneyFault.TOO_PRECISE),
        ("1.000", MoneyFault.TOO_PRECISE),
        ("9223372036854775808", MoneyFault.TOO_LARGE),
        ("99999999999999.99", MoneyFault.TOO_LARGE),
        ("1e3", MoneyFault.MALFORMED),
        ("1,00", MoneyFault.MALFORMED),
        ("NaN", MoneyFault.MALFORMED),
        ("inf", MoneyFault.MALFORMED),
        (" 5", MoneyFault.MALFORMED),
        ("5 ", MoneyFault.MALFORMED),
        ("5\n", MoneyFault.MALFORMED),
        ("1 000.00", MoneyFault.MALFORMED),
        ("١٢٣", MoneyFault.MALFORMED),
        (".50", MoneyFault.MALFORMED),
        ("5.", MoneyFault.MALFORMED),
        ("0x10", MoneyFault.MALFORMED),
        ("1_000", MoneyFault.MALFORMED),
    ],
)
def test_everything_else_is_refused_with_its_fault(text: str, fault: MoneyFault) -> None:
    with pytest.raises(MoneyError) as refused:
        parse_roubles(text)
    assert refused.value.fault is fault


def test_a_protocol_may_want_two_decimals_or_a_comma() -> None:
    assert parse_roubles("5.10", Grammar.DOT_TWO_DIGITS) == 510
    assert parse_roubles("5,1", Grammar.COMMA) == 510
    with pytest.raises(MoneyError):
        parse_roubles("5.1", Grammar.DOT_TWO_DIGITS)
    with pytest.raises(MoneyError):
        parse_roubles("5.10", Grammar.COMMA)


@given(st.integers(0, 10**15))
def test_what_is_printed_is_read_back(kopecks: int) -> None:
    assert parse_roubles(format_roubles(kopecks), Grammar.DOT_TWO_DIGITS) == kopecks


def test_people_read_grouped_roubles() -> None:
    assert format_roubles_human(123456789) == "1\u00a0234\u00a0567,89\u00a0₽"
    assert format_roubles_human(-5) == "\u22120,05\u00a0₽"
    assert format_roubles(-5) == "-0.05"
