"""Check digits of Russian requisites: taxpayer numbers and bank accounts."""

from collections.abc import Sequence

_INN_10 = (2, 4, 10, 3, 5, 9, 4, 6, 8)
_INN_12_FIRST = (7, 2, 4, 10, 3, 5, 9, 4, 6, 8)
_INN_12_SECOND = (3, *_INN_12_FIRST)


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


def is_bank_account(account: str, bic: str) -> bool:
    """Tell whether a 20-digit bank account has the right key for a bank's БИК.

    Rule: the bank's prefix and the account, weights 7, 1, 3 repeated, last digits of the products sum to a multiple of
    ten. Source: the Bank of Russia's rule for keys of accounts (order of 8 September 1997 № 515).
    """
    if not (account.isascii() and account.isdecimal() and len(account) == 20 and bic.isdecimal() and len(bic) == 9):
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
