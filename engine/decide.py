"""Decide: state + command + now -> the events that do it, or the reason that refuses it.

Pure: nothing is read, nothing is changed, the clock is an argument. Reasons are tried in the order of their numbers,
so a caller is always told the first one. How a payment is split is `allocation.py`.
"""

import datetime

from engine import limits
from engine.account import AccountState, Status
from engine.advances import close_with_advances, keep_by_last_accruals
from engine.allocation import allocate
from engine.charge import ACCOUNT_ADVANCE, DEBT_KINDS, Kind, LineKey, line_key
from engine.commands import (
    AcceptPayment,
    AnyCommand,
    CloseAccount,
    Command,
    Earmark,
    OpenAccount,
    PlaceHold,
    PostCharges,
    RefundAdvance,
    ReleaseHold,
    ReleaseUnidentified,
    ReversePayment,
)
from engine.commission import fee_kopecks, withheld_lines
from engine.drafting import Draft, draft, local_date
from engine.events import Details, Event, EventKind
from engine.ids import Period
from engine.netting import net_corrections, pass_claims
from engine.outcomes import Accepted, Reason, Rejected
from engine.policy import CommissionMode, PolicyBook, SplitPolicy
from engine.reversal import decide_refund, decide_reversal

Decision = Accepted | Rejected


def decide(
    state: AccountState, command: AnyCommand, book: PolicyBook, now_us: int, trail: tuple[Event, ...] = ()
) -> Decision:
    """Decide one command on one account.

    Shape: `trail`, for a reversal only, is the payment's event and every later event of the account, oldest first.
    Units: `now_us` is a UTC instant in microseconds, by the database's clock.
    """
    reason = _refuse_form(command, now_us)
    if reason is not None:
        return Rejected(reason)
    if isinstance(command, AcceptPayment):
        return _accept_payment(state, command, book)
    if isinstance(command, PostCharges):
        return _post_charges(state, command, book)
    if isinstance(command, ReversePayment):
        return decide_reversal(state, command, book, trail)
    if isinstance(command, RefundAdvance):
        return decide_refund(state, command)
    if isinstance(command, ReleaseUnidentified):
        return _release_unidentified(state, command)
    if isinstance(command, PlaceHold | ReleaseHold):
        return _hold_or_release(state, command, book)
    return _open_or_close(state, command)


def _refuse_form(command: Command, now_us: int) -> Reason | None:
    """Refuse what is wrong whatever the account."""
    txn_id, account = command.txn_id, command.account
    if not (txn_id.isprintable() and account.isprintable() and account and txn_id):
        return Reason.TEXT_INVALID
    if len(txn_id) > limits.TXN_ID_CHARS_MAX or len(account) > limits.ACCOUNT_CHARS_MAX:
        return Reason.TEXT_INVALID
    if isinstance(command, AcceptPayment):
        if command.amount_kopecks <= 0:
            return Reason.AMOUNT_NOT_POSITIVE
        if command.amount_kopecks > limits.PAYMENT_KOPECKS_MAX:
            return Reason.AMOUNT_TOO_LARGE
    if command.accepted_at_us > now_us + limits.ACCEPTED_AT_FUTURE_US_MAX:
        return Reason.ACCEPTED_AT_IN_FUTURE
    if command.accepted_at_us < now_us - limits.ACCEPTED_AT_PAST_US_MAX:
        return Reason.ACCEPTED_AT_TOO_OLD
    return None


# Payments ------------------------------------------------------------------------------------------------------------


def _accept_payment(state: AccountState, command: AcceptPayment, book: PolicyBook) -> Decision:
    if command.earmark is not None and not _is_earmark_sound(command.earmark, command.amount_kopecks):
        return Rejected(Reason.EARMARK_INVALID)
    if state.status is Status.UNKNOWN:
        if command.keep_if_unknown:
            return Accepted((_keep_unidentified(state, command),))
        return Rejected(Reason.ACCOUNT_UNKNOWN)
    if state.status is Status.CLOSED and not command.keep_if_unknown:
        return Rejected(Reason.ACCOUNT_CLOSED)
    on = local_date(command.accepted_at_us, book)
    policy = book.in_force(state.agreement, on)
    if policy is None:
        return Rejected(Reason.POLICY_MISSING)
    reason = _refuse_earmark(state, command.earmark, policy) if command.earmark is not None else None
    if reason is not None:
        return Rejected(reason)
    if state.holds:
        return Accepted((_payment(state, command, policy, {ACCOUNT_ADVANCE: command.amount_kopecks}),))
    return _split(state, command, policy, on)


