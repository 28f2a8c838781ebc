"""Presets: profiles that come with the program, by name. A sender's own profile usually begins as a copy of one.

They are code and versioned with it; `storage/profiles.py` looks here when the database has no profile of a name.
"""

from intake.profile import (
    Column,
    Encoding,
    FileKind,
    Form,
    PeriodFormat,
    Profile,
    Trailer,
)


def _columns(*pairs: tuple[str, str]) -> tuple[Column, ...]:
    """Columns that a file must have: field and name."""
    return tuple(Column(field=field, names=(name,)) for field, name in pairs)


def _optional(*pairs: tuple[str, str]) -> tuple[Column, ...]:
    """Columns that a file may have."""
    return tuple(Column(field=field, names=(name,), optional=True) for field, name in pairs)


CHARGES_CSV = Profile(
    name="charges-csv",
    kind=FileKind.CHARGES,
    form=Form.CSV,
    title="Начисления, канонический CSV",
    columns=_columns(
        ("account", "ACCOUNT"),
        ("period", "PERIOD"),
        ("service", "SERVICE"),
        ("provider", "PROVIDER_INN"),
        ("accrued_kopecks", "ACCRUED"),
    )
    + _optional(
        ("unified_account", "ELS"),
        ("contract", "CONTRACT"),
        ("kind", "KIND"),
        ("tariff", "TARIFF"),
        ("norm", "NORM"),
        ("volume", "VOLUME"),
        ("unit", "UNIT"),
        ("opening_kopecks", "OPENING"),
        ("recalculated_kopecks", "RECALC"),
        ("benefit_kopecks", "BENEFIT"),
        ("penalty_kopecks", "PENALTY"),
        ("duty_kopecks", "DUTY"),
        ("paid_kopecks", "PAID"),
        ("closing_kopecks", "CLOSING"),
        ("stated_due_kopecks", "DUE"),
        ("document", "DOC_NO"),
        ("document_on", "DOC_DATE"),
        ("due_on", "DUE_DATE"),
    ),
)

BANK_12 = Profile(
    name="bank-12",
    kind=FileKind.REGISTER,
    form=Form.CSV,
    title="Реестр банка из 12 столбцов с итоговой строкой",
    encoding=Encoding.CP1251,
    quoted=False,
    header=False,
    whole=True,
    period_format=PeriodFormat.MONTH_FIRST_SHORT,
    date_formats=("%d-%m-%Y",),
    columns=(
        Column(field="operated_at", names=("1", "2"), date_formats=("%d-%m-%Y %H-%M-%S",)),
        *_columns(
            ("point", "3"),
            ("terminal", "4"),
            ("operation", "5"),
            ("account", "6"),
            ("payer", "7"),
            ("address", "8"),
            ("period", "9"),
            ("paid_kopecks", "10"),
            ("transferred_kopecks", "11"),
            ("fee_kopecks", "12"),
        ),
    ),
    trailer=Trailer(
        prefix="=",
        columns=_columns(
            ("count", "1"),
            ("paid_kopecks", "2"),
            ("transferred_kopecks", "3"),
            ("fee_kopecks", "4"),
            ("order_number", "5"),
            ("order_on", "6"),
        ),
    ),
)

PRESETS = {profile.name: profile for profile in (CHARGES_CSV, BANK_12)}
