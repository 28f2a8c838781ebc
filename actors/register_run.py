"""The run over one register: every line is looked for among what came online, and credited where it is not there.

Order: duplicates and online payments by one statement each; then what is left is sent to the shards under the key of
the online payment, which the ledger lets count once; then refunds; then cases and the end. After an interruption the
run is simply begun again: lines with an outcome are passed over, and a command that is sent again gets its first
receipt, in which the channel tells whether a register or an online payment was first.
"""

import time
from collections.abc import Sequence

from prometheus_client import Counter

from actors import register_intake, statement_run
from actors.register_intake import Interrupted, Place
from engine.calendar import add_working_days
from engine.commands import AcceptPayment, ReversePayment, fingerprint
from engine.events import EventKind
from engine.ids import TxnId
from engine.outcomes import Acknowledged, KeyConflict, NotDone, Outcome, OutcomeUnknown, Reason, Receipt, Rejected
from engine.registers import CHANNEL, REFUND_PREFIX, Contract, LineOutcome, online_hash
from intake.profile import FileKind
from storage import codec, received, register_book, registers
from storage.received import ReceivedFile
from storage.register_book import Book
from storage.registers import CaseTerms, Decided, Line

_LINES_A_ROUND = 2_000

_FILES = Counter("kopeck_register_files", "Registers and statements by how they ended", ["connection", "state"])
_LINES = Counter("kopeck_register_lines", "Lines of registers by outcome", ["connection", "outcome"])

REASONS = {
    Reason.TEXT_INVALID: "недопустимый номер счёта или операции",
    Reason.AMOUNT_NOT_POSITIVE: "сумма не больше нуля",
    Reason.AMOUNT_TOO_LARGE: "слишком большая сумма",
    Reason.ACCEPTED_AT_IN_FUTURE: "время операции в будущем",
    Reason.ACCEPTED_AT_TOO_OLD: "операция старше трёх лет",
    Reason.POLICY_MISSING: "для счёта не задан порядок расщепления",
    Reason.PAYMENT_UNKNOWN: "платёж не расщеплён: деньги среди невыясненных",
    Reason.ALREADY_REVERSED: "платёж уже отменён",
    Reason.REVERSAL_TOO_LARGE: "возврат больше остатка платежа",
    Reason.LIMIT_EXCEEDED: "превышен предел счёта",
}
"""Why the rules refuse a line, for operators; the rest by the name of the reason."""


