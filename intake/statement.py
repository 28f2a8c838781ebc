"""A bank statement or a file of payment orders, whoever writes or reads it: the contents of 1CClientBankExchange.

The names of keys stand here once, for the parser (`client_bank.py`) and for writers. Source: the format's published
description, versions 1.01 to 1.03 (rules §3.6).
"""

import datetime

import msgspec

HEADER_KEYS = (
    "ВерсияФормата",
    "Кодировка",
    "Отправитель",
    "Получатель",
    "ДатаСоздания",
    "ВремяСоздания",
    "ДатаНачала",
    "ДатаКонца",
    "РасчСчет",
    "Документ",
)
SECTION_KEYS = (
    "ДатаНачала",
    "ДатаКонца",
    "РасчСчет",
    "НачальныйОстаток",
    "ВсегоПоступило",
    "ВсегоСписано",
    "КонечныйОстаток",
)

PARTY_KEYS = {
    "account": ("Счет", 20),
    "title": ("", 0),
    "inn": ("ИНН", 12),
    "kpp": ("КПП", 9),
    "name": ("1", 0),
    "name_2": ("2", 0),
    "name_3": ("3", 0),
    "name_4": ("4", 0),
    "settlement_account": ("РасчСчет", 20),
    "bank": ("Банк1", 0),
    "bank_town": ("Банк2", 0),
    "bic": ("БИК", 9),
    "correspondent_account": ("Корсчет", 20),
}
"""Fields of `Party`: what follows `Плательщик` or `Получатель` in the key, and the longest value (0: any)."""

OTHER_KEYS = {
    "КвитанцияДата": 10,
    "КвитанцияВремя": 8,
    "КвитанцияСодержание": 0,
    "ВидПлатежа": 0,
    "ВидОплаты": 2,
    "Код": 25,
    "Очередность": 2,
    "СтатусСоставителя": 2,
    "ПоказательКБК": 20,
    "ОКАТО": 11,
    "ПоказательОснования": 2,
    "ПоказательПериода": 10,
    "ПоказательНомера": 0,
    "ПоказательДаты": 10,
    "ПоказательТипа": 2,
    "СрокАкцепта": 0,
    "ВидАккредитива": 0,
    "СрокПлатежа": 10,
    "ПлатежПоПредст": 0,
    "ДополнУсловия": 0,
    "УсловиеОплаты1": 0,
    "УсловиеОплаты2": 0,
    "УсловиеОплаты3": 0,
    "НомерСчетаПоставщика": 0,
    "ДатаОтсылкиДок": 10,
    **{f"НазначениеПлатежа{number}": 0 for number in range(1, 7)},
}
"""Further keys of a document that are known, and the longest value (0: any)."""

BUDGET_STATUS = "СтатусСоставителя"
BUDGET_KEYS = (
    "ПоказательКБК",
    "ОКАТО",
    "ПоказательОснования",
    "ПоказательПериода",
    "ПоказательНомера",
    "ПоказательДаты",
)
"""Keys that a payment to the budget must have beside `СтатусСоставителя`; `ПоказательТипа` is no longer filled."""


class Party(msgspec.Struct, frozen=True, kw_only=True):
    """Who pays or is paid. `title` is the free text that opens the block, usually "ИНН ... name"."""

    account: str = ""
    title: str = ""
    inn: str = ""
    kpp: str = ""
    name: str = ""
    name_2: str = ""
    name_3: str = ""
    name_4: str = ""
    settlement_account: str = ""
    bank: str = ""
    bank_town: str = ""
    bic: str = ""
    correspondent_account: str = ""

    @property
    def accounts(self) -> frozenset[str]:
        """The account, and the settlement account behind it when a bank pays indirectly."""
        return frozenset({self.account, self.settlement_account}) - {""}


class Document(msgspec.Struct, frozen=True, kw_only=True):
    """One document. `written_off_on` and `received_on` are the bank's; without them it has moved nothing yet.

    `others` are keys of the document that have no field here, known or not, as sent.
    """

    kind: str
    number: str
    dated_on: datetime.date
    amount_kopecks: int
    payer: Party = Party()
    payee: Party = Party()
    written_off_on: datetime.date | None = None
    received_on: datetime.date | None = None
    purpose: str = ""
    others: dict[str, str] = {}
    row: int = 0


class AccountSection(msgspec.Struct, frozen=True, kw_only=True):
    """One account's turnover over days: opening + received - written off = closing."""

    account: str
    from_on: datetime.date
    to_on: datetime.date
    opening_kopecks: int
    received_kopecks: int
    written_off_kopecks: int
    closing_kopecks: int
    row: int = 0


class Statement(msgspec.Struct, frozen=True, kw_only=True):
    """The whole file. `header` keeps keys without a field here, as sent."""

    version: str
    encoding: str
    sender: str = ""
    receiver: str = ""
    created_on: datetime.date | None = None
    created_at: str = ""
    from_on: datetime.date | None = None
    to_on: datetime.date | None = None
    accounts: tuple[str, ...] = ()
    filters: tuple[str, ...] = ()
    header: dict[str, str] = {}
    sections: tuple[AccountSection, ...] = ()
    documents: tuple[Document, ...] = ()
