"""What differs between the agents that speak OSMP: the terms of a contract, and the protocol's result codes.

The protocol is a de-facto standard with small deviations, so everything that was seen to vary is data of a
connection.
"""

import enum
import ipaddress
import re
from collections.abc import Mapping

import msgspec

from engine.outcomes import Reason

TXN_ID_DIGITS_MAX = 20
FIELDS_MAX = 64
UTC_OFFSET_MINUTES_MAX = 14 * 60


class Code(enum.IntEnum):
    """The protocol's result codes. All but OK, TEMPORARY and NOT_FINISHED are fatal: the money goes back."""

    OK = 0
    TEMPORARY = 1
    ACCOUNT_FORMAT = 4
    ACCOUNT_UNKNOWN = 5
    FORBIDDEN = 7
    ACCOUNT_CLOSED = 79
    NOT_FINISHED = 90
    AMOUNT_SMALL = 241
    AMOUNT_LARGE = 242
    OTHER = 300


RETRYABLE = frozenset({Code.TEMPORARY, Code.NOT_FINISHED})

REASON_CODES: Mapping[Reason, Code] = {
    Reason.TEXT_INVALID: Code.ACCOUNT_FORMAT,
    Reason.AMOUNT_NOT_POSITIVE: Code.AMOUNT_SMALL,
    Reason.AMOUNT_TOO_LARGE: Code.AMOUNT_LARGE,
    Reason.ACCEPTED_AT_IN_FUTURE: Code.OTHER,
    Reason.ACCEPTED_AT_TOO_OLD: Code.OTHER,
    Reason.EARMARK_INVALID: Code.OTHER,
    Reason.ACCOUNT_UNKNOWN: Code.ACCOUNT_UNKNOWN,
    Reason.ACCOUNT_CLOSED: Code.ACCOUNT_CLOSED,
    Reason.ACCOUNT_EXISTS: Code.OTHER,
    Reason.EARMARK_NOT_ALLOWED: Code.OTHER,
    Reason.EARMARK_UNKNOWN: Code.OTHER,
    Reason.PROVIDERS_BLOCKED: Code.FORBIDDEN,
    Reason.PAYMENT_UNKNOWN: Code.OTHER,
    Reason.ALREADY_REVERSED: Code.OTHER,
    Reason.REVERSAL_TOO_LARGE: Code.OTHER,
    Reason.ADVANCE_TOO_SMALL: Code.OTHER,
    Reason.NOTHING_TO_POST: Code.OTHER,
    Reason.UNIDENTIFIED_TOO_SMALL: Code.OTHER,
    Reason.HOLD_UNCHANGED: Code.OTHER,
    # Troubles of ours, which a person mends: the payer's money must not go back because of them.
    Reason.POLICY_MISSING: Code.TEMPORARY,
    Reason.LIMIT_EXCEEDED: Code.TEMPORARY,
}
"""What a shard's refusal is called in the protocol; the only such table."""

COMMENTS: Mapping[Code, str] = {
    Code.OK: "OK",
    Code.TEMPORARY: "Временная ошибка, повторите запрос позже",
    Code.ACCOUNT_FORMAT: "Неверный формат лицевого счёта",
    Code.ACCOUNT_UNKNOWN: "Лицевой счёт не найден",
    Code.FORBIDDEN: "Приём платежа запрещён поставщиком",
    Code.ACCOUNT_CLOSED: "Лицевой счёт закрыт",
    Code.NOT_FINISHED: "Операция ещё не завершена",
    Code.AMOUNT_SMALL: "Сумма слишком мала",
    Code.AMOUNT_LARGE: "Сумма слишком велика",
    Code.OTHER: "Запрос отклонён",
}

REASON_COMMENTS: Mapping[Reason, str] = {
    Reason.ACCEPTED_AT_IN_FUTURE: "Дата платежа в будущем",
    Reason.ACCEPTED_AT_TOO_OLD: "Дата платежа слишком давняя",
    Reason.PAYMENT_UNKNOWN: "Платёж не найден",
    Reason.ALREADY_REVERSED: "Платёж уже отменён",
    Reason.REVERSAL_TOO_LARGE: "Платёж уже отменён частично",
}
"""Texts for refusals that share the code OTHER."""


class AccountRule(msgspec.Struct, frozen=True):
    """Rewrites what the agent sends as account: a full match of `pattern` becomes `account`."""

    pattern: str
    account: str


class PeriodForm(enum.StrEnum):
    """How an extra field writes the month that the payer meant."""

    YYYYMM = "YYYYMM"
    MMYYYY = "MMYYYY"


class OsmpDialect(msgspec.Struct, frozen=True, kw_only=True):
    """One contract's OSMP. The defaults are the protocol as published.

    `txn_element`: what the reply calls the agent's transaction id. `cents_exact`: `sum` has exactly two
    decimals. `codes`: replaces fatal codes by the contract's own. `doc_period_field`: the extra field that
    names the month paid for, if any. `keep_if_unknown`: money for a number that we do not know is kept as
    unidentified, not refused. `trusted_proxies`: addresses whose `X-Forwarded-For` is believed.
    `utc_offset_minutes`: the clock of `txn_date`.
    """

    txn_element: str = "osmp_txn_id"
    cents_exact: bool = False
    utc_offset_minutes: int = 180
    account_pattern: str = r"[0-9A-Za-zА-Яа-яЁё./_-]{1,64}"
    account_rules: tuple[AccountRule, ...] = ()
    doc_period_field: str = ""
    doc_period_form: PeriodForm = PeriodForm.YYYYMM
    codes: dict[int, int] = {}
    cancel: bool = False
    status: bool = False
    show_debt: bool = True
    keep_if_unknown: bool = False
    channel: str = "terminal"
    trusted_proxies: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        """Refuse terms that would break the protocol. Errors: ValueError, when the connection is loaded."""
        try:
            re.compile(self.account_pattern)
            for rule in self.account_rules:
                re.compile(rule.pattern).sub(rule.account, "")
        except (re.error, IndexError) as error:
            raise ValueError(f"account_pattern or account_rules: {error}") from None
        for proxy in self.trusted_proxies:
            ipaddress.ip_network(proxy)
        if not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]{0,31}", self.txn_element):
            raise ValueError("txn_element must be the name of an XML element")
        if abs(self.utc_offset_minutes) > UTC_OFFSET_MINUTES_MAX:
            raise ValueError("utc_offset_minutes is at most 14 hours")
        kept = {Code.OK, *RETRYABLE}
        if any(code in kept or own in kept for code, own in self.codes.items()):
            raise ValueError("codes may rename fatal codes only, and only to fatal ones")
