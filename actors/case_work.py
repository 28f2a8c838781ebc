"""Solving cases: what a person decided is carried out by commands under keys of the case, so that it happens once.

A decision that moves money is written first (`step`), then its commands are sent, then its end is written. Whatever
interrupts that, `resume` carries on from the step: the commands have the same keys, and the ledger answers those that
were done with their first receipt. Money that was released from the number it was sent for and not yet accepted on the
right one is therefore never lost sight of: its case stays under way.

| decision | commands | steps |
| --- | --- | --- |
| assign | `ReleaseUnidentified` match-release-<case>, then `AcceptPayment` match-<case> | assigning, released |
| return | `ReleaseUnidentified` match-return-<case>, for unidentified money alone | returning |
| accept | `AcceptPayment` or `ReversePayment` match-<case> of the difference | accepting, once a second person agreed |
| retry | the line's own payment once more, after its reason was mended | retrying |
| explain | none | none |
"""

from actors.register_intake import Interrupted, Place, contract_of
from actors.register_run import case_terms, compared, payment_of, reason_text
from engine.account import Status
from engine.commands import AcceptPayment, AnyCommand, ReleaseUnidentified, ReversePayment, fingerprint
from engine.events import EventKind
from engine.ids import AccountId, PaymentId, SourceId, TxnId
from engine.outcomes import Acknowledged, KeyConflict, Receipt, Rejected
from engine.registers import CHANNEL
from storage import cases, register_book, registers
from storage.cases import Case, CaseKind

_CLOSED = ("solved", "returned")


class Refused(Exception):
    """The decision cannot be taken; the text, in Russian, says why. Nothing was changed."""


async def find_open(database_url: str, number: int) -> Case:
    """Return a case that can still be worked on. Errors: `Refused`."""
    case = await cases.find(database_url, number)
    if case is None:
        raise Refused(f"дела {number} нет")
    if case.state in _CLOSED:
        raise Refused(f"дело {number} уже закрыто ({case.state})")
    return case


async def take(place: Place, number: int, who: str, reason: str = "") -> Case:
    """Say that somebody works on a case."""
    case = _idle(await find_open(place.database_url, number))
    return await cases.move(place.database_url, case, action="taken", who=_named(who), reason=reason, state="in_work")


async def explain(place: Place, number: int, who: str, reason: str) -> Case:
    """Close a case that needs no money moved: what it was is written down."""
    case = _idle(await find_open(place.database_url, number))
    if case.kind == CaseKind.UNKNOWN_ACCOUNT:
        raise Refused("деньги лежат среди невыясненных: назначьте счёт или верните их агенту")
    return await cases.move(
        place.database_url, case, action="explained", who=_named(who), reason=_told(reason), state="solved"
    )


async def assign(place: Place, number: int, account: AccountId, who: str, reason: str) -> Case:
    """Give unidentified money to the account that it was meant for.

    Errors: `Refused`; `Interrupted` when the shards cannot do it now: the decision stands and `resume` carries it out.
    """
    case = await find_open(place.database_url, number)
    if case.kind != CaseKind.UNKNOWN_ACCOUNT:
        raise Refused("назначить счёт можно только невыясненной сумме")
    if case.step and (case.decision != "assign" or case.target != account):
        await _may_turn(place, case)
    await _check_account(place, case, account)
    step = case.step or "assigning"
    case = await cases.move(
        place.database_url,
        case,
        action="assigning",
        who=_named(who),
        reason=_told(reason),
        state="in_work",
        step=step,
        decision="assign",
        target=account,
    )
    return await _carry_out(place, case)


async def give_back(place: Place, number: int, who: str, reason: str) -> Case:
    """Return the money to the agent: unidentified money leaves its clearing account; of others it is written down."""
    case = _idle(await find_open(place.database_url, number))
    if case.kind not in _RETURNABLE:
        raise Refused("по этому делу возвращать нечего")
    if case.kind != CaseKind.UNKNOWN_ACCOUNT:
        return await cases.move(
            place.database_url, case, action="returned", who=_named(who), reason=_told(reason), state="returned"
        )
    case = await cases.move(
        place.database_url,
        case,
        action="returning",
        who=_named(who),
        reason=_told(reason),
        state="in_work",
        step="returning",
        decision="return",
    )
    return await _carry_out(place, case)


_RETURNABLE = (CaseKind.UNKNOWN_ACCOUNT, CaseKind.DUPLICATE, CaseKind.REJECTED, CaseKind.AMOUNT_MISMATCH)


