"""How a cell's text becomes a field's value. One small strict grammar for each type; the field's type chooses.

Every reader here takes the text without blanks around it, not empty, and returns the value or raises `FieldFault`. Only
what the profile names is accepted: no guessing of marks, formats or digits of other scripts.
"""

import datetime
import re
from collections.abc import Callable
from decimal import ROUND_HALF_UP, Decimal
from typing import Any, Final

import msgspec

from engine.charge import Kind
from engine.ids import AccountId, Period
from engine.limits import ACCOUNT_CHARS_MAX
from engine.money import Grammar, MoneyError, MoneyFault, parse_roubles
from intake.faults import Code, FieldFault
from intake.profile import Column, DecimalMark, PeriodFormat, Profile, Rounding

Read = Callable[[str], Any]

_YEARS = range(1900, 2200)
_DECIMAL_DIGITS_MAX = 18
_FACTOR_DIGITS_MAX = 9
_USUAL_DIGITS = 15
"""Kopecks of so many digits are below every limit."""
_KINDS = {"charge": Kind.CHARGE, "penalty": Kind.PENALTY, "duty": Kind.COURT_COST}
_BLANKS = str.maketrans(dict.fromkeys("\xa0\t\r\n", " "))
_FLAGS = {"1": True, "0": False, "Y": True, "N": False, "T": True, "F": False, "да": True, "нет": False}
_HALF_UP = re.compile(r"([0-9]{1,16})[.,]([0-9]{3,18})", re.ASCII)
_PERIODS = {
    PeriodFormat.ISO: re.compile(r"(?P<y>[0-9]{4})-(?P<m>[0-9]{2})", re.ASCII),
    PeriodFormat.MONTH_FIRST: re.compile(r"(?P<m>[0-9]{2})\.(?P<y>[0-9]{4})", re.ASCII),
    PeriodFormat.MONTH_FIRST_PLAIN: re.compile(r"(?P<m>[0-9]{2})(?P<y>[0-9]{4})", re.ASCII),
    PeriodFormat.MONTH_FIRST_SHORT: re.compile(r"(?P<m>[0-9]{2})(?P<y>[0-9]{2})", re.ASCII),
    PeriodFormat.PLAIN: re.compile(r"(?P<y>[0-9]{4})(?P<m>[0-9]{2})", re.ASCII),
}
_MONEY_TEXT: Final = {
    MoneyFault.TOO_PRECISE: (Code.MONEY_TOO_PRECISE, "больше двух знаков после запятой"),
    MoneyFault.TOO_LARGE: (Code.MONEY_TOO_LARGE, "сумма слишком велика"),
}


def reader_of(field: msgspec.structs.FieldInfo, column: Column, profile: Profile) -> Read:
    """Return what reads a field's text as a profile and its column say.

    Errors: ValueError when the field is of no type that a file can say; that is the profile's mistake.
    """
    if field.name.endswith("_kopecks"):
        return money(column.decimal_mark or profile.decimal_mark, profile.thousands, profile.rounding)
    mark = column.decimal_mark or profile.decimal_mark
    dates = column.date_formats or profile.date_formats
    readers: dict[Any, Callable[[], Read]] = {
        AccountId: lambda: account,
        Period: lambda: period(column.period_format or profile.period_format, dates),
        Kind: lambda: kind,
        str: lambda: text_reader(profile.limits.text_chars_max),
        bool: lambda: flag,
        Decimal: lambda: decimal(mark, profile.thousands),
        int: lambda: area(mark) if field.name.endswith("_dm2") else whole,
        datetime.date: lambda: date(dates),
        datetime.datetime: lambda: moment(dates),
    }
    return readers[_bare(field.type)]()


def _bare(annotation: Any) -> Any:
    """The type itself of `X | None`."""
    parts = [part for part in getattr(annotation, "__args__", ()) if part is not type(None)]
    return parts[0] if parts else annotation


def account(text: str) -> AccountId:
    """Read an account number: kept as written, leading zeros and all; letters of one script only."""
    if len(text) > ACCOUNT_CHARS_MAX:
        raise FieldFault(Code.TEXT_TOO_LONG, f"номер счёта длиннее {ACCOUNT_CHARS_MAX} знаков")
    if not text.isascii():
        _refuse_look_alikes(text)
    if " " in text or not text.isprintable():
        raise FieldFault(Code.ACCOUNT, "в номере счёта пробел или недопустимый знак")
    return AccountId(text)


def _refuse_look_alikes(text: str) -> None:
    """Latin `A` and Cyrillic `А` look the same, and are two accounts."""
    latin = any(letter.isascii() and letter.isalpha() for letter in text)
    cyrillic = any("\u0400" <= letter <= "\u04ff" for letter in text)
    if latin and cyrillic:
        raise FieldFault(Code.MIXED_SCRIPT, "в номере счёта латинские и русские буквы вместе")
    if any(not letter.isascii() and not "\u0400" <= letter <= "\u04ff" for letter in text):
        raise FieldFault(Code.ACCOUNT, "в номере счёта недопустимый знак")


def text_reader(chars_max: int) -> Read:
    """Text as sent."""

    def read(text: str) -> str:
        if len(text) > chars_max:
            raise FieldFault(Code.TEXT_TOO_LONG, f"текст длиннее {chars_max} знаков")
        if not text.isprintable() and not text.translate(_BLANKS).isprintable():
            raise FieldFault(Code.TEXT, "в тексте недопустимый знак")
        return text

    return read