async def work(place: Place, file: int) -> ReceivedFile:
    """Bring a received file to its end, from wherever it stands; return it as it is then.

    Errors: `Interrupted`, `NotDone`, `OSError`: go on later by calling again.
    """
    found = await received.find(place.database_url, file)
    assert found is not None, "work is given files that were received"
    if found.state in ("done", "refused"):
        return found
    contract = await register_intake.contract_of(place.database_url, found.sender)
    async with register_book.alone(place.database_url, contract.name) as book:
        await _go_on(place, book, file, contract)
    if found.kind == FileKind.STATEMENT:
        await statement_run.match_transfers(place.database_url)
    else:
        await statement_run.match_contract(place.database_url, contract, time.time_ns() // 1000)
    ended = await received.find(place.database_url, file)
    assert ended is not None, "a received file stays"
    await _count(place, ended)
    return ended


async def _go_on(place: Place, book: Book, file: int, contract: Contract) -> None:
    """Do what is left; whoever was before us may have done some or all of it."""
    found = await book.file(file)
    if found.kind == FileKind.STATEMENT and found.state == "received":
        await statement_run.take(place, book, found)
        return
    if found.state == "received" and not await register_intake.stage(place, book, found, contract):
        return
    if found.state not in ("done", "refused"):
        await _match(place, book, file, contract)


async def _match(place: Place, book: Book, file: int, contract: Contract) -> None:
    """Give every line of a staged register its outcome."""
    await book.follow()
    await book.match_online(file, contract.shift_minutes)
    await _post_payments(place, book, file, contract)
    await book.follow()
    await _post_refunds(place, book, file, contract)
    await book.finish(file, case_terms(contract))


def case_terms(contract: Contract) -> CaseTerms:
    """Say what becomes a case, and until when it must be solved if it is opened now."""
    terms = contract.register
    due_on = add_working_days(contract.local_date(time.time_ns() // 1000), terms.case_working_days)
    return CaseTerms(due_on=due_on, pays_online=terms.pays_online, shift_days_max=terms.shift_days_max)


# Payments ------------------------------------------------------------------------------------------------------------


async def _post_payments(place: Place, book: Book, file: int, contract: Contract) -> None:
    """Credit what did not come online. Lines that cannot be told now stay without an outcome."""
    after = 0
    while lines := await book.waiting(file, after, _LINES_A_ROUND, refunds=False):
        outcomes = await place.router.submit_many([payment_of(line, contract) for line in lines])
        decided = [
            await _payment_outcome(place, line, outcome, contract)
            for line, outcome in zip(lines, outcomes, strict=True)
        ]
        await _record(book, file, decided)
        after = lines[-1].row


def payment_of(line: Line, contract: Contract) -> AcceptPayment:
    """Make the payment of a line, under the key and with the fingerprint that it has, or would have had, online."""
    return AcceptPayment(
        source=line.source,
        txn_id=line.txn_id,
        request_hash=online_hash(line.account_as_sent, line.paid_kopecks),
        account=line.account,
        accepted_at_us=codec.micros(line.operated_at),
        amount_kopecks=line.paid_kopecks,
        channel=CHANNEL,
        doc_period=line.period,
        keep_if_unknown=True,
        commission=contract.commission,
    )


async def _payment_outcome(place: Place, line: Line, outcome: Outcome, contract: Contract) -> Decided | None:
    """Say how a line ended; None when that cannot be told now."""
    if isinstance(outcome, Rejected):
        return Decided(row=line.row, outcome=LineOutcome.REJECTED, problem=reason_text(outcome.reason))
    if isinstance(outcome, NotDone | OutcomeUnknown):
        return None
    if isinstance(outcome, Acknowledged):
        return compared(line, outcome.receipt, contract)
    assert isinstance(outcome, KeyConflict), "every outcome is handled"
    receipts = await place.router.payment(outcome.payment_id)
    return compared(line, receipts[0], contract) if receipts else None


def compared(line: Line, receipt: Receipt, contract: Contract) -> Decided:
    """Hold a line against what the ledger has under its key.

    Rule: what has the register's channel was credited from this line, now or before an interruption: an earlier line
    of the same operation would have made this one a duplicate. Everything else came online, if only just now.
    """
    day = contract.day_of(receipt.accepted_at_us)
    same = receipt.amount_kopecks == line.paid_kopecks and receipt.account == line.account
    if receipt.channel == CHANNEL and same:
        is_known = receipt.kind is EventKind.PAYMENT_RECEIVED
        outcome = LineOutcome.MISSING_ONLINE if is_known else LineOutcome.UNKNOWN_ACCOUNT
        return Decided(
            row=line.row, outcome=outcome, ours_kopecks=receipt.amount_kopecks, payment_id=receipt.payment_id
        )
    if receipt.amount_kopecks != line.paid_kopecks:
        outcome = LineOutcome.AMOUNT_MISMATCH
    elif receipt.account != line.account:
        outcome = LineOutcome.ACCOUNT_MISMATCH
    else:
        outcome = LineOutcome.MATCHED if day == line.day else LineOutcome.DATE_SHIFT
    return Decided(
        row=line.row,
        outcome=outcome,
        ours_kopecks=receipt.amount_kopecks,
        payment_id=receipt.payment_id,
        online_day=day,
    )


# Refunds -------------------------------------------------------------------------------------------------------------


async def _post_refunds(place: Place, book: Book, file: int, contract: Contract) -> None:
    after = 0
    while lines := await book.waiting(file, after, _LINES_A_ROUND, refunds=True):
        for line in lines:  # One by one: what a refund claims of a payment, the next one cannot.
            await _record(book, file, [await _refund_outcome(place, book, line, contract)])
        after = lines[-1].row


async def _refund_outcome(place: Place, book: Book, line: Line, contract: Contract) -> Decided | None:
    """Reverse what a refund names, unless it was reversed already; whatever is not plain goes to a person."""
    key = TxnId(REFUND_PREFIX + line.txn_id)
    ours = await place.router.key(line.source, key)
    if ours is None:
        return None
    if ours:
        return _reversed(line, ours[0])
    paid = await book.refundable(line)
    if paid is None:
        return _for_a_person(line, "исходный платёж не указан или не найден")
    left = paid.reversed_kopecks - paid.claimed_kopecks
    if left >= -line.paid_kopecks:
        return Decided(
            row=line.row, outcome=LineOutcome.MATCHED, ours_kopecks=line.paid_kopecks, payment_id=paid.payment_id
        )
    if left > 0:
        return _for_a_person(line, "платёж уже отменён на другую сумму")
    if not contract.register.reverses_refunds:
        return _for_a_person(line, "по договору возвраты проверяет оператор")
    outcome = await place.router.submit(
        ReversePayment(
            source=line.source,
            txn_id=key,
            request_hash=fingerprint("refund", paid.payment_id, line.paid_kopecks),
            account=paid.account,
            accepted_at_us=codec.micros(line.operated_at),
            payment_id=paid.payment_id,
            amount_kopecks=-line.paid_kopecks,
            reason="возврат по реестру",
        )
    )
    if isinstance(outcome, Acknowledged):
        return _reversed(line, outcome.receipt)
    return _for_a_person(line, reason_text(outcome.reason)) if isinstance(outcome, Rejected) else None


def _reversed(line: Line, receipt: Receipt) -> Decided:
    return Decided(
        row=line.row,
        outcome=LineOutcome.REVERSED,
        ours_kopecks=receipt.amount_kopecks,
        payment_id=receipt.payment_id,
    )


def _for_a_person(line: Line, problem: str) -> Decided:
    return Decided(row=line.row, outcome=LineOutcome.REFUND, problem=problem)


# Both ----------------------------------------------------------------------------------------------------------------


async def _record(book: Book, file: int, decided: Sequence[Decided | None]) -> None:
    """Write what is known. Errors: `Interrupted` when something is not, after that."""
    known = [one for one in decided if one is not None]
    await book.record(file, known)
    if len(known) < len(decided):
        raise Interrupted(f"file {file}: {len(decided) - len(known)} lines could not be told now")


def reason_text(reason: Reason) -> str:
    """Say in Russian why the rules refuse."""
    return REASONS.get(reason, reason.name.lower().replace("_", " "))


async def _count(place: Place, file: ReceivedFile) -> None:
    if file.state not in ("done", "refused"):
        return
    _FILES.labels(file.sender, file.state).inc()
    if file.kind == FileKind.REGISTER:
        for one in await registers.sums(place.database_url, file.file):
            _LINES.labels(file.sender, one.outcome).inc(one.lines)


async def work_through(place: Place) -> list[ReceivedFile]:
    """Bring every file that is not at its end there, oldest first; return those that came to it.

    Rule: one that cannot go on now does not stop the others. To be called periodically.
    """
    ended = []
    for file in await received.unfinished(place.database_url):
        if file.kind in (FileKind.REGISTER, FileKind.STATEMENT):
            try:
                ended.append(await work(place, file.file))
            except Interrupted:
                continue
    return ended