async def accept_amount(place: Place, number: int, who: str, reason: str) -> Case:
    """Take the register's amount for the right one. The first person proposes it, another one's call carries it out."""
    case = await find_open(place.database_url, number)
    if case.kind != CaseKind.AMOUNT_MISMATCH:
        raise Refused("принять сумму реестра можно только по расхождению сумм")
    if case.decision != "accept":
        return await cases.move(
            place.database_url,
            _idle(case),
            action="proposed",
            who=_named(who),
            reason=_told(reason),
            state="in_work",
            decision="accept",
        )
    if not case.step and await _proposed_by(place, case) == _named(who):
        raise Refused("нужен второй человек: предложивший не может подтвердить сам")
    if not case.step:
        case = await cases.move(
            place.database_url, case, action="accepting", who=_named(who), reason=_told(reason), step="accepting"
        )
    return await _carry_out(place, case)


async def retry(place: Place, number: int, who: str, reason: str) -> Case:
    """Send a rejected line's payment once more, after what stood in its way was mended."""
    case = _idle(await find_open(place.database_url, number))
    if case.kind != CaseKind.REJECTED:
        raise Refused("повторить можно только отклонённую строку")
    case = await cases.move(
        place.database_url,
        case,
        action="retrying",
        who=_named(who),
        reason=_told(reason),
        state="in_work",
        step="retrying",
        decision="retry",
    )
    return await _carry_out(place, case)


async def resume(place: Place) -> list[Case]:
    """Carry on with every decision that was interrupted; return those that came to their end. Call periodically."""
    ended = []
    for case in await cases.under_way(place.database_url):
        try:
            ended.append(await _carry_out(place, case))
        except (Interrupted, Refused, cases.Changed):
            continue  # It stays under way, and is shown so.
    return ended


# Carrying out --------------------------------------------------------------------------------------------------------


async def _carry_out(place: Place, case: Case) -> Case:
    """Carry a decision to its end, from its step on.

    Rule: one that the ledger refuses before anything was done is dropped, so that another can be taken; once money was
    released its case stays under way until the money has its place.
    """
    try:
        return await _go_on(place, case)
    except Refused as refused:
        now = await cases.find(place.database_url, case.number)
        if now is not None and now.step and now.step != "released":
            await cases.move(place.database_url, now, action="refused", who=now.decided_by, reason=str(refused))
        raise


async def _go_on(place: Place, case: Case) -> Case:
    """Send the commands that are left."""
    if case.step == "assigning":
        await _done(place, await _release(place, case, "match-release-"))
        case = await _step_on(place, case, "released")
    if case.step == "released":
        receipt = await _done(place, await _accept_on_target(place, case))
        return await _end(place, case, "solved", receipt)
    if case.step == "returning":
        receipt = await _done(place, await _release(place, case, "match-return-"))
        return await _end(place, case, "returned", receipt)
    if case.step == "accepting":
        receipt = await _done(place, await _difference(place, case))
        return await _end(place, case, "solved", receipt)
    assert case.step == "retrying", "every step is carried out"
    return await _retry(place, case)


async def _done(place: Place, command: AnyCommand) -> Receipt:
    """Send one command. Errors: `Refused` when the rules say no, `Interrupted` when nothing can be told now."""
    outcome = await place.router.submit(command)
    if isinstance(outcome, Acknowledged):
        return outcome.receipt
    if isinstance(outcome, Rejected):
        raise Refused(f"журнал отказал: {reason_text(outcome.reason)}")
    if isinstance(outcome, KeyConflict):
        raise Refused(f"по этому делу уже проведено другое, номер {outcome.payment_id}")
    raise Interrupted(f"{command.txn_id} could not be told now")


async def _release(place: Place, case: Case, prefix: str) -> ReleaseUnidentified:
    """Rule: what is released is what the line's receipt says, from the number that it was sent for."""
    receipt = await _receipt(place, case.payment_id)
    if receipt.kind is not EventKind.UNIDENTIFIED_RECEIVED:
        raise Refused("эта сумма не среди невыясненных")
    return ReleaseUnidentified(
        source=SourceId(case.source),
        txn_id=TxnId(f"{prefix}{case.number}"),
        request_hash=fingerprint("release", receipt.payment_id, receipt.amount_kopecks),
        account=receipt.account,
        accepted_at_us=receipt.accepted_at_us,
        receipt_seq=receipt.account_seq,
        amount_kopecks=receipt.amount_kopecks,
        reason=f"дело {case.number}",
    )


