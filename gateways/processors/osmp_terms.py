"""What differs between the agents that speak OSMP: the terms of a contract, and the protocol's result codes.

The protocol is a de-facto standard with small deviations, so everything that was seen to vary is data of a
connection. `PRESETS` names what is known of its relatives; a contract's own terms go before them.
"""

import enum
import re
from collections.abc import Mapping
from typing import Any

from msgspec import field

from gateways.processors.dialects import read_terms
from gateways.processors.results import Result
from gateways.processors.terms import Terms


class Code(enum.IntEnum):
    """The protocol's result codes. All but OK, TEMPORARY and NOT_FINISHED are fatal: the money goes back."""

    OK = 0
    TEMPORARY = 1
    ACCOUNT_FORMAT = 4
    ACCOUNT_UNKNOWN = 5
    FORBIDDEN = 7
    SIGNATURE = 10
    ACCOUNT_CLOSED = 79
    NOT_FINISHED = 90
    AMOUNT_SMALL = 241
    AMOUNT_LARGE = 242
    OTHER = 300


CODES: Mapping[Result, Code] = {
    Result.OK: Code.OK,
    Result.DUPLICATE: Code.OK,
    Result.CONFLICT: Code.OTHER,
    Result.IN_PROGRESS: Code.NOT_FINISHED,
    Result.TEMPORARY: Code.TEMPORARY,
    Result.UNKNOWN_COMMAND: Code.OTHER,
    Result.MISSING_PARAM: Code.OTHER,
    Result.BAD_REQUEST: Code.OTHER,
    Result.BAD_TXN_ID: Code.OTHER,
    Result.BAD_ACCOUNT_FORMAT: Code.ACCOUNT_FORMAT,
    Result.ACCOUNT_NOT_FOUND: Code.ACCOUNT_UNKNOWN,
    Result.ACCOUNT_CLOSED: Code.ACCOUNT_CLOSED,
    Result.SERVICE_STOPPED: Code.FORBIDDEN,
    Result.BAD_AMOUNT: Code.OTHER,
    Result.AMOUNT_TOO_SMALL: Code.AMOUNT_SMALL,
    Result.AMOUNT_TOO_LARGE: Code.AMOUNT_LARGE,
    Result.BAD_DATE: Code.OTHER,
    Result.BAD_SIGNATURE: Code.SIGNATURE,
    Result.FORBIDDEN_SOURCE: Code.FORBIDDEN,
    Result.STATUS_NOT_FOUND: Code.OTHER,
    Result.CANCELLED: Code.OTHER,
    Result.CANNOT_CANCEL: Code.OTHER,
}
_KEPT = {Code.OK, Code.TEMPORARY, Code.NOT_FINISHED}


class PeriodForm(enum.StrEnum):
    """How an extra field writes the month that the payer meant."""

    YYYYMM = "YYYYMM"
    MMYYYY = "MMYYYY"


class OsmpTerms(Terms, frozen=True, kw_only=True):
    """One contract's OSMP. The defaults are the protocol as published.

    `preset`: whose deviations are the defaults. `…_element`: what the reply calls the agent's number, ours, the sum,
    the code and its text. `cents_exact`: `sum` has exactly two decimals. `check_txn_id`: a check must have a number.
    `doc_period_field`: the extra field that names the month paid for, if any. `codes`: replaces fatal codes by the
    contract's own; after `temporary_code` and `not_finished_code` the agent repeats.
    """

    preset: str = ""
    txn_element: str = "osmp_txn_id"
    paid_element: str = "prv_txn"
    sum_element: str = "sum"
    result_element: str = "result"
    comment_element: str = "comment"
    cents_exact: bool = False
    check_txn_id: bool = True
    doc_period_field: str = ""
    doc_period_form: PeriodForm = PeriodForm.YYYYMM
    codes: dict[int, int] = field(default_factory=dict)
    temporary_code: int = Code.TEMPORARY
    not_finished_code: int = Code.NOT_FINISHED
    cancel: bool = False
    status: bool = False

    def __post_init__(self) -> None:
        """Refuse terms that would break the protocol. Errors: ValueError, when the connection is loaded."""
        super().__post_init__()
        if self.preset and self.preset not in PRESETS:
            raise ValueError(f"preset is one of {', '.join(PRESETS)}")
        elements = (self.txn_element, self.paid_element, self.sum_element, self.result_element, self.comment_element)
        if not all(re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]{0,31}", element) for element in elements):
            raise ValueError("an element's name must be one in XML")
        repeated = {self.temporary_code, self.not_finished_code}
        if any(code in _KEPT or own in _KEPT | repeated for code, own in self.codes.items()):
            raise ValueError("codes may rename fatal codes only, and only to fatal ones")
        fatal = {code for code in Code if code not in _KEPT and code not in self.codes}
        if repeated & {Code.OK, *fatal}:
            raise ValueError("temporary_code and not_finished_code must be codes after which the agent repeats")


PRESETS: Mapping[str, Mapping[str, Any]] = {
    "qiwi": {},
    "comepay": {},
    "empay": {},
    "ibox": {"txn_element": "ibox_txn_id"},
    "kaspi": {"txn_element": "txn_id"},
    "novoplat": {},
    "pegas": {},
    "rapida": {},
    "sberbank-2": {"check_txn_id": False},
}
"""Relatives without deviations are named too, so that a contract says whose it is and a later finding reaches it."""


def read_osmp_terms(terms: Mapping[str, Any], kind: type[Terms]) -> Terms:
    """Read terms over those of their preset. Errors: msgspec.ValidationError."""
    preset = terms.get("preset")
    return read_terms({**PRESETS.get(preset, {}), **terms} if isinstance(preset, str) else terms, kind)