def _split(state: AccountState, command: AcceptPayment, policy: SplitPolicy, on: datetime.date) -> Accepted:
    """Net and redirect where there is anything to (rare), then split what was paid."""
    before: tuple[Event, ...] = ()
    if _needs_order(state, policy):
        work = _put_in_order(state, command, policy)
        state, before = work.state, tuple(work.events)
    split = allocate(
        state.items.values(),
        command.amount_kopecks,
        policy,
        doc_period=command.doc_period,
        earmark=command.earmark,
        origin=command.origin,
        barred_before=policy.barred_before(on),
    )
    lines = split.paid
    for service, provider, kopecks in keep_by_last_accruals(state, split.advances, policy) if split.advances else ():
        lines[LineKey(service, provider, Period(0), Kind.ADVANCE)] = kopecks
    return Accepted((*before, _payment(state, command, policy, lines)), len(before))


def _needs_order(state: AccountState, policy: SplitPolicy) -> bool:
    redirects = policy.redirect_providers
    for item in state.items.values():  # A loop, not any(): a generator would cost a tenth of the whole decision.
        if item.due_kopecks < 0:
            return True
    return bool(redirects) and any(key.provider in redirects for key in state.items)


def _put_in_order(state: AccountState, command: Command, policy: SplitPolicy) -> Draft:
    """Pass claims to successors and net corrections, as movements of their own."""
    work = Draft(state)
    moves, pairs = pass_claims(state.items.values(), policy.redirect_providers)
    if moves:
        details = Details(transferred=pairs)
        work.add(draft(work.state, command, EventKind.BALANCE_TRANSFERRED, moves, details=details))
    moves = net_corrections(work.state.items.values())
    if moves:
        work.add(draft(work.state, command, EventKind.CORRECTION_NETTED, moves))
    return work


def _payment(state: AccountState, command: AcceptPayment, policy: SplitPolicy, lines: dict[LineKey, int]) -> Event:
    assert sum(lines.values()) == command.amount_kopecks, "allocations + advance = amount"
    on_top = command.fee_kopecks
    commission = command.commission or policy.commission
    if commission is not None:
        fee = fee_kopecks(command.amount_kopecks, commission)
        if commission.mode is CommissionMode.WITHHELD:
            lines |= withheld_lines(fee, lines)
        else:
            on_top = fee
    return draft(
        state,
        command,
        EventKind.PAYMENT_RECEIVED,
        lines,
        amount_kopecks=command.amount_kopecks,
        balance_kopecks=state.balance_kopecks() - command.amount_kopecks,
        policy=policy.label,
        channel=command.channel,
        details=_payment_details(command, on_top),
    )


def _payment_details(command: AcceptPayment, fee_on_top_kopecks: int) -> Details | None:
    if not (fee_on_top_kopecks or command.doc_period or command.earmark or command.origin or command.commission):
        return None
    return Details(
        doc_period=command.doc_period,
        earmark=command.earmark,
        origin=command.origin,
        fee_on_top_kopecks=fee_on_top_kopecks,
        commission=command.commission,
    )


def _keep_unidentified(state: AccountState, command: AcceptPayment) -> Event:
    """Money that was taken for an account nobody knows: kept under the number it was sent for."""
    return draft(
        state,
        command,
        EventKind.UNIDENTIFIED_RECEIVED,
        {},
        amount_kopecks=command.amount_kopecks,
        channel=command.channel,
        details=_payment_details(command, command.fee_kopecks),
    )


def _is_earmark_sound(earmark: Earmark, amount_kopecks: int) -> bool:
    """A designation names something; its lines are positive and no more than the money."""
    if earmark.kind is not None and earmark.kind not in DEBT_KINDS:
        return False
    if not earmark.lines:
        return earmark != Earmark()
    whole = [line.kopecks for line in earmark.lines]
    return (
        earmark == Earmark(lines=earmark.lines)
        and len(whole) <= limits.EARMARK_LINES_MAX
        and min(whole) > 0
        and sum(whole) <= amount_kopecks
    )


def _refuse_earmark(state: AccountState, earmark: Earmark, policy: SplitPolicy) -> Reason | None:
    """Refuse a designation that the agreement does not allow or that this account has never heard of."""
    services = {line.service for line in earmark.lines} | ({earmark.service} if earmark.service else set())
    providers = {line.provider for line in earmark.lines if line.provider}
    providers |= {earmark.provider} if earmark.provider else set()
    if services and not policy.allow_service_earmark:
        return Reason.EARMARK_NOT_ALLOWED
    if providers & policy.blocked_providers:
        return Reason.PROVIDERS_BLOCKED
    known_services = {key.service for key in state.items} | {lot.service for lot in state.lots}
    known_providers = {key.provider for key in state.items} | {lot.provider for lot in state.lots}
    known_providers |= {policy.redirect_providers.get(provider, provider) for provider in known_providers}
    documents = {item.document for item in state.items.values()}
    if services - known_services or providers - known_providers or (earmark.document or "") not in documents | {""}:
        return Reason.EARMARK_UNKNOWN
    return None


