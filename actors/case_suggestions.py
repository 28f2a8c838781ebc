"""Which account may have been meant by a number that nobody knows: near numbers, and people of that name.

For operators alone; nothing of it is logged or kept. A suggestion is a hint, never an assignment.
"""

import enum

import msgspec

from storage import account_search
from storage.cases import Case, CaseKind, Payer

_SUGGESTIONS_MAX = 10


class Why(enum.StrEnum):
    """Why an account is suggested."""

    NEAR_NUMBER = "near_number"
    SAME_PAYER = "same_payer"
    BOTH = "both"


class Suggestion(msgspec.Struct, frozen=True, kw_only=True):
    """An account that may have been meant. Holder and address are personal data."""

    account: str
    why: Why
    holder: str = ""
    address: str = ""


async def suggest(database_url: str, case: Case, payer: Payer) -> list[Suggestion]:
    """Suggest accounts for unidentified money, the likeliest first; empty for other cases."""
    if case.kind != CaseKind.UNKNOWN_ACCOUNT or case.state in ("solved", "returned"):
        return []
    near = set(await account_search.known(database_url, sorted(near_numbers(case.account))))
    surname, _, initials = plain(payer.payer).partition(" ")
    people = await account_search.by_surname(database_url, surname) if surname else []
    same = {one.account: one for one in people if _is_same(plain(one.holder), initials)}
    by_address = sorted(same.values(), key=lambda one: (-_shared_words(one.address, payer.address), one.account))
    found = [_suggestion(one, near) for one in by_address]
    found += [Suggestion(account=number, why=Why.NEAR_NUMBER) for number in sorted(near - set(same))]
    return sorted(found, key=lambda one: one.why is not Why.BOTH)[:_SUGGESTIONS_MAX]


def _suggestion(one: account_search.Person, near: set[str]) -> Suggestion:
    why = Why.BOTH if one.account in near else Why.SAME_PAYER
    return Suggestion(account=one.account, why=why, holder=one.holder, address=one.address)


def near_numbers(number: str) -> set[str]:
    """Return every number one slip away: a digit wrong, lost, doubled or added, two neighbours swapped.

    Shape: digits only are varied, so a number of n digits has about 20 n neighbours; itself is not among them.
    """
    digits = "0123456789"
    found = set()
    for at in range(len(number) + 1):
        head, tail = number[:at], number[at:]
        found |= {head + digit + tail for digit in digits}
        if tail:
            found |= {head + digit + tail[1:] for digit in digits if tail[0].isdigit()}
            found.add(head + tail[1:])
        if len(tail) > 1:
            found.add(head + tail[1] + tail[0] + tail[2:])
    return found - {number, ""}


def plain(name: str) -> str:
    """Write a name for comparison: capitals, ё as е, points as blanks, single blanks."""
    return " ".join(name.upper().replace("Ё", "Е").replace(".", " ").split())


def _is_same(holder: str, initials: str) -> bool:
    """Compare what follows the surname by first letters; what is not given does not differ."""
    given = [word[0] for word in holder.split()[1:]]
    asked = [word[0] for word in initials.split()]
    return all(one == other for one, other in zip(given, asked, strict=False))


def _shared_words(address: str, other: str) -> int:
    words = [set(plain(text.replace(",", " ")).split()) for text in (address, other)]
    return len(words[0] & words[1])
