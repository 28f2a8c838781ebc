"""How a processor's request may end, in no protocol's words. Each dialect has one table from these to its own codes.

What tells the kinds apart is what the agent does next. It repeats after TEMPORARY and IN_PROGRESS, and after any other
refusal gives the payer's money back: so only what can never have been credited gets another.
"""

import enum
from collections.abc import Mapping

from engine.outcomes import Reason


class Result(enum.Enum):
    """How a request ended. DUPLICATE is a success: the payment was credited before."""

    OK = enum.auto()
    DUPLICATE = enum.auto()
    CONFLICT = enum.auto()
    IN_PROGRESS = enum.auto()
    TEMPORARY = enum.auto()
    UNKNOWN_COMMAND = enum.auto()
    MISSING_PARAM = enum.auto()
    BAD_REQUEST = enum.auto()
    BAD_TXN_ID = enum.auto()
    BAD_ACCOUNT_FORMAT = enum.auto()
    ACCOUNT_NOT_FOUND = enum.auto()
    ACCOUNT_CLOSED = enum.auto()
    SERVICE_STOPPED = enum.auto()
    BAD_AMOUNT = enum.auto()
    AMOUNT_TOO_SMALL = enum.auto()
    AMOUNT_TOO_LARGE = enum.auto()
    BAD_DATE = enum.auto()
    BAD_SIGNATURE = enum.auto()
    FORBIDDEN_SOURCE = enum.auto()
    STATUS_NOT_FOUND = enum.auto()
    CANCELLED = enum.auto()
    CANNOT_CANCEL = enum.auto()


SUCCESSES = frozenset({Result.OK, Result.DUPLICATE})
RETRYABLE = frozenset({Result.IN_PROGRESS, Result.TEMPORARY})

TEXTS: Mapping[Result, str] = {
    Result.OK: "OK",
    Result.DUPLICATE: "Платёж уже принят",
    Result.CONFLICT: "Номер уже использован для другого платежа",
    Result.IN_PROGRESS: "Операция ещё не завершена",
    Result.TEMPORARY: "Временная ошибка, повторите запрос позже",
    Result.UNKNOWN_COMMAND: "Неизвестная команда",
    Result.MISSING_PARAM: "Не указан обязательный параметр",
    Result.BAD_REQUEST: "Запрос отклонён",
    Result.BAD_TXN_ID: "Неверный номер платежа",
    Result.BAD_ACCOUNT_FORMAT: "Неверный формат лицевого счёта",
    Result.ACCOUNT_NOT_FOUND: "Лицевой счёт не найден",
    Result.ACCOUNT_CLOSED: "Лицевой счёт закрыт",
    Result.SERVICE_STOPPED: "Приём платежа запрещён поставщиком",
    Result.BAD_AMOUNT: "Неверная сумма",
    Result.AMOUNT_TOO_SMALL: "Сумма слишком мала",
    Result.AMOUNT_TOO_LARGE: "Сумма слишком велика",
    Result.BAD_DATE: "Неверная дата платежа",
    Result.BAD_SIGNATURE: "Неверная подпись",
    Result.FORBIDDEN_SOURCE: "Запрос с недопустимого адреса",
    Result.STATUS_NOT_FOUND: "Платёж не найден",
    Result.CANCELLED: "Платёж уже отменён",
    Result.CANNOT_CANCEL: "Отменить платёж нельзя",
}

OF_REASON: Mapping[Reason, Result] = {
    Reason.TEXT_INVALID: Result.BAD_ACCOUNT_FORMAT,
    Reason.AMOUNT_NOT_POSITIVE: Result.AMOUNT_TOO_SMALL,
    Reason.AMOUNT_TOO_LARGE: Result.AMOUNT_TOO_LARGE,
    Reason.ACCEPTED_AT_IN_FUTURE: Result.BAD_DATE,
    Reason.ACCEPTED_AT_TOO_OLD: Result.BAD_DATE,
    Reason.EARMARK_INVALID: Result.BAD_REQUEST,
    Reason.ACCOUNT_UNKNOWN: Result.ACCOUNT_NOT_FOUND,
    Reason.ACCOUNT_CLOSED: Result.ACCOUNT_CLOSED,
    Reason.ACCOUNT_EXISTS: Result.BAD_REQUEST,
    Reason.EARMARK_NOT_ALLOWED: Result.BAD_REQUEST,
    Reason.EARMARK_UNKNOWN: Result.BAD_REQUEST,
    Reason.PROVIDERS_BLOCKED: Result.SERVICE_STOPPED,
    Reason.PAYMENT_UNKNOWN: Result.CANNOT_CANCEL,
    Reason.ALREADY_REVERSED: Result.CANCELLED,
    Reason.REVERSAL_TOO_LARGE: Result.CANNOT_CANCEL,
    Reason.ADVANCE_TOO_SMALL: Result.BAD_REQUEST,
    Reason.NOTHING_TO_POST: Result.BAD_REQUEST,
    Reason.UNIDENTIFIED_TOO_SMALL: Result.BAD_REQUEST,
    Reason.HOLD_UNCHANGED: Result.BAD_REQUEST,
    # Troubles of ours, which a person mends: the payer's money must not go back because of them.
    Reason.POLICY_MISSING: Result.TEMPORARY,
    Reason.LIMIT_EXCEEDED: Result.TEMPORARY,
}
"""What a shard's refusal is to a processor; the only such table."""

OWN_TEXTS: Mapping[Reason, str] = {
    Reason.ACCEPTED_AT_IN_FUTURE: "Дата платежа в будущем",
    Reason.ACCEPTED_AT_TOO_OLD: "Дата платежа слишком давняя",
    Reason.PAYMENT_UNKNOWN: "Платёж не найден",
    Reason.REVERSAL_TOO_LARGE: "Платёж уже отменён частично",
}
"""Reasons that say more than their result."""


class RefusedError(Exception):
    """A request that is not done: why, and where it says more than `TEXTS`, in which words for the agent's operator."""

    def __init__(self, result: Result, text: str = "") -> None:
        super().__init__(result, text)
        self.result = result
        self.text = text or TEXTS[result]
