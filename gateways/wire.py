"""Wire structs of the JSON door: what is parsed, what is told. `/openapi.json` is generated from these very types."""

import datetime
from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from engine.charge import Kind
from engine.events import EventKind
from engine.ids import period_text
from engine.limits import EARMARK_LINES_MAX
from engine.outcomes import Receipt

KindName = Literal["charge", "court_cost", "penalty"]
PeriodText = Annotated[
    str,
    # The length too: in Python's expressions `$` lets a line end follow.
    Meta(
        pattern=r"^20[0-9]{2}-(0[1-9]|1[0-2])$",
        max_length=7,
        description="Месяц, ГГГГ-ММ",
        examples=["2026-10"],
    ),
]
Code = Annotated[str, Meta(min_length=1, max_length=32)]
Kopecks = Annotated[int, Meta(ge=-(2**63), le=2**63 - 1, description="Сумма в копейках: целое число, без дробей")]
PartKopecks = Annotated[int, Meta(gt=0, le=2**53, description="Сумма в копейках")]
Instant = Annotated[
    datetime.datetime,
    Meta(
        tz=True,
        description="Когда деньги приняты у плательщика: RFC 3339 со смещением",
        examples=["2026-11-24T10:15:42+03:00"],
    ),
]


class EarmarkLineRequest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One line of a blank form: this much for this service."""

    service: Annotated[Code, Meta(description="Код услуги")]
    amount_kopecks: PartKopecks
    provider: Annotated[Code | None, Meta(description="Код поставщика")] = None
    period: Annotated[PeriodText | None, Meta(description="Месяц, ГГГГ-ММ")] = None


class EarmarkRequest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The payer's designation; `lines` excludes the other fields."""

    period: Annotated[PeriodText | None, Meta(description="Месяц, ГГГГ-ММ")] = None
    service: Annotated[Code | None, Meta(description="Код услуги")] = None
    provider: Annotated[Code | None, Meta(description="Код поставщика")] = None
    document: Annotated[
        Annotated[str, Meta(min_length=1, max_length=64)] | None, Meta(description="Номер платёжного документа")
    ] = None
    kind: Annotated[KindName | None, Meta(description="Начисление, судебные расходы или пени")] = None
    lines: Annotated[
        tuple[EarmarkLineRequest, ...],
        Meta(max_length=EARMARK_LINES_MAX, description="Суммы по услугам; исключает остальные поля"),
    ] = ()


class PaymentRequest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A payment that was accepted from a payer. `txn_id` is the sender's own number: its key, for ever."""

    txn_id: Annotated[
        str,
        Meta(
            min_length=1,
            max_length=64,
            description="Номер операции у отправителя, единственный навсегда",
            examples=["T-000123"],
        ),
    ]
    account: Annotated[
        str,
        Meta(min_length=1, max_length=64, description="Лицевой счёт; нули впереди значимы", examples=["1100000005"]),
    ]
    amount_kopecks: Annotated[Kopecks, Meta(examples=[184317])]
    accepted_at: Instant
    earmark: Annotated[EarmarkRequest | None, Meta(description="Назначение, выбранное плательщиком")] = None
    doc_period: Annotated[
        PeriodText | None, Meta(description="Месяц платёжного документа, по которому платят, ГГГГ-ММ")
    ] = None
    channel: Annotated[str, Meta(max_length=32, description="Откуда платёж: terminal, web, …")] = ""
    fee_kopecks: Annotated[
        int, Meta(ge=0, le=2**53, description="Комиссия, взятая с плательщика сверх суммы; для сведения")
    ] = 0


class ReversalRequest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Undo a payment: all that is left of it, or `amount_kopecks` of it."""

    txn_id: Annotated[str, Meta(min_length=1, max_length=64, description="Номер самой отмены у отправителя")]
    amount_kopecks: Annotated[PartKopecks | None, Meta(description="Сколько вернуть; без поля — весь остаток")] = None
    reason: Annotated[str, Meta(max_length=256, description="Причина")] = ""


class AllocationView(msgspec.Struct, frozen=True, kw_only=True):
    """A part of the payment, for one open item."""

    service: Annotated[str, Meta(description="Код услуги")]
    provider: Annotated[str, Meta(description="Код поставщика")]
    period: PeriodText
    kind: Annotated[KindName, Meta(description="Начисление, судебные расходы или пени")]
    amount_kopecks: Annotated[int, Meta(description="Часть суммы")]


class AdvanceView(msgspec.Struct, frozen=True, kw_only=True):
    """A part kept as an advance: for a service and provider, or for the account (both empty)."""

    service: Annotated[str, Meta(description="Код услуги; пусто — аванс всего счёта")]
    provider: Annotated[str, Meta(description="Код поставщика; пусто — аванс всего счёта")]
    amount_kopecks: Annotated[int, Meta(description="Часть суммы")]


class FeeView(msgspec.Struct, frozen=True, kw_only=True):
    """A fee withheld from a provider."""

    provider: Annotated[str, Meta(description="Код поставщика")]
    amount_kopecks: Annotated[int, Meta(description="Удержано из его денег")]


class EventView(msgspec.Struct, frozen=True, kw_only=True):
    """One event of an account: a payment's receipt, a ledger row, a live event. Allocations + advances = amount."""

    payment_id: Annotated[str, Meta(description="Номер у нас; строка, ибо не помещается в число JSON без потерь")]
    kind: Annotated[str, Meta(description="Событие: payment_received, payment_reversed, charge_posted, …")]
    account: Annotated[str, Meta(description="Лицевой счёт")]
    account_seq: Annotated[int, Meta(description="Порядковый номер события на счёте, без пропусков")]
    source: Annotated[str, Meta(description="Отправитель")]
    txn_id: Annotated[str, Meta(description="Номер операции у отправителя")]
    amount_kopecks: Annotated[int, Meta(description="Сумма; у отмены отрицательная")]
    balance_kopecks: Annotated[int, Meta(description="Баланс счёта после события; больше нуля — долг")]
    allocations: Annotated[list[AllocationView], Meta(description="Расщепление по открытым позициям")]
    advances: Annotated[list[AdvanceView], Meta(description="Что оставлено авансом")]
    fees: Annotated[list[FeeView], Meta(description="Комиссия, удержанная с поставщиков")]
    accepted_at: Annotated[datetime.datetime, Meta(description="Когда деньги приняты, UTC")]
    recorded_at: Annotated[datetime.datetime, Meta(description="Когда записано в журнал, UTC")]
    policy: Annotated[str, Meta(description="Порядок расщепления и его версия")]
    channel: Annotated[str, Meta(description="Откуда платёж")]