async def _accept_on_target(place: Place, case: Case) -> AcceptPayment:
    """Rule: kept as unidentified if the account went away meanwhile; released money always has a place."""
    receipt = await _receipt(place, case.payment_id)
    contract = await contract_of(place.database_url, case.connection)
    return AcceptPayment(
        source=SourceId(case.source),
        txn_id=TxnId(f"match-{case.number}"),
        request_hash=fingerprint(case.target, receipt.amount_kopecks),
        account=AccountId(case.target),
        accepted_at_us=receipt.accepted_at_us,
        amount_kopecks=receipt.amount_kopecks,
        channel=CHANNEL,
        keep_if_unknown=True,
        commission=contract.commission,
    )


async def _difference(place: Place, case: Case) -> AnyCommand:
    """What is lacking is paid to the account of the online payment; what is too much is taken back from it."""
    receipt = await _receipt(place, case.payment_id)
    contract = await contract_of(place.database_url, case.connection)
    difference = case.theirs_kopecks - case.ours_kopecks
    key = TxnId(f"match-{case.number}")
    request_hash = fingerprint("difference", receipt.payment_id, difference)
    if difference < 0:
        return ReversePayment(
            source=SourceId(case.source),
            txn_id=key,
            request_hash=request_hash,
            account=receipt.account,
            accepted_at_us=receipt.accepted_at_us,
            payment_id=receipt.payment_id,
            amount_kopecks=-difference,
            reason=f"дело {case.number}: сумма по реестру",
        )
    return AcceptPayment(
        source=SourceId(case.source),
        txn_id=key,
        request_hash=request_hash,
        account=receipt.account,
        accepted_at_us=receipt.accepted_at_us,
        amount_kopecks=difference,
        channel=CHANNEL,
        keep_if_unknown=True,
        commission=contract.commission,
    )


async def _retry(place: Place, case: Case) -> Case:
    contract = await contract_of(place.database_url, case.connection)
    assert case.file is not None and case.row is not None, "a rejected line has its place"  # noqa: PT018
    line = await registers.line(place.database_url, case.file, case.row)
    receipt = await _done(place, payment_of(line, contract))
    async with register_book.alone(place.database_url, contract.name) as book:
        await book.amend_rejected(line.file, compared(line, receipt, contract), case_terms(contract))
    return await _end(place, case, "solved", receipt)


async def _step_on(place: Place, case: Case, step: str) -> Case:
    return await cases.move(place.database_url, case, action=step, who=case.decided_by, reason=case.reason, step=step)


async def _end(place: Place, case: Case, state: str, receipt: Receipt) -> Case:
    return await cases.move(
        place.database_url,
        case,
        action=state,
        who=case.decided_by,
        reason=case.reason,
        state=state,
        payment_id=receipt.payment_id,
    )


# Checks --------------------------------------------------------------------------------------------------------------


async def _check_account(place: Place, case: Case, account: AccountId) -> None:
    """Only an account that is known may be named: this is where a slip of the hand is still free."""
    if account == case.account:
        raise Refused("это тот же номер, под которым деньги не опознаны")
    view = await place.router.account(account)
    if view is None:
        raise Interrupted("the account cannot be looked at now")
    if view.status == Status.UNKNOWN.name:
        raise Refused(f"лицевого счёта {account} нет")


async def _may_turn(place: Place, case: Case) -> None:
    """Another account may be named while nothing was accepted on the first one."""
    if case.decision != "assign":
        raise Refused("по этому делу уже выполняется другое решение")
    done = await place.router.key(SourceId(case.source), TxnId(f"match-{case.number}"))
    if done is None:
        raise Interrupted("the ledger cannot be asked now")
    if done:
        raise Refused(f"деньги уже приняты на счёт {done[0].account}")


async def _proposed_by(place: Place, case: Case) -> str:
    proposals = [one for one in await cases.history(place.database_url, case.number) if one.action == "proposed"]
    return proposals[-1].who if proposals else ""


async def _receipt(place: Place, payment_id: int) -> Receipt:
    found = await place.router.payment(PaymentId(payment_id))
    if not found:
        raise Interrupted(f"payment {payment_id} cannot be read now")
    return found[0]


def _idle(case: Case) -> Case:
    """Errors: `Refused` while a decision is being carried out."""
    if case.step:
        raise Refused(f"по делу {case.number} уже выполняется решение: {case.decision}")
    return case


def _named(who: str) -> str:
    if not who.strip():
        raise Refused("укажите, кто решает")
    return who.strip().casefold()


def _told(reason: str) -> str:
    if not reason.strip():
        raise Refused("укажите причину")
    return reason.strip()
