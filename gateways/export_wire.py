"""Records of exports as readers get them, and their two forms: NDJSON, a record a line; CSV, a line of a record a row.

Both are for machines and byte-exact: nothing is masked or prefixed against spreadsheets that would run a cell as a
formula. CSV is RFC 4180, UTF-8, CRLF; empty means none.
"""

import csv
import datetime
import io
from collections.abc import Iterable, Iterator
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta

from actors.exports import Cursor, ExportedAccount, ExportedEvent, ExportedReading, Item
from engine.charge import Kind, LineKey
from engine.events import EventKind
from engine.ids import period_text
from gateways.wire import PeriodText, utc

LineKind = Literal["charge", "court_cost", "penalty", "advance", "fee"]
Format = Literal["ndjson", "csv"]
_Cursor = Annotated[str, Meta(description="Указатель после этой записи: с него выгрузку можно продолжить (after)")]
_Service = Annotated[str, Meta(description="Код услуги; пусто — аванс всего счёта")]
_Provider = Annotated[str, Meta(description="Код поставщика; пусто — аванс всего счёта")]
_Account = Annotated[str, Meta(description="Лицевой счёт")]
_Period = Annotated[PeriodText | None, Meta(description="Месяц, ГГГГ-ММ")]
_Status = Annotated[
    Literal["unknown", "open", "closed", "unreadable"],
    Meta(description="unreadable: счёт разбирает человек, суммы не показаны"),
]


class ExportLine(msgspec.Struct, frozen=True, kw_only=True):
    """One line of a charge or a payment."""

    service: _Service
    provider: _Provider
    period: _Period
    kind: Annotated[LineKind, Meta(description="Начисление, судебные расходы, пени, аванс, комиссия")]
    amount_kopecks: Annotated[int, Meta(description="Сумма строки")]


class BalanceLine(msgspec.Struct, frozen=True, kw_only=True):
    """One open item, or an advance with minus."""

    service: _Service
    provider: _Provider
    period: _Period
    kind: Annotated[LineKind, Meta(description="Начисление, судебные расходы, пени, аванс")]
    amount_kopecks: Annotated[int, Meta(description="Долг; аванс и переплата отрицательные")]
    due_on: Annotated[datetime.date | None, Meta(description="Срок уплаты")]
    document: Annotated[str, Meta(description="Номер платёжного документа")]


class AccountLine(msgspec.Struct, frozen=True, kw_only=True):
    """One service of an account and who provides it."""

    service: _Service
    provider: _Provider


class ChargeRecord(msgspec.Struct, frozen=True, kw_only=True):
    """A charge, a correction, a penalty, or a movement of debt between items."""

    cursor: _Cursor
    event_id: Annotated[str, Meta(description="Номер события у нас")]
    event: Annotated[str, Meta(description="charge_posted, charge_adjusted, penalty_accrued, correction_netted, …")]
    account: _Account
    account_seq: Annotated[int, Meta(description="Порядковый номер события на счёте")]
    source: Annotated[str, Meta(description="Отправитель")]
    txn_id: Annotated[str, Meta(description="Номер у отправителя")]
    accepted_at: Annotated[datetime.datetime, Meta(description="Когда начислено, UTC")]
    recorded_at: Annotated[datetime.datetime, Meta(description="Когда записано в журнал, UTC")]
    document: Annotated[str, Meta(description="Номер платёжного документа")]
    due_on: Annotated[datetime.date | None, Meta(description="Срок уплаты по документу")]
    amount_kopecks: Annotated[int, Meta(description="Сумма показанных строк")]
    lines: Annotated[list[ExportLine], Meta(description="Строки, на которые у получателя есть право")]


class PaymentRecord(msgspec.Struct, frozen=True, kw_only=True):
    """A payment, its reversal, an advance applied to debts, a refund."""

    cursor: _Cursor
    event_id: Annotated[str, Meta(description="Номер платежа (события) у нас")]
    event: Annotated[str, Meta(description="payment_received, payment_reversed, advance_applied, refunded")]
    account: _Account
    account_seq: Annotated[int, Meta(description="Порядковый номер события на счёте")]
    of_account_seq: Annotated[int | None, Meta(description="Номер на счёте платежа, который отменён или зачтён")]
    source: Annotated[str, Meta(description="Отправитель")]
    txn_id: Annotated[str, Meta(description="Номер операции у отправителя")]
    channel: Annotated[str, Meta(description="Откуда платёж")]
    accepted_at: Annotated[datetime.datetime, Meta(description="Когда деньги приняты, UTC")]
    recorded_at: Annotated[datetime.datetime, Meta(description="Когда записано в журнал, UTC")]
    amount_kopecks: Annotated[int, Meta(description="Сумма показанных строк без комиссии")]
    lines: Annotated[list[ExportLine], Meta(description="Строки, на которые у получателя есть право")]


