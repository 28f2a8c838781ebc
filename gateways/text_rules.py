"""Rules for text that comes from outside: what an account number or an operation's number may be made of."""

import unicodedata

from engine import limits
from engine.ids import AccountId, TxnId
from gateways.problems import Refused

_CYRILLIC = range(0x0400, 0x0530)


def clean(text: str, param: str, chars_max: int) -> str:
    """Trim blanks and normalise (NFC); refuse what cannot be a number of anything.

    Rule: printable characters only, no blanks inside, not longer than `chars_max`, never Latin and Cyrillic letters
    together: those look alike, and two accounts must not.
    Errors: `Refused` with code text-invalid.
    """
    text = unicodedata.normalize("NFC", text.strip()) if not text.isascii() else text.strip()
    if not text or len(text) > chars_max or not text.isprintable() or " " in text or "\u00a0" in text:
        raise Refused("text-invalid", param)
    if not text.isascii() and _is_mixed(text):
        raise Refused("text-invalid", param)
    return text


def _is_mixed(text: str) -> bool:
    letters = [character for character in text if character.isalpha()]
    cyrillic = [ord(character) in _CYRILLIC for character in letters]
    return any(cyrillic) and not all(cyrillic)


def label(text: str, param: str) -> str:
    """Read a word that the sender chose; empty is one. Errors: `Refused` with code text-invalid for control signs."""
    if not text.isprintable():
        raise Refused("text-invalid", param)
    return text


def account_number(text: str, param: str = "account") -> AccountId:
    """Read an account number; leading zeros are kept."""
    return AccountId(clean(text, param, limits.ACCOUNT_CHARS_MAX))


def txn_id(text: str, param: str = "txn_id") -> TxnId:
    """Read a sender's own number of an operation."""
    return TxnId(clean(text, param, limits.TXN_ID_CHARS_MAX))
