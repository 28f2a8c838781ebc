"""What the JSON door tells of registers and cases. `/openapi.json` is generated from these very types."""

import datetime
from typing import Annotated

import msgspec
from msgspec import Meta


class OutcomeReply(msgspec.Struct, frozen=True, kw_only=True):
    """How many lines ended in one way."""

    outcome: Annotated[str, Meta(description="Исход строк: matched, missing_online, …; пусто — ещё не решено")]
    lines: Annotated[int, Meta(description="Сколько строк")]
    theirs_kopecks: Annotated[int, Meta(description="Сумма по реестру")]
    ours_kopecks: Annotated[int, Meta(description="Сумма у нас")]


class RegisterReply(msgspec.Struct, frozen=True, kw_only=True):
    """A register or a statement, and what became of it."""

    id: Annotated[str, Meta(description="Номер файла у нас")]
    kind: Annotated[str, Meta(description="register — реестр, statement — выписка банка")]
    connection: Annotated[str, Meta(description="Подключение, чей это файл")]
    name: Annotated[str, Meta(description="Имя файла у отправителя")]
    sha256: Annotated[str, Meta(description="SHA-256 содержимого")]
    size_bytes: Annotated[int, Meta(description="Размер")]
    profile: Annotated[str, Meta(description="По какому описанию прочитан")]
    received_at: Annotated[datetime.datetime, Meta(description="Когда получен, UTC")]
    state: Annotated[str, Meta(description="received, staged, posting, done или refused")]
    problems: Annotated[list[str], Meta(description="Почему отказано, с номерами строк")]
    rows_total: Annotated[int, Meta(description="Строк всего")]
    rows_accepted: Annotated[int, Meta(description="Принято")]
    rows_warned: Annotated[int, Meta(description="Требуют внимания")]
    rows_rejected: Annotated[int, Meta(description="Отклонено")]
    day: Annotated[datetime.date | None, Meta(description="Операционный день; нет, пока реестр не прочитан")] = None
    outcomes: Annotated[list[OutcomeReply], Meta(description="Исходы строк")] = []


class RegisterPage(msgspec.Struct, frozen=True, kw_only=True):
    """A page of registers, newest first."""

    items: Annotated[list[RegisterReply], Meta(description="Файлы, новые впереди")]
    has_more: Annotated[bool, Meta(description="Есть ли следующая страница")]
    next: Annotated[str | None, Meta(description="Указатель следующей страницы, для after")]


class CaseReply(msgspec.Struct, frozen=True, kw_only=True):
    """A case. No personal data is in it."""

    number: Annotated[int, Meta(description="Номер дела")]
    kind: Annotated[str, Meta(description="Вид: duplicate, unknown_account, …")]
    state: Annotated[str, Meta(description="open, in_work, solved или returned")]
    day: Annotated[datetime.date, Meta(description="Операционный день")]
    due_on: Annotated[datetime.date, Meta(description="Решить до этого дня")]
    row: Annotated[int | None, Meta(description="Строка реестра")]
    txn_id: Annotated[str, Meta(description="Номер операции")]
    account: Annotated[str, Meta(description="Лицевой счёт, как в реестре")]
    ours_kopecks: Annotated[int, Meta(description="Сумма у нас")]
    theirs_kopecks: Annotated[int, Meta(description="Сумма по реестру")]
    proposed: Annotated[str, Meta(description="Что предлагается: return — вернуть агенту; пусто — ничего")]


class CasePage(msgspec.Struct, frozen=True, kw_only=True):
    """A page of cases, in order of their numbers."""

    items: Annotated[list[CaseReply], Meta(description="Дела")]
    has_more: Annotated[bool, Meta(description="Есть ли следующая страница")]
    next: Annotated[str | None, Meta(description="Указатель следующей страницы, для after")]


class ReportRegisterReply(msgspec.Struct, frozen=True, kw_only=True):
    """A register of the day, and what became of its money."""

    file: Annotated[int, Meta(description="Номер файла")]
    name: Annotated[str, Meta(description="Имя файла")]
    state: Annotated[str, Meta(description="Состояние файла")]
    lines: Annotated[int, Meta(description="Строк")]
    paid_kopecks: Annotated[int, Meta(description="Принято от плательщиков")]
    transferred_kopecks: Annotated[int, Meta(description="Перечислено")]
    fee_kopecks: Annotated[int, Meta(description="Удержано агентом")]
    order_number: Annotated[str, Meta(description="Платёжное поручение")]
    order_on: Annotated[datetime.date | None, Meta(description="Его дата")]
    transfer_state: Annotated[str, Meta(description="waiting, arrived, differs или late")]


class DayReportReply(msgspec.Struct, frozen=True, kw_only=True):
    """The reconciliation of an operating day: theirs against ours, to the kopeck."""

    connection: Annotated[str, Meta(description="Подключение")]
    day: Annotated[datetime.date, Meta(description="Операционный день")]
    is_equal: Annotated[bool, Meta(description="Сошлось до копейки, открытых дел нет")]
    is_missing: Annotated[bool, Meta(description="Срок прошёл, а реестра нет")]
    registers: Annotated[list[ReportRegisterReply], Meta(description="Реестры дня")]
    rows: Annotated[list[OutcomeReply], Meta(description="Исходы; сумма строк равна итогам")]
    theirs_lines: Annotated[int, Meta(description="Строк в реестрах")]
    theirs_kopecks: Annotated[int, Meta(description="Сумма по реестрам")]
    ours_payments: Annotated[int, Meta(description="Платежей у нас")]
    ours_kopecks: Annotated[int, Meta(description="Сумма у нас")]
    difference_kopecks: Annotated[int, Meta(description="По реестрам минус у нас")]
    unexplained_kopecks: Annotated[int, Meta(description="Что не объяснено исходами; всегда 0")]
    cases_open: Annotated[int, Meta(description="Открытых дел дня")]
    cases_closed: Annotated[int, Meta(description="Закрытых дел дня")]
