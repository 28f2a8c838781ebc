"""Accrual of penalties: an account's history in, what its penalties must change by out.

Always from nothing: the whole penalty of every debt up to a day, less what was accrued on it before. So a table of
rates that changes retroactively is corrected by the next accrual, small debts add up to a kopeck in time, and an
accrual repeated with the same tables and facts changes nothing.

Source: ЖК РФ ст. 155 ч. 14 and 14.1; ГК РФ ст. 207 for the limitation of penalties; ADR-0014 for what is ours.
"""

import datetime
from collections.abc import Sequence
from hashlib import blake2b

import msgspec

from engine.account import Status
from engine.charge import Kind
from engine.commands import ChargeLine, PostCharges, fingerprint
from engine.ids import AccountId, Period, ProviderId, ServiceCode, TxnId
from engine.limits import TXN_ID_CHARS_MAX
from engine.penalty import PenaltyTerms, Regime, Segment, compute_penalty, first_charged_day, rounded_kopecks
from engine.policy import SplitPolicy
from engine.principal import PENALTY_SOURCE, DebtKey, History, Tranche

CAPITAL_REPAIR = ServiceCode("KAPREM")


class Accrual(msgspec.Struct, frozen=True, array_like=True):
    """The penalty of one debt up to a day.

    Units: kopecks. `total_kopecks` is what it must be, `before_kopecks` what had been accrued by anybody,
    `change_kopecks` what is to be posted (negative: a credit). `segments` explain the total.
    """

    service: ServiceCode
    provider: ProviderId
    period: Period
    total_kopecks: int
    before_kopecks: int
    change_kopecks: int
    segments: tuple[Segment, ...]


def regime_of(service: ServiceCode) -> Regime:
    """Return whose scale a service's debts follow: contributions for capital repair have their own."""
    return Regime.CAPITAL_REPAIR if service == CAPITAL_REPAIR else Regime.HOUSING


def accrue(
    history: History, as_of: datetime.date, terms: PenaltyTerms, policy: SplitPolicy, *, territory: str = ""
) -> tuple[Accrual, ...]:
    """Compute the penalties of all debts of an account up to a local date, included.

    Rule: principal alone bears penalties. Nothing changes for an account that waits for a mapping (its payments wait
    too), for a closed one where its policy says so, and for periods whose limitation has expired. What a billing
    accrued by itself counts as accrued and is never taken back; a credit is at most what accrual runs have posted.
    Shape: in the order of service, provider, period; debts without any penalty are left out.
    Errors: ValueError when a debt has no due date or no key rate is known.
    """
    if history.holds or (history.status is Status.CLOSED and not policy.penalty_on_closed):
        return ()
    barred = policy.barred_before(as_of)
    found = [_accrue(history, key, as_of, terms, territory) for key in sorted(history.debts) if key.period >= barred]
    return tuple(accrual for accrual in found if accrual.total_kopecks or accrual.change_kopecks)


def _accrue(history: History, key: DebtKey, as_of: datetime.date, terms: PenaltyTerms, territory: str) -> Accrual:
    segments = _segments(history.tranches(key), as_of, regime_of(key.service), terms, territory)
    total = rounded_kopecks(segments)
    debt = history.debts[key]
    change = max(total - debt.accrued_kopecks, -max(0, debt.accrued_by_runs_kopecks))
    return Accrual(*key, total, debt.accrued_kopecks, change, segments)


def _segments(
    tranches: Sequence[Tranche], as_of: datetime.date, regime: Regime, terms: PenaltyTerms, territory: str
) -> tuple[Segment, ...]:
    """The segments of all tranches that were not paid before the first day that costs anything."""
    found: list[Segment] = []
    for tranche in tranches:
        is_paid = sum(part.kopecks for part in tranche.parts) == tranche.kopecks
        end = tranche.parts[-1].on if is_paid else as_of
        if min(end, as_of) >= first_charged_day(tranche.due_on, regime):
            penalty = compute_penalty(
                tranche.kopecks, tranche.due_on, tranche.parts, as_of, regime, terms, territory=territory
            )
            found += penalty.segments
    return tuple(found)


def postings_of(run: int, account: AccountId, accruals: Sequence[Accrual], at_us: int) -> list[PostCharges]:
    """Make the commands that post what changed: one a period, with keys that follow from the run and the account."""
    by_period: dict[Period, list[ChargeLine]] = {}
    for accrual in accruals:
        if accrual.change_kopecks:
            line = ChargeLine(accrual.service, accrual.provider, accrual.change_kopecks, Kind.PENALTY)
            by_period.setdefault(accrual.period, []).append(line)
    return [
        PostCharges(
            source=PENALTY_SOURCE,
            txn_id=_txn_id(run, period, account),
            request_hash=fingerprint(account, period, *lines),
            account=account,
            accepted_at_us=at_us,
            period=period,
            lines=tuple(lines),
        )
        for period, lines in sorted(by_period.items())
    ]


def _txn_id(run: int, period: Period, account: AccountId) -> TxnId:
    """Number a posting; an account's number that leaves no room is told by its digest."""
    number = f"{run}-{period}-{account}"
    if len(number) > TXN_ID_CHARS_MAX:
        number = f"{run}-{period}-{blake2b(account.encode(), digest_size=16).hexdigest()}"
    return TxnId(number)
