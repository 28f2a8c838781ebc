"""A profile: how one sender writes one kind of file. Data, versioned, kept in the database; nothing here reads a file.

A file is a table, whatever its form: records of cells under named columns. CSV and DBF are tables by birth, a sheet of
XLSX is one, XML becomes one (each record element a row, its paths the columns). A file without a header has its columns
named by position: "1", "2", ... A profile says which column makes which field of the kind's row (`rows.py`); how a cell
is read follows from the field's type (`fields.py`), with the marks and formats given here.
"""

import enum

import msgspec

from intake.faults import Code, Severity


class FileKind(enum.StrEnum):
    """What a file's rows are."""

    ACCOUNTS = "accounts"
    CHARGES = "charges"
    METERS = "meters"
    READINGS = "readings"
    PAYMENTS = "payments"
    REGISTER = "register"
    STATEMENT = "statement"


class Form(enum.StrEnum):
    """How a file is built."""

    CSV = "csv"
    DBF = "dbf"
    XLSX = "xlsx"
    XML = "xml"
    CLIENT_BANK = "client_bank"


class Encoding(enum.StrEnum):
    """How text is written. `auto` asks a dry run for a suggestion; nothing is imported under it."""

    UTF_8 = "utf-8"
    CP1251 = "cp1251"
    CP866 = "cp866"
    KOI8_R = "koi8-r"
    AUTO = "auto"


class DecimalMark(enum.StrEnum):
    """What stands between roubles and kopecks."""

    COMMA = ","
    POINT = "."


class Rounding(enum.StrEnum):
    """What becomes of a third decimal."""

    REFUSE = "refuse"
    HALF_UP = "half_up"


class PeriodFormat(enum.StrEnum):
    """How a month is written. `first_day` is a date that must be the first of the month."""

    ISO = "YYYY-MM"
    MONTH_FIRST = "MM.YYYY"
    MONTH_FIRST_PLAIN = "MMYYYY"
    MONTH_FIRST_SHORT = "MMYY"
    PLAIN = "YYYYMM"
    FIRST_DAY = "first_day"


class _Data(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """What every part of a profile is."""


class Column(_Data, frozen=True, kw_only=True):
    """Where a field of the row comes from.

    Rule: `names` are the columns it is read from; several are joined by a blank (a date and a time). `minus` names a
    column whose amount is taken off (what is transferred = paid - fee). `constant` stands for a column that the file
    does not have. `codes` translates the sender's words before they are read. Other attributes replace the profile's
    own.
    """

    field: str
    names: tuple[str, ...] = ()
    minus: str = ""
    constant: str | None = None
    codes: dict[str, str] = {}
    date_formats: tuple[str, ...] = ()
    period_format: PeriodFormat | None = None
    decimal_mark: DecimalMark | None = None
    optional: bool = False


class Unpivot(_Data, frozen=True, kw_only=True):
    """A wide record that holds several rows: columns with `{n}` in their names, `n` from 1 to `groups`.

    Rule: a group whose `present` column is blank is no row. `groups` is the most there can be: a file may have fewer.
    """

    groups: int
    present: str
    columns: tuple[Column, ...]


class Trailer(_Data, frozen=True, kw_only=True):
    """A last line with totals: begins with `prefix`; its cells are told by position, the prefix taken off the first.

    Rule: `field` of a column is `count`, an amount of the row whose sum it is, or a text of `RegisterTotals`.
    """

    prefix: str
    columns: tuple[Column, ...]


class XmlShape(_Data, frozen=True, kw_only=True):
    """Where records are. `record` is the path of the element from the root by local names, as
    `Accounts/Account/Charge`.

    Rule: a column's name is `@attribute`, `Child`, `Child/@attribute` or `.` of the record; `../` climbs to its
    parents. `namespace`, when given, is what the record elements must belong to.
    """

    record: str
    namespace: str = ""


class ZipShape(_Data, frozen=True, kw_only=True):
    """The file comes zipped; `member` is the pattern (`*.csv`) that exactly one member must match."""

    member: str = "*"


class Limits(_Data, frozen=True, kw_only=True):
    """What a file may not exceed."""

    unpacked_bytes_max: int = 8 << 30
    unpacked_ratio_max: int = 200
    zip_members_max: int = 100
    rows_max: int = 50_000_000
    row_chars_max: int = 1 << 16
    text_chars_max: int = 1024
    xml_depth_max: int = 32
    shared_strings_max: int = 2_000_000


class Profile(_Data, frozen=True, kw_only=True):
    """How one sender writes one kind of file.

    `encoding`: as declared; of DBF the header's language byte decides when it is None. `ignored` are columns that are
    known and not needed; any other unknown column refuses the file. `whole`: a file with an unreadable row is refused
    as a whole.
    `refunds_unsigned`: refunds are written without a minus and known by the operation that they name.
    """

    name: str
    version: int = 1
    kind: FileKind
    form: Form
    title: str = ""
    encoding: Encoding | None = Encoding.UTF_8
    separator: str = ";"
    quoted: bool = True
    header: bool = True
    skip_lines: int = 0
    comment: str = ""
    sheet: str = ""
    columns: tuple[Column, ...] = ()
    ignored: tuple[str, ...] = ()
    unpivot: Unpivot | None = None
    trailer: Trailer | None = None
    xml: XmlShape | None = None
    zip: ZipShape | None = None
    decimal_mark: DecimalMark = DecimalMark.COMMA
    thousands: str = ""
    rounding: Rounding = Rounding.REFUSE
    date_formats: tuple[str, ...] = ("%Y-%m-%d",)
    period_format: PeriodFormat = PeriodFormat.ISO
    whole: bool = False
    empty_is_normal: bool = False
    refunds_unsigned: bool = False
    our_accounts: tuple[str, ...] = ()
    severities: dict[Code, Severity] = {}
    limits: Limits = Limits()

    def __post_init__(self) -> None:
        """Refuse what contradicts itself; columns are held against the rows by `columns.verify`."""
        wrong = [text for text, is_so in self._contradictions().items() if is_so]
        if wrong:
            raise ValueError("profile: " + "; ".join(wrong))

    def _contradictions(self) -> dict[str, bool]:
        is_statement = self.kind is FileKind.STATEMENT
        return {
            "statements and nothing else are client_bank": is_statement is not (self.form is Form.CLIENT_BANK),
            "a CSV needs its encoding": self.form is Form.CSV and self.encoding is None,
            "the separator is one sign": len(self.separator) != 1,
            "XML needs `xml`, and nothing else has it": (self.form is Form.XML) is not (self.xml is not None),
            "XLSX is zipped already": self.form is Form.XLSX and self.zip is not None,
            "only CSV has a trailer": self.trailer is not None and self.form is not Form.CSV,
            "unpivot has 1 to 100 groups": self.unpivot is not None and not 1 <= self.unpivot.groups <= 100,
            "XML is not unpivoted": self.unpivot is not None and self.form is Form.XML,
        }


ANY_COLUMN = "*"
"""Among `ignored`: whatever other columns there are."""


def decode(text: bytes | str) -> Profile:
    """Read a profile from JSON. Errors: `msgspec.ValidationError` says what is wrong and where."""
    return msgspec.json.decode(text, type=Profile)


def encode(profile: Profile) -> bytes:
    """Write a profile as JSON; `decode` gives the same profile again."""
    return msgspec.json.format(msgspec.json.encode(profile))
