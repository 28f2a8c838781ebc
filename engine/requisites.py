"""Form and check digits of Russian requisites: numbers of taxpayers, registrations, banks, persons, places, houses."""

import re
from collections.abc import Sequence

_INN_10 = (2, 4, 10, 3, 5, 9, 4, 6, 8)
_INN_12_FIRST = (7, 2, 4, 10, 3, 5, 9, 4, 6, 8)
_INN_12_SECOND = (3, *_INN_12_FIRST)
_KPP = re.compile(r"[0-9]{4}[0-9A-Z]{2}[0-9]{3}")
_BIC = re.compile(r"0[0124][0-9]{7}")
_SNILS = re.compile(r"[0-9]{11}|[0-9]{3}-[0-9]{3}-[0-9]{3} [0-9]{2}")
_OKTMO = re.compile(r"[0-9]{8}(?:[0-9]{3})?")
_GUID = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_CADASTRAL = re.compile(r"[0-9]{2}:[0-9]{2}:[0-9]{6,7}:[0-9]{1,9}")


def _weighted(digits: str, weights: Sequence[int]) -> str:
    return str(sum(int(d) * w for d, w in zip(digits, weights, strict=True)) % 11 % 10)


def inn_of(body: str) -> str:
    """Complete nine digits to the ИНН of an organisation (10 digits)."""
    return body + _weighted(body, _INN_10)


def is_inn(text: str) -> bool:
    """Tell whether a text is an ИНН: 10 digits of an organisation or 12 of a person, with right check digits.

    Source: the Federal Tax Service's order on ИНН (general knowledge); all zeros are refused.
    """
    if not (text.isascii() and text.isdecimal()) or not text.strip("0"):
        return False
    if len(text) == 10:
        return inn_of(text[:9]) == text
    if len(text) == 12:
        return _weighted(text[:10], _INN_12_FIRST) == text[10] and _weighted(text[:11], _INN_12_SECOND) == text[11]
    return False


def is_kpp(text: str) -> bool:
    """Tell whether a text is a КПП: four digits of the tax office, two of the reason, three of the number.

    Rule: the reason may have capital Latin letters. Source: ФНС order of 29.06.2012 № ММВ-7-6/435@.
    """
    return bool(_KPP.fullmatch(text)) and bool(text.strip("0"))


def is_ogrn(text: str) -> bool:
    """Tell whether a text is an ОГРН (13 digits) or an entrepreneur's ОГРНИП (15) with the right last digit.

    Source: rules of the state registers (order of the Ministry of Finance of 30.10.2017 № 165н).
    """
    if not (text.isascii() and text.isdecimal()) or not text.strip("0"):
        return False
    return len(text) in (13, 15) and ogrn_of(text[:-1]) == text


def ogrn_of(body: str) -> str:
    """Complete 12 digits to an ОГРН, or 14 to an ОГРНИП."""
    return body + str(int(body) % (11 if len(body) == 12 else 13) % 10)


def is_bic(text: str) -> bool:
    """Tell whether a text has the form of a БИК: nine digits that begin as the Bank of Russia gives them.

    Rule: 04 for participants of the payment system and their branches, 00 to 02 for indirect ones, the Bank of Russia
    and the Treasury. There is no check digit: only the directory of banks knows whether it exists.
    Source: Положение Банка России от 06.07.2017 № 595-П.
    """
    return bool(_BIC.fullmatch(text))


def is_snils(text: str) -> bool:
    """Tell whether a text is a СНИЛС, eleven digits with or without the separators of `112-233-445 95`.

    Rule: the digits weighted 9 to 1; the sum, mod 101, with 100 read as 00, is the last two. Numbers up to 001-001-998
    were given without check digits and are not accepted. Source: the Pension Fund's rule (general knowledge).
    """
    if not _SNILS.fullmatch(text):
        return False
    digits = text.replace("-", "").replace(" ", "")
    return digits[:9] > "001001998" and snils_of(digits[:9]) == digits


def snils_of(body: str) -> str:
    """Complete nine digits to a СНИЛС."""
    return body + f"{sum(int(d) * w for d, w in zip(body, range(9, 0, -1), strict=True)) % 101 % 100:02d}"


def is_oktmo(text: str) -> bool:
    """Tell whether a text has the form of an ОКТМО: 8 digits of a municipality or 11 of a settlement."""
    return bool(_OKTMO.fullmatch(text))


def is_guid(text: str) -> bool:
    """Tell whether a text is a GUID of ФИАС/ГАР as we keep it: small letters, with hyphens."""
    return bool(_GUID.fullmatch(text))


def is_cadastral_number(text: str) -> bool:
    """Tell whether a text is a cadastral number: district, area, quarter, object."""
    return bool(_CADASTRAL.fullmatch(text))


def is_bank_account(account: str, bic: str) -> bool:
    """Tell whether a 20-digit bank account has the right key for a bank's БИК.

    Rule: the bank's prefix and the account, weights 7, 1, 3 repeated, last digits of the products sum to a multiple of
    ten. Source: the Bank of Russia's rule for keys of accounts (order of 8 September 1997 № 515).
    """
    both = account + bic
    if not (both.isascii() and both.isdecimal() and len(account) == 20 and len(bic) == 9):
        return False
    return _key_sum(account, bic) % 10 == 0


def bank_account_of(account: str, bic: str) -> str:
    """Return the account with its key (digit 9) computed for a bank's БИК."""
    blank = account[:8] + "0" + account[9:]
    return blank[:8] + str(_key_sum(blank, bic) % 10 * 3 % 10) + blank[9:]


def _key_sum(account: str, bic: str) -> int:
    at_the_bank_of_russia = account.startswith("301") or bic[6:] in ("000", "001", "002")
    prefix = "0" + bic[4:6] if at_the_bank_of_russia else bic[6:]
    return sum(int(d) * (7, 1, 3)[i % 3] % 10 for i, d in enumerate(prefix + account))
