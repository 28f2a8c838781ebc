"""What is wrong with one record of master data, as short texts for whoever sent it; nothing means it may be kept."""

import datetime
import re
from collections.abc import Callable, Iterator

from engine.limits import LINE_KOPECKS_MAX, MASTER_TEXT_CHARS_MAX
from engine.master import (
    BankAccount,
    CalendarDay,
    Contract,
    House,
    KeyRateRow,
    MoratoriumRow,
    Norm,
    Provider,
    ProviderName,
    RateCapRow,
    Record,
    Service,
    Tariff,
    basis_points,
)
from engine.requisites import (
    is_bank_account,
    is_bic,
    is_cadastral_number,
    is_guid,
    is_inn,
    is_kpp,
    is_ogrn,
    is_oktmo,
)

_RATE_PERCENT_MAX = 100
_SERVICE = re.compile(r"[A-Z][A-Z0-9_]{0,31}")
_CODE = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,31}")
_OKEI = re.compile(r"[0-9]{3,4}")
_POSTAL_CODE = re.compile(r"[0-9]{6}")
_MAY_BE_EMPTY = frozenset(
    {"parent", "unit", "okei", "inn", "kpp", "ogrn", "corr_account", "guid", "oktmo", "postal_code"}
    | {"cadastral_number", "territory", "category", "agreement"}
)


def faults(record: Record) -> list[str]:
    """Tell what is wrong with a record by itself: form, check digits, order of dates."""
    return [*_text_faults(record), *_date_faults(record), *_own_faults(record)]


def _text_faults(record: Record) -> Iterator[str]:
    for name in record.__struct_fields__:
        value = getattr(record, name)
        if type(value) is not str:
            continue
        if not value and name not in _MAY_BE_EMPTY:
            yield f"{name} is empty"
        if len(value) > MASTER_TEXT_CHARS_MAX:
            yield f"{name} is longer than {MASTER_TEXT_CHARS_MAX} characters"
        if value != value.strip() or not value.isprintable():
            yield f"{name} has blanks around it or characters that cannot be seen"


def _date_faults(record: Record) -> Iterator[str]:
    for first, last in (("valid_from", "valid_to"), ("since", "until")):
        begins, ends = getattr(record, first, None), getattr(record, last, None)
        if isinstance(begins, datetime.date) and isinstance(ends, datetime.date) and ends < begins:
            yield f"{last} is before {first}"


def _own_faults(record: Record) -> Iterator[str]:
    match record:
        case Service():
            return _service_faults(record)
        case Provider():
            return _provider_faults(record)
        case BankAccount():
            return _bank_account_faults(record)
        case Contract():
            return _contract_faults(record)
        case House():
            return _house_faults(record)
        case Tariff() | Norm():
            return _value_faults(record)
        case KeyRateRow() | RateCapRow():
            return _rate_faults(record)
        case MoratoriumRow():
            return _unlike(("territory", record.territory, lambda text: not text or is_oktmo(text)))
        case ProviderName() | CalendarDay():
            return iter(())


def _unlike(*fields: tuple[str, str, Callable[[str], object]]) -> Iterator[str]:
    """Name the fields whose text a rule refuses."""
    return (f"{name} {value!r} is not one" for name, value, rule in fields if not rule(value))


def _service_faults(record: Service) -> Iterator[str]:
    yield from _unlike(("service", record.service, _SERVICE.fullmatch))
    if record.okei and not _OKEI.fullmatch(record.okei):
        yield f"okei {record.okei!r} is not one"
    if record.parent == record.service:
        yield "a service is not its own parent"


def _provider_faults(record: Provider) -> Iterator[str]:
    """An organisation has ИНН of 10 digits, КПП, ОГРН of 13; an entrepreneur ИНН of 12, no КПП, ОГРНИП of 15."""
    yield from _unlike(("provider", record.provider, _CODE.fullmatch), ("inn", record.inn, is_inn))
    is_person = len(record.inn) == 12
    if record.kpp and not is_kpp(record.kpp):
        yield f"kpp {record.kpp!r} is not one"
    if is_person == bool(record.kpp):
        yield "an entrepreneur has no kpp" if is_person else "an organisation has a kpp"
    if record.ogrn and not (is_ogrn(record.ogrn) and len(record.ogrn) == (15 if is_person else 13)):
        yield f"ogrn {record.ogrn!r} is not one of such a provider"
    if len(set(record.roles)) != len(record.roles):
        yield "a role is named twice"


def _bank_account_faults(record: BankAccount) -> Iterator[str]:
    yield from _unlike(("bic", record.bic, is_bic))
    if not is_bank_account(record.account, record.bic):
        yield "account has a wrong form or key for this bic"
    corr = record.corr_account
    if corr and not (corr.startswith("301") and is_bank_account(corr, record.bic)):
        yield "corr_account has a wrong form or key for this bic"


def _contract_faults(record: Contract) -> Iterator[str]:
    most = record.commission_max_kopecks
    yield from _unlike(("contract", record.contract, _CODE.fullmatch))
    if not 0 <= record.commission_rate_bp <= 10_000:
        yield "commission_rate_bp is 0 to 10000 hundredths of a percent"
    if not 0 <= record.commission_min_kopecks <= (LINE_KOPECKS_MAX if most is None else most) <= LINE_KOPECKS_MAX:
        yield "commission_min_kopecks and commission_max_kopecks are no range"
    if record.commission_mode is None and (record.commission_rate_bp or record.commission_min_kopecks or most):
        yield "a commission without commission_mode"


def _house_faults(record: House) -> Iterator[str]:
    if not 0 <= record.house < 2**31:
        yield "house is a number from 0"
    for name, value, rule in (
        ("guid", record.guid, is_guid),
        ("oktmo", record.oktmo, is_oktmo),
        ("postal_code", record.postal_code, _POSTAL_CODE.fullmatch),
        ("cadastral_number", record.cadastral_number, is_cadastral_number),
    ):
        if value and not rule(value):
            yield f"{name} {value!r} is not one"


def _value_faults(record: Tariff | Norm) -> Iterator[str]:
    if record.value < 0:
        yield "value is negative"
    if record.territory and not is_oktmo(record.territory):
        yield f"territory {record.territory!r} is not an oktmo"
    if record.category and not _CODE.fullmatch(record.category):
        yield f"category {record.category!r} is not a code"


def _rate_faults(record: KeyRateRow | RateCapRow) -> Iterator[str]:
    if not 0 <= record.rate_percent <= _RATE_PERCENT_MAX:
        yield "rate_percent is 0 to 100"
        return
    try:
        basis_points(record.rate_percent)
    except ValueError:
        yield "rate_percent has at most two decimals"