class OpenItemReply(msgspec.Struct, frozen=True, kw_only=True):
    """One open item of an account."""

    service: Annotated[str, Meta(description="Код услуги")]
    provider: Annotated[str, Meta(description="Код поставщика")]
    period: PeriodText
    kind: Annotated[KindName, Meta(description="Начисление, судебные расходы или пени")]
    due_kopecks: Annotated[int, Meta(description="Осталось уплатить")]
    accrued_kopecks: Annotated[int, Meta(description="Начислено")]
    due_on: Annotated[str | None, Meta(description="Срок уплаты")]
    document: Annotated[str, Meta(description="Номер платёжного документа")]


class AccountReply(msgspec.Struct, frozen=True, kw_only=True):
    """An account's balance and what it is made of."""

    account: Annotated[str, Meta(description="Лицевой счёт")]
    status: Annotated[Literal["open", "closed"], Meta(description="Открыт или закрыт")]
    account_seq: Annotated[int, Meta(description="Номер последнего события на счёте")]
    balance_kopecks: Annotated[int, Meta(description="Долг минус аванс; больше нуля — долг")]
    due_kopecks: Annotated[int, Meta(description="Долг")]
    advance_kopecks: Annotated[int, Meta(description="Аванс")]
    open_items: Annotated[list[OpenItemReply], Meta(description="Из чего состоит долг")]


class LedgerPage(msgspec.Struct, frozen=True, kw_only=True):
    """A page of an account's events, oldest first. `next` is the cursor of the next page."""

    items: Annotated[list[EventView], Meta(description="События, старые впереди")]
    has_more: Annotated[bool, Meta(description="Есть ли следующая страница")]
    next: Annotated[str | None, Meta(description="Указатель следующей страницы, для after")]


class BatchResult(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The result of one row of a batch: its receipt, or its problem."""

    row: Annotated[int, Meta(description="Номер строки, с единицы; пустые не в счёт")]
    status: Annotated[int, Meta(description="Каким был бы код HTTP одиночного запроса")]
    replayed: Annotated[bool, Meta(description="Это повтор: ответ прежний")] = False
    payment: Annotated[EventView | None, Meta(description="Квитанция")] = None
    problem: Annotated[msgspec.Raw | None, Meta(description="Отказ: Problem")] = None


def utc(us: int) -> datetime.datetime:
    """Turn UTC microseconds into an aware datetime."""
    return _EPOCH + datetime.timedelta(microseconds=us)


def micros(at: datetime.datetime) -> int:
    """Turn an aware datetime into UTC microseconds."""
    return (at - _EPOCH) // _MICROSECOND


_EPOCH = datetime.datetime(1970, 1, 1, tzinfo=datetime.UTC)
_MICROSECOND = datetime.timedelta(microseconds=1)
KIND_NAMES: dict[int, KindName] = {Kind.CHARGE: "charge", Kind.COURT_COST: "court_cost", Kind.PENALTY: "penalty"}


def event_view(receipt: Receipt) -> EventView:
    """Tell a receipt. The same receipt gives the same view, whenever it is asked for."""
    lines = list(zip(receipt.keys, receipt.amounts, strict=True))
    return EventView(
        payment_id=str(receipt.payment_id),
        kind=EventKind(receipt.kind).name.lower(),
        account=receipt.account,
        account_seq=receipt.account_seq,
        source=receipt.source,
        txn_id=receipt.txn_id,
        amount_kopecks=receipt.amount_kopecks,
        balance_kopecks=receipt.balance_kopecks,
        allocations=[
            AllocationView(
                service=k.service,
                provider=k.provider,
                period=period_text(k.period),
                kind=KIND_NAMES[k.kind],
                amount_kopecks=a,
            )
            for k, a in lines
            if k.kind in KIND_NAMES
        ],
        advances=[
            AdvanceView(service=k.service, provider=k.provider, amount_kopecks=a)
            for k, a in lines
            if k.kind == Kind.ADVANCE
        ],
        fees=[FeeView(provider=k.provider, amount_kopecks=a) for k, a in lines if k.kind == Kind.FEE],
        accepted_at=utc(receipt.accepted_at_us),
        recorded_at=utc(receipt.recorded_at_us),
        policy=receipt.policy,
        channel=receipt.channel,
    )
