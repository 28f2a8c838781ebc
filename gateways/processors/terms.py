"""What the contracts of all dialects may say beside the connection itself; each dialect adds what only it has."""

import re
from typing import Annotated

import msgspec

Secret = Annotated[str, msgspec.Meta(extra={"secret": True})]
"""A word that must be kept in clear, for a protocol computes with it. Listings show it as `***`."""


class AccountRule(msgspec.Struct, frozen=True):
    """Rewrites what the agent sends as account: a full match of `pattern` becomes `account`."""

    pattern: str
    account: str


class Terms(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """What every dialect's terms have. `channel`: what the ledger calls the way that the payments came."""

    account_pattern: str = r"[0-9A-Za-zА-Яа-яЁё./_-]{1,64}"
    account_rules: tuple[AccountRule, ...] = ()
    channel: str = "terminal"

    def __post_init__(self) -> None:
        """Refuse patterns that are none. Errors: ValueError, when the connection is loaded."""
        try:
            re.compile(self.account_pattern)
            for rule in self.account_rules:
                re.compile(rule.pattern).sub(rule.account, "")
        except (re.error, IndexError) as error:
            raise ValueError(f"account_pattern or account_rules: {error}") from None


def secret_fields(terms: type[Terms]) -> frozenset[str]:
    """Name the fields of a dialect's terms that are secrets."""
    fields = msgspec.structs.fields(terms)
    return frozenset(field.name for field in fields if _is_secret(msgspec.inspect.type_info(field.type)))


def _is_secret(kind: msgspec.inspect.Type) -> bool:
    return isinstance(kind, msgspec.inspect.Metadata) and bool((kind.extra or {}).get("secret"))
