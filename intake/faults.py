"""What can be wrong with a file: one code each, for programs; the Russian text beside it is for people.

A fault of the whole file is raised as `FileRefused` and nothing of the file counts. A fault of one row is a `RowFault`
among the rows. What checks find in rows that were understood is a `Finding` (`checks.py`). Codes are part of the
interface to integrators (`docs/files.md`): added, never renamed.
"""

import enum

import msgspec


class Severity(enum.StrEnum):
    """What a finding does. A profile may change it for each code."""

    FILE = "file"
    ROW = "row"
    WARNING = "warning"
    OFF = "off"


class Code(enum.StrEnum):
    """Every fault by name."""

    # The whole file.
    ENCODING = "encoding"
    CONTROL_CHARACTER = "control_character"
    LINE_TOO_LONG = "line_too_long"
    QUOTES = "quotes"
    LINE_ENDS = "line_ends"
    NO_HEADER = "no_header"
    MISSING_COLUMN = "missing_column"
    UNKNOWN_COLUMN = "unknown_column"
    DUPLICATE_COLUMN = "duplicate_column"
    EMPTY_FILE = "empty_file"
    TOO_MANY_ROWS = "too_many_rows"
    TOO_LARGE = "too_large"
    TRUNCATED = "truncated"
    BROKEN_FILE = "broken_file"
    ZIP_BROKEN = "zip_broken"
    ZIP_MEMBERS = "zip_members"
    ZIP_BOMB = "zip_bomb"
    XML_SYNTAX = "xml_syntax"
    XML_FORBIDDEN = "xml_forbidden"
    NO_TRAILER = "no_trailer"
    AFTER_TRAILER = "after_trailer"
    TRAILER_MISMATCH = "trailer_mismatch"
    ROWS_UNREADABLE = "rows_unreadable"
    STATEMENT_SHAPE = "statement_shape"
    STATEMENT_END = "statement_end"
    STATEMENT_BALANCE = "statement_balance"

    # One row: its text.
    CELLS = "cells"
    EMPTY = "empty"
    MONEY = "money"
    MONEY_TOO_PRECISE = "money_too_precise"
    MONEY_TOO_LARGE = "money_too_large"
    NUMBER = "number"
    DATE = "date"
    PERIOD = "period"
    CODE_UNKNOWN = "code_unknown"
    ACCOUNT = "account"
    TEXT = "text"
    TEXT_TOO_LONG = "text_too_long"
    MIXED_SCRIPT = "mixed_script"
    FORMULA = "formula"

    # One row: its sense.
    ARITHMETIC = "arithmetic"
    DUE_MISMATCH = "due_mismatch"
    OPENING_MISMATCH = "opening_mismatch"
    DUPLICATE = "duplicate"
    FUTURE = "future"
    NEGATIVE = "negative"
    FEE_MISMATCH = "fee_mismatch"
    REFUND = "refund"
    ANOMALY = "anomaly"
    ZERO = "zero"
    ACCOUNT_UNKNOWN = "account_unknown"
    SERVICE_UNMAPPED = "service_unmapped"
    PROVIDER_INACTIVE = "provider_inactive"
    PROVIDER_UNMAPPED = "provider_unmapped"
    ACCOUNT_CLOSED = "account_closed"
    OPERATION_KNOWN = "operation_known"
    METER_UNKNOWN = "meter_unknown"
    METER_REMOVED = "meter_removed"
    DIGITS = "digits"
    READING_DECREASED = "reading_decreased"

    # One row: what the ledger said when it was posted.
    NOT_POSTED = "not_posted"
    KEY_CONFLICT = "key_conflict"
    ACCOUNT_PARKED = "account_parked"
    EARMARK_IGNORED = "earmark_ignored"

    # The whole file: its sense.
    ACCOUNTS_CHANGED = "accounts_changed"
    DELETED_ROWS = "deleted_rows"
    FILE_NAME = "file_name"
    UNKNOWN_KEY = "unknown_key"
    NOT_BOOKED = "not_booked"
    TURNOVER = "turnover"


class Finding(msgspec.Struct, frozen=True, kw_only=True, array_like=True, gc=False):
    """Something that a check found in what was read. `row` 0 is the file itself."""

    row: int
    code: Code
    text: str
    severity: Severity


class FileRefused(Exception):
    """The file as a whole cannot be taken. `row` is the line, record or element that shows it; 0: the file itself."""

    def __init__(self, code: Code, text: str, row: int = 0) -> None:
        super().__init__(f"строка {row}: {text}" if row else text)
        self.code = code
        self.text = text
        self.row = row


class FieldFault(ValueError):
    """A text that a field's grammar does not allow. The text itself is told nobody: it may be a person's."""

    def __init__(self, code: Code, text: str) -> None:
        super().__init__(text)
        self.code = code
        self.text = text