def money(mark: DecimalMark, thousands: str, rounding: Rounding) -> Read:
    """Roubles as kopecks, exactly (`engine/money.py`); a minus is allowed, a plus is not.

    Rule: digits, the mark and two digits are read in passing; whatever else there is, the engine's grammar decides.
    """
    grammar = Grammar.COMMA if mark is DecimalMark.COMMA else Grammar.DOT
    ungroup, point = _ungrouping(thousands, mark), mark.value

    def read(text: str) -> int:
        roubles, _, kopecks = text.partition(point)
        digits = roubles + kopecks
        if len(kopecks) == 2 and roubles and len(digits) <= _USUAL_DIGITS and digits.isdecimal() and digits.isascii():
            return int(digits)  # nearly every amount there is, at a fifth of the price
        return read_unusual(text)

    def read_unusual(text: str) -> int:
        unsigned = text[1:] if text[0] == "-" else text
        try:
            kopecks = parse_roubles(ungroup(unsigned), grammar)
        except MoneyError as error:
            if rounding is not Rounding.HALF_UP or error.fault is not MoneyFault.TOO_PRECISE or mark not in text:
                raise _money_fault(error.fault) from None
            kopecks = _half_up(ungroup(unsigned))
        return -kopecks if unsigned is not text else kopecks

    return read


def _money_fault(fault: MoneyFault) -> FieldFault:
    return FieldFault(*_MONEY_TEXT.get(fault, (Code.MONEY, "не сумма в рублях")))


def _half_up(text: str) -> int:
    """Round a third and further decimals half up, by whole numbers."""
    found = _HALF_UP.fullmatch(text)
    if found is None:
        raise _money_fault(MoneyFault.TOO_LARGE)
    roubles, decimals = found.groups()
    kopecks = int(roubles) * 100 + int(decimals[:2]) + (decimals[2] >= "5")
    return parse_roubles(f"{kopecks // 100}.{kopecks % 100:02d}")


def _ungrouping(separators: str, mark: DecimalMark) -> Callable[[str], str]:
    """Take thousands separators away, where they stand between groups of three digits and nowhere else."""
    if not separators:
        return str
    group = f"[{re.escape(separators)}]"
    grouped = re.compile(rf"[0-9]{{1,3}}(?:{group}[0-9]{{3}}){{1,5}}(?:{re.escape(mark.value)}[0-9]*)?", re.ASCII)
    away = str.maketrans("", "", separators)
    return lambda text: text.translate(away) if grouped.fullmatch(text) else text


def decimal(mark: DecimalMark, thousands: str) -> Read:
    """A tariff, a volume, a reading: an exact decimal of at most 18 digits before and 9 after the mark."""
    grammar = re.compile(
        rf"-?[0-9]{{1,{_DECIMAL_DIGITS_MAX}}}(?:{re.escape(mark.value)}[0-9]{{1,{_FACTOR_DIGITS_MAX}}})?", re.ASCII
    )
    ungroup = _ungrouping(thousands, mark)

    def read(text: str) -> Decimal:
        plain = ungroup(text)
        if grammar.fullmatch(plain) is None:
            raise FieldFault(Code.NUMBER, "не число")
        return Decimal(plain.replace(",", "."))

    return read


def area(mark: DecimalMark) -> Read:
    """Square metres as hundredths of one."""
    read_decimal = decimal(mark, "")

    def read(text: str) -> int:
        hundredths = (read_decimal(text) * 100).to_integral_value(ROUND_HALF_UP)
        if not 0 <= hundredths < 10**9:
            raise FieldFault(Code.NUMBER, "не площадь")
        return int(hundredths)

    return read


def whole(text: str) -> int:
    """A whole number that is not negative."""
    if not (text.isascii() and text.isdecimal() and len(text) <= 9):
        raise FieldFault(Code.NUMBER, "не целое число")
    return int(text)


def flag(text: str) -> bool:
    """Yes or no."""
    try:
        return _FLAGS[text]
    except KeyError:
        raise FieldFault(Code.CODE_UNKNOWN, "не признак: ждём 1 или 0") from None


def kind(text: str) -> Kind:
    """What a line's money is: `charge`, `penalty` or `duty`; a profile's `codes` translate a billing's own words."""
    try:
        return _KINDS[text]
    except KeyError:
        raise FieldFault(Code.CODE_UNKNOWN, "неизвестный вид строки") from None


def date(formats: tuple[str, ...]) -> Read:
    """A calendar date, with as many digits as its format has."""
    return lambda text: _strictly(text, formats).date()


def moment(formats: tuple[str, ...]) -> Read:
    """A local date and time."""
    return lambda text: _strictly(text, formats)


def _strictly(text: str, formats: tuple[str, ...]) -> datetime.datetime:
    """`strptime` takes `1.2.26` for `%d.%m.%Y` and digits of other scripts; what is read must print the same again."""
    for form in formats:
        try:
            found = datetime.datetime.strptime(text, form)  # noqa: DTZ007  the contract, not the file, knows the zone
        except ValueError:
            continue
        if found.year in _YEARS and found.strftime(form) == text:
            return found
    raise FieldFault(Code.DATE, "не дата того вида, который назван в профиле")


def period(form: PeriodFormat, dates: tuple[str, ...]) -> Read:
    """A calendar month."""

    def read_first_day(text: str) -> Period:
        found = _strictly(text, dates)
        if found.day != 1:
            raise FieldFault(Code.PERIOD, "период назван не первым днём месяца")
        return Period(found.year * 100 + found.month)

    def read(text: str) -> Period:
        found = _PERIODS[form].fullmatch(text)
        if found is None:
            raise FieldFault(Code.PERIOD, "не месяц того вида, который назван в профиле")
        year, month = int(found["y"]), int(found["m"])
        year += 2000 if year < 100 else 0
        if not (2000 <= year <= 2099 and 1 <= month <= 12):
            raise FieldFault(Code.PERIOD, "нет такого месяца")
        return Period(year * 100 + month)

    return read_first_day if form is PeriodFormat.FIRST_DAY else read
