"""How a cell's text becomes money: the quick way and the engine's own grammar give the same, for any text."""

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from engine.money import Grammar, MoneyError, format_roubles, parse_roubles
from intake.faults import FieldFault
from intake.fields import money
from intake.profile import DecimalMark, Rounding

WAYS = [(DecimalMark.COMMA, Grammar.COMMA), (DecimalMark.POINT, Grammar.DOT)]
NEARLY_MONEY = st.text(alphabet="0123456789,.-+ eE٣²①x", max_size=20)


@pytest.mark.parametrize(("mark", "grammar"), WAYS)
@given(text=NEARLY_MONEY.filter(bool) | st.integers(0, 10**17).map(format_roubles))
@example(text="٣٣٣,٣٣")
@example(text="²²,²²")
@example(text="999999999999,99")
@example(text="9999999999999,99")
@example(text="99999999999999,99")
@example(text=",99")
@example(text="-,99")
def test_an_amount_is_what_the_engine_says_it_is(mark: DecimalMark, grammar: Grammar, text: str) -> None:
    text = text.replace(".", mark.value) if text.replace(".", "").isdecimal() else text
    unsigned = text[1:] if text[0] == "-" else text
    try:
        expected = parse_roubles(unsigned, grammar) * (-1 if text[0] == "-" else 1)
    except MoneyError:
        with pytest.raises(FieldFault):
            money(mark, "", Rounding.REFUSE)(text)
    else:
        assert money(mark, "", Rounding.REFUSE)(text) == expected