class AccountRecord(msgspec.Struct, frozen=True, kw_only=True):
    """An account. Names of people are not told."""

    cursor: _Cursor
    account: _Account
    status: _Status
    agreement: Annotated[str, Meta(description="Соглашение, по которому расщепляются платежи")]
    account_seq: Annotated[int, Meta(description="Номер последнего события на счёте")]
    address: Annotated[str, Meta(description="Адрес дома")]
    flat: Annotated[str, Meta(description="Помещение")]
    area_dm2: Annotated[int, Meta(description="Площадь, сотые доли квадратного метра; 0 — неизвестна")]
    lines: Annotated[list[AccountLine], Meta(description="Услуги, которые начислялись, и их поставщики")]


class BalanceRecord(msgspec.Struct, frozen=True, kw_only=True):
    """What an account owes, as of the position told in the header Kopeck-Position."""

    cursor: _Cursor
    account: _Account
    status: _Status
    account_seq: Annotated[int, Meta(description="Номер последнего учтённого события на счёте")]
    balance_kopecks: Annotated[int, Meta(description="Сумма показанных строк; больше нуля — долг")]
    lines: Annotated[list[BalanceLine], Meta(description="Открытые позиции и авансы")]


class ReadingRecord(msgspec.Struct, frozen=True, kw_only=True):
    """What a meter showed."""

    cursor: _Cursor
    account: _Account
    service: Annotated[str, Meta(description="Код услуги")]
    serial: Annotated[str, Meta(description="Номер прибора")]
    zone: Annotated[int, Meta(description="Тарифная зона, с единицы")]
    value: Annotated[str, Meta(description="Показание: десятичное число текстом")]
    read_on: Annotated[datetime.date, Meta(description="Дата показания")]
    source: Annotated[str, Meta(description="Кто снял")]
    billing: Annotated[str, Meta(description="Биллинг, который прислал")]


Record = ChargeRecord | PaymentRecord | AccountRecord | BalanceRecord | ReadingRecord
RECORDS: dict[str, tuple[type[Record], type[msgspec.Struct] | None]] = {
    "accounts": (AccountRecord, AccountLine),
    "charges": (ChargeRecord, ExportLine),
    "payments": (PaymentRecord, ExportLine),
    "balances": (BalanceRecord, BalanceLine),
    "readings": (ReadingRecord, None),
}
_KIND_NAMES: dict[int, LineKind] = {
    Kind.CHARGE: "charge",
    Kind.COURT_COST: "court_cost",
    Kind.PENALTY: "penalty",
    Kind.ADVANCE: "advance",
    Kind.FEE: "fee",
}
_OF_WHOLE = ("lines", "amount_kopecks", "balance_kopecks")
"""What CSV leaves out of a record: its lines follow, and a sum beside each of them would be counted again and again."""
CONTENT_TYPES: dict[Format, str] = {"ndjson": "application/x-ndjson", "csv": "text/csv; charset=utf-8"}
_encode = msgspec.json.Encoder().encode


def render(kind: str, form: Format, pages: Iterable[Item]) -> bytes:
    """Write a page of items of an export in a form."""
    if form == "ndjson":
        return b"".join(_encode(record_of(kind, item)) + b"\n" for item in pages)
    text = io.StringIO()
    csv.writer(text, lineterminator="\r\n").writerows(row for item in pages for row in _rows(kind, item))
    return text.getvalue().encode()


def header(kind: str, form: Format) -> bytes:
    """Write what comes before the first record: CSV has a row of names, NDJSON nothing."""
    return b"" if form == "ndjson" else (",".join(columns(kind)) + "\r\n").encode()


def columns(kind: str) -> list[str]:
    """Name the columns of CSV: those of the record, then those of its line."""
    record, line = RECORDS[kind]
    whole = [name for name in record.__struct_fields__ if name not in _OF_WHOLE]
    return whole + (list(line.__struct_fields__) if line is not None else [])


