"""Roubles exist only here, as text; everywhere else money is `int` kopecks."""

import enum
import re

from engine.limits import LINE_KOPECKS_MAX

NBSP = "\u00a0"


class MoneyFault(enum.StrEnum):
    """What is wrong with an amount's text."""

    EMPTY = "empty"
    MALFORMED = "malformed"
    SIGNED = "signed"
    TOO_PRECISE = "too_precise"
    TOO_LARGE = "too_large"


class MoneyError(ValueError):
    """An amount that a protocol's grammar does not allow. `fault` says what is wrong; the text is never echoed."""

    def __init__(self, fault: MoneyFault) -> None:
        super().__init__(f"amount is {fault.value}")
        self.fault = fault


class Grammar(enum.Enum):
    """How a protocol writes roubles. ASCII digits only, no signs, no blanks, no exponents."""

    DOT = re.compile(r"([0-9]{1,16})(?:\.([0-9]{1,2}))?", re.ASCII)
    DOT_TWO_DIGITS = re.compile(r"([0-9]{1,16})\.([0-9]{2})", re.ASCII)
    COMMA = re.compile(r"([0-9]{1,16})(?:,([0-9]{1,2}))?", re.ASCII)


_MANY_DECIMALS = re.compile(r"[0-9]+[.,][0-9]{3,}", re.ASCII)
_LONG = re.compile(r"[0-9]{17,}(?:[.,][0-9]*)?", re.ASCII)
_SIGNED = re.compile(r"[+-].*", re.DOTALL)


def parse_roubles(text: str, grammar: Grammar = Grammar.DOT) -> int:
    """Read roubles written by a protocol as kopecks, exactly.

    Units: kopecks, 0 .. `LINE_KOPECKS_MAX`. Errors: `MoneyError`.
    Source: common rules of processors' protocols: exact decimal, no sign, no exponent, at most two decimals.
    """
    found = grammar.value.fullmatch(text)
    if found is None:
        raise MoneyError(_fault_of(text))
    roubles, decimals = found.groups()
    kopecks = int(roubles) * 100 + (int((decimals + "0")[:2]) if decimals else 0)
    if kopecks > LINE_KOPECKS_MAX:
        raise MoneyError(MoneyFault.TOO_LARGE)
    return kopecks


def _fault_of(text: str) -> MoneyFault:
    if not text:
        return MoneyFault.EMPTY
    for pattern, fault in ((_SIGNED, MoneyFault.SIGNED), (_MANY_DECIMALS, MoneyFault.TOO_PRECISE)):
        if pattern.fullmatch(text):
            return fault
    return MoneyFault.TOO_LARGE if _LONG.fullmatch(text) else MoneyFault.MALFORMED


def format_roubles(kopecks: int) -> str:
    """Write kopecks as protocols do: `152.00`, `-0.05`."""
    sign = "-" if kopecks < 0 else ""
    return f"{sign}{abs(kopecks) // 100}.{abs(kopecks) % 100:02d}"


def format_roubles_human(kopecks: int) -> str:
    """Write kopecks for people: `1 234,56 ₽` with no-break spaces, minus as U+2212."""
    sign = "\u2212" if kopecks < 0 else ""
    grouped = f"{abs(kopecks) // 100:,}".replace(",", NBSP)
    return f"{sign}{grouped},{abs(kopecks) % 100:02d}{NBSP}₽"
