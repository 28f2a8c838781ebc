"""Presets: profiles that come with the program, by name. A sender's own profile usually begins as a copy of one.

They are code and versioned with it; `storage/profiles.py` looks here when the database has no profile of a name.
"""

from intake.profile import (
    ANY_COLUMN,
    Column,
    DecimalMark,
    Encoding,
    FileKind,
    Form,
    PeriodFormat,
    Profile,
    Trailer,
    Unpivot,
    XmlShape,
    ZipShape,
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

ACCOUNTS_CSV = Profile(
    name="accounts-csv",
    kind=FileKind.ACCOUNTS,
    form=Form.CSV,
    title="Лицевые счета, канонический CSV",
    columns=_columns(("account", "ACCOUNT"))
    + _optional(
        ("unified_account", "ELS"),
        ("service_id", "IZHKU"),
        ("holder", "HOLDER"),
        ("address", "ADDRESS"),
        ("house_guid", "HOUSE_GUID"),
        ("flat", "FLAT"),
        ("area_dm2", "AREA"),
        ("living_area_dm2", "LIVING_AREA"),
        ("registered", "REGISTERED"),
        ("living", "LIVING"),
        ("ownership", "OWNERSHIP"),
        ("is_closed", "CLOSED"),
        ("opened_on", "OPEN_DATE"),
        ("closed_on", "CLOSE_DATE"),
        ("phone", "PHONE"),
        ("email", "EMAIL"),
        ("has_consent", "CONSENT"),
        ("provider", "PROVIDER_INN"),
        ("contract", "CONTRACT"),
    ),
)

_ZONES = {"1": "1", "2": "2", "3": "3", "T1": "1", "T2": "2", "T3": "3", "Т1": "1", "Т2": "2", "Т3": "3"}
"""Zones of a meter; the letter is Latin or Cyrillic."""

METERS_CSV = Profile(
    name="meters-csv",
    kind=FileKind.METERS,
    form=Form.CSV,
    title="Приборы учёта, канонический CSV",
    columns=_columns(("account", "ACCOUNT"), ("service", "SERVICE"), ("serial", "SERIAL"))
    + _optional(
        ("digits", "DIGITS"),
        ("factor", "FACTOR"),
        ("verified_on", "VERIFIED"),
        ("verify_next_on", "VERIFY_NEXT"),
        ("initial", "INITIAL"),
        ("is_removed", "REMOVED"),
    )
    + (Column(field="zone", names=("ZONE",), optional=True, codes=_ZONES),),
)

READINGS_CSV = Profile(
    name="readings-csv",
    kind=FileKind.READINGS,
    form=Form.CSV,
    title="Показания, канонический CSV",
    columns=_columns(
        ("account", "ACCOUNT"),
        ("service", "SERVICE"),
        ("serial", "SERIAL"),
        ("value", "VALUE"),
        ("read_on", "DATE"),
    )
    + _optional(("source", "SOURCE"))
    + (Column(field="zone", names=("ZONE",), optional=True, codes=_ZONES),),
)

PAYMENTS_CSV = Profile(
    name="payments-csv",
    kind=FileKind.PAYMENTS,
    form=Form.CSV,
    title="Платежи, принятые помимо нас, канонический CSV",
    columns=_columns(
        ("operation", "OPERATION"),
        ("account", "ACCOUNT"),
        ("paid_on", "DATE"),
        ("amount_kopecks", "SUM"),
    )
    + _optional(
        ("agent", "AGENT"),
        ("service", "SERVICE"),
        ("provider", "PROVIDER_INN"),
        ("period", "PERIOD"),
    ),
)

CHARGES_DBF = Profile(
    name="charges-dbf",
    kind=FileKind.CHARGES,
    form=Form.DBF,
    title="Начисления, DBF: запись на услугу",
    encoding=None,
    decimal_mark=DecimalMark.POINT,
    period_format=PeriodFormat.PLAIN,
    date_formats=("%Y%m%d",),
    columns=_columns(
        ("account", "LS"),
        ("period", "PERIOD"),
        ("service", "USL"),
        ("provider", "POST_INN"),
        ("accrued_kopecks", "NACH"),
    )
    + _optional(
        ("contract", "DOGOVOR"),
        ("tariff", "TARIF"),
        ("volume", "VOL"),
        ("unit", "EDIZM"),
        ("opening_kopecks", "SALDO_N"),
        ("recalculated_kopecks", "PERER"),
        ("benefit_kopecks", "LGOTA"),
        ("paid_kopecks", "OPLATA"),
        ("penalty_kopecks", "PENI"),
        ("closing_kopecks", "SALDO_K"),
        ("document", "DOC_NO"),
        ("due_on", "DT_OPL"),
    ),
    ignored=("FIO", "NSP", "ULC", "DOM", "KORP", "KVAR", "KOMNATA"),
)

CHARGES_DBF_WIDE = Profile(
    name="charges-dbf-wide",
    kind=FileKind.CHARGES,
    form=Form.DBF,
    title="Начисления, DBF: запись на счёт, услуги по группам",
    encoding=None,
    decimal_mark=DecimalMark.POINT,
    period_format=PeriodFormat.PLAIN,
    date_formats=("%Y%m%d",),
    columns=_columns(("account", "LS"), ("period", "PERIOD")) + _optional(("due_on", "DT_OPL")),
    ignored=CHARGES_DBF.ignored,
    unpivot=Unpivot(
        groups=10,
        present="USL{n}",
        columns=_columns(("service", "USL{n}"), ("provider", "POSTUSL{n}"), ("accrued_kopecks", "SUM{n}"))
        + _optional(("tariff", "TARIF{n}"), ("volume", "FAKT{n}")),
    ),
)

CHARGES_XML = Profile(
    name="charges-xml",
    kind=FileKind.CHARGES,
    form=Form.XML,
    title="Начисления, XML: счёт и его начисления",
    encoding=None,
    decimal_mark=DecimalMark.POINT,
    xml=XmlShape(record="Charges/Account/Charge"),
    columns=_columns(
        ("period", "../../@period"),
        ("account", "../@number"),
        ("service", "@service"),
        ("provider", "@provider"),
        ("accrued_kopecks", "@accrued"),
    )
    + _optional(
        ("unified_account", "../@els"),
        ("contract", "@contract"),
        ("kind", "@kind"),
        ("tariff", "@tariff"),
        ("norm", "@norm"),
        ("volume", "@volume"),
        ("unit", "@unit"),
        ("opening_kopecks", "@opening"),
        ("recalculated_kopecks", "@recalc"),
        ("benefit_kopecks", "@benefit"),
        ("penalty_kopecks", "@penalty"),
        ("duty_kopecks", "@duty"),
        ("paid_kopecks", "@paid"),
        ("closing_kopecks", "@closing"),
        ("stated_due_kopecks", "@due"),
        ("document", "@document"),
        ("document_on", "@documentDate"),
        ("due_on", "@dueDate"),
    ),
)

CHARGES_XLSX = Profile(
    name="charges-xlsx",
    kind=FileKind.CHARGES,
    form=Form.XLSX,
    title="Начисления, лист XLSX с русскими названиями столбцов",
    thousands=" \u00a0",
    date_formats=("%Y-%m-%d", "%d.%m.%Y"),
    period_format=PeriodFormat.MONTH_FIRST,
    columns=_columns(
        ("account", "Лицевой счёт"),
        ("period", "Период"),
        ("service", "Услуга"),
        ("provider", "ИНН поставщика"),
        ("accrued_kopecks", "Начислено"),
    )
    + _optional(
        ("contract", "Договор"),
        ("tariff", "Тариф"),
        ("volume", "Объём"),
        ("unit", "Ед. изм."),
        ("opening_kopecks", "Входящее сальдо"),
        ("recalculated_kopecks", "Перерасчёт"),
        ("benefit_kopecks", "Льгота"),
        ("penalty_kopecks", "Пени"),
        ("paid_kopecks", "Оплачено"),
        ("closing_kopecks", "Исходящее сальдо"),
        ("document", "Документ"),
        ("due_on", "Срок оплаты"),
    ),
)

ZIP_CSV = Profile(
    name="zip-csv",
    kind=FileKind.REGISTER,
    form=Form.CSV,
    title="Реестр эквайера: CSV в архиве, возвраты называют исходную операцию, пустой файл в пустой день",
    zip=ZipShape(member="*.csv"),
    whole=True,
    empty_is_normal=True,
    refunds_unsigned=True,
    ignored=(ANY_COLUMN,),
    columns=(
        *_columns(
            ("operation", "TRANSACTION_ID"),
            ("account", "ACCOUNT"),
            ("paid_kopecks", "SUM"),
            ("fee_kopecks", "COMMISSION"),
        ),
        *_optional(("refund_of", "PARENT_ID"), ("payer", "PAYER"), ("point", "POINT")),
        Column(field="operated_at", names=("TRANS_DATE",), date_formats=("%d.%m.%Y %H:%M:%S", "%Y-%m-%d %H:%M:%S")),
        Column(field="transferred_kopecks", names=("SUM",), minus="COMMISSION"),
    ),
)

OSMP_TAB = Profile(
    name="osmp-tab",
    kind=FileKind.REGISTER,
    form=Form.CSV,
    title="Реестр сверки ОСМП: четыре столбца через табуляцию",
    separator="\t",
    quoted=False,
    header=False,
    whole=True,
    decimal_mark=DecimalMark.POINT,
    columns=(
        *_columns(("operation", "1"), ("account", "3"), ("paid_kopecks", "4"), ("transferred_kopecks", "4")),
        Column(field="operated_at", names=("2",), date_formats=("%Y%m%d%H%M%S",)),
        Column(field="fee_kopecks", constant="0"),
    ),
    trailer=Trailer(prefix="Total:", columns=_columns(("count", "2"), ("paid_kopecks", "3"))),
)

CLIENT_BANK = Profile(
    name="client-bank",
    kind=FileKind.STATEMENT,
    form=Form.CLIENT_BANK,
    title="Выписка банка, 1CClientBankExchange",
    encoding=None,
)

PRESETS = {
    profile.name: profile
    for profile in (
        *(CHARGES_CSV, ACCOUNTS_CSV, METERS_CSV, READINGS_CSV, PAYMENTS_CSV),
        *(CHARGES_DBF, CHARGES_DBF_WIDE, CHARGES_XML, CHARGES_XLSX),
        *(BANK_12, ZIP_CSV, OSMP_TAB, CLIENT_BANK),
    )
}