def _rows(kind: str, item: Item) -> Iterator[list[object]]:
    """One row a line; each has the cursor right after itself."""
    told = msgspec.to_builtins(record_of(kind, item))
    lines = told.pop("lines", [])
    whole = [told[name] for name in RECORDS[kind][0].__struct_fields__ if name not in _OF_WHOLE]
    if not lines and not item.told_lines:
        empty = [""] * (len(columns(kind)) - len(whole))
        yield ["" if value is None else value for value in whole + empty]
    for number, line in enumerate(lines, 1):
        is_last = number == len(lines)
        whole[0] = _after(item.cursor, 0 if is_last else item.told_lines + number)
        yield ["" if value is None else value for value in (*whole, *line.values())]


def _after(cursor: Cursor, lines: int) -> str:
    return (cursor.within(lines) if lines else cursor).text()


def record_of(kind: str, item: Item) -> Record:
    """Make the record that a reader is told, without the lines that it was told before."""
    if isinstance(item.record, ExportedEvent):
        return _event(kind, item, item.record)
    if isinstance(item.record, ExportedAccount):
        return _account(item, item.record) if kind == "accounts" else _balance(item, item.record)
    assert isinstance(item.record, ExportedReading), "every kind has its record"
    return ReadingRecord(cursor=item.cursor.text(), **msgspec.structs.asdict(item.record))


def _event(kind: str, item: Item, exported: ExportedEvent) -> ChargeRecord | PaymentRecord:
    receipt, details = exported.receipt, exported.details
    lines = list(zip(receipt.keys, receipt.amounts, strict=True))[item.told_lines :]
    common: dict[str, Any] = {
        "cursor": item.cursor.text(),
        "event_id": str(receipt.payment_id),
        "event": EventKind(receipt.kind).name.lower(),
        "account": receipt.account,
        "account_seq": receipt.account_seq,
        "source": receipt.source,
        "txn_id": receipt.txn_id,
        "accepted_at": utc(receipt.accepted_at_us),
        "recorded_at": utc(receipt.recorded_at_us),
        "amount_kopecks": sum(kopecks for key, kopecks in lines if key.kind is not Kind.FEE),
        "lines": [_line(key, kopecks) for key, kopecks in lines],
    }
    if kind == "payments":
        return PaymentRecord(**common, channel=receipt.channel, of_account_seq=receipt.ref or None)
    document, due_on = ("", None) if details is None else (details.document, details.due_on)
    return ChargeRecord(**common, document=document, due_on=due_on)


def _line(key: LineKey, kopecks: int) -> ExportLine:
    return ExportLine(
        service=key.service,
        provider=key.provider,
        period=period_text(key.period) if key.period else None,
        kind=_KIND_NAMES[key.kind],
        amount_kopecks=kopecks,
    )


def _account(item: Item, exported: ExportedAccount) -> AccountRecord:
    state = exported.state
    return AccountRecord(
        cursor=item.cursor.text(),
        account=exported.account,
        status=_status(exported),
        agreement="" if state is None else state.agreement,
        account_seq=0 if state is None else state.seq,
        address=exported.address,
        flat=exported.flat,
        area_dm2=exported.area_dm2,
        lines=[
            AccountLine(service=service, provider=provider) for service, provider in exported.keys[item.told_lines :]
        ],
    )


def _status(exported: ExportedAccount) -> Literal["unknown", "open", "closed", "unreadable"]:
    names: tuple[Literal["unknown", "open", "closed"], ...] = ("unknown", "open", "closed")
    return "unreadable" if exported.state is None else names[exported.state.status]


def _balance(item: Item, exported: ExportedAccount) -> BalanceRecord:
    lines = list(_balance_lines(exported))[item.told_lines :]
    return BalanceRecord(
        cursor=item.cursor.text(),
        account=exported.account,
        status=_status(exported),
        account_seq=0 if exported.state is None else exported.state.seq,
        balance_kopecks=sum(line.amount_kopecks for line in lines),
        lines=lines,
    )


def _balance_lines(exported: ExportedAccount) -> Iterator[BalanceLine]:
    """Open items in the order of their keys, then advances, the oldest first."""
    if exported.state is None:
        return
    for key, owed in sorted(exported.state.items.items()):
        if owed.due_kopecks:
            yield BalanceLine(
                service=key.service,
                provider=key.provider,
                period=period_text(key.period) if key.period else None,
                kind=_KIND_NAMES[key.kind],
                amount_kopecks=owed.due_kopecks,
                due_on=owed.due_on,
                document=owed.document,
            )
    for lot in exported.state.lots:
        yield BalanceLine(
            service=lot.service,
            provider=lot.provider,
            period=None,
            kind="advance",
            amount_kopecks=-lot.kopecks,
            due_on=None,
            document="",
        )