# Charges -------------------------------------------------------------------------------------------------------------


def _post_charges(state: AccountState, command: PostCharges, book: PolicyBook) -> Decision:
    if state.status is Status.UNKNOWN:
        return Rejected(Reason.ACCOUNT_UNKNOWN)
    lines: dict[LineKey, int] = {}
    for line in command.lines:
        key = line_key(line.service, line.provider, command.period, line.kind)
        lines[key] = lines.get(key, 0) + line.kopecks
    lines = {key: kopecks for key, kopecks in lines.items() if kopecks}
    if not lines:
        return Rejected(Reason.NOTHING_TO_POST)
    if not _are_charges_sound(state, lines):
        return Rejected(Reason.LIMIT_EXCEEDED)
    kind = EventKind.CHARGE_ADJUSTED if command.adjustment else EventKind.CHARGE_POSTED
    if all(key.kind is Kind.PENALTY for key in lines):
        kind = EventKind.PENALTY_ACCRUED
    details = Details(document=command.document, due_on=command.due_on) if command.document or command.due_on else None
    first = draft(state, command, kind, lines, amount_kopecks=sum(lines.values()), details=details)
    if not state.lots and min(lines.values()) > 0 and all(i.due_kopecks >= 0 for i in state.items.values()):
        return Accepted((first,))
    return _settle_charges(state, command, book, first)


def _are_charges_sound(state: AccountState, lines: dict[LineKey, int]) -> bool:
    return (
        len(lines) <= limits.LINES_PER_DOCUMENT_MAX
        and max(map(abs, lines.values())) <= limits.LINE_KOPECKS_MAX
        and len(state.items) + len(lines) <= limits.OPEN_ITEMS_MAX
        and all(key.kind in DEBT_KINDS and key.service and key.provider for key in lines)
    )


def _settle_charges(state: AccountState, command: PostCharges, book: PolicyBook, first: Event) -> Accepted:
    """New charges meet what waits for them: corrections are netted, advances close them, without a penalty day."""
    work = Draft(state)
    work.add(first)
    moves = net_corrections(work.state.items.values())
    if moves:
        work.add(draft(work.state, command, EventKind.CORRECTION_NETTED, moves))
    _close_with_advances(work, command, book)
    return Accepted(tuple(work.events))


def _close_with_advances(work: Draft, command: Command, book: PolicyBook) -> None:
    policy = book.in_force(work.state.agreement, local_date(command.accepted_at_us, book))
    if policy is not None and not work.state.holds:
        close_with_advances(work, command, policy)


# Holds, unidentified money -------------------------------------------------------------------------------------------


def _hold_or_release(state: AccountState, command: PlaceHold | ReleaseHold, book: PolicyBook) -> Decision:
    """Repeating either changes nothing, and is refused as that."""
    if state.status is Status.UNKNOWN:
        return Rejected(Reason.ACCOUNT_UNKNOWN)
    places = isinstance(command, PlaceHold)
    if places is (command.hold in state.holds):
        return Rejected(Reason.HOLD_UNCHANGED)
    work = Draft(state)
    kind = EventKind.HOLD_PLACED if places else EventKind.HOLD_RELEASED
    work.add(draft(work.state, command, kind, {}, details=Details(hold=command.hold, reason=command.reason)))
    _close_with_advances(work, command, book)
    return Accepted(tuple(work.events))


def _release_unidentified(state: AccountState, command: ReleaseUnidentified) -> Decision:
    if command.amount_kopecks <= 0:
        return Rejected(Reason.AMOUNT_NOT_POSITIVE)
    if command.amount_kopecks > state.unidentified.get(command.receipt_seq, 0):
        return Rejected(Reason.UNIDENTIFIED_TOO_SMALL)
    event = draft(
        state,
        command,
        EventKind.UNIDENTIFIED_RELEASED,
        {},
        amount_kopecks=-command.amount_kopecks,
        ref=command.receipt_seq,
        details=Details(reason=command.reason) if command.reason else None,
    )
    return Accepted((event,))


# Accounts ------------------------------------------------------------------------------------------------------------


def _open_or_close(state: AccountState, command: OpenAccount | CloseAccount) -> Decision:
    if isinstance(command, OpenAccount):
        if state.status is not Status.UNKNOWN:
            return Rejected(Reason.ACCOUNT_EXISTS)
        details = Details(agreement=command.agreement)
        return Accepted((draft(state, command, EventKind.ACCOUNT_OPENED, {}, details=details),))
    if state.status is not Status.OPEN:
        return Rejected(Reason.ACCOUNT_UNKNOWN if state.status is Status.UNKNOWN else Reason.ACCOUNT_CLOSED)
    details = Details(reason=command.reason)
    return Accepted((draft(state, command, EventKind.ACCOUNT_CLOSED, {}, details=details),))
