"""What a file asks of the shards for one account: pure, the same input gives the same commands under the same keys.

A billing's file says what is owed; the ledger takes only what changes. Of a month that the billing has never posted,
its documents are posted as they are. Of a month that it has, a full file posts the difference to what it posted before,
as one adjustment a kind; a delta file posts its lines as they are. Rows with a code that nobody has confirmed are left
out, and hold their account. Keys are made of the file, the account and the part, so a run that starts again after a
crash asks the same, and the ledger answers that it has it already.
"""

import datetime
import enum
import hashlib
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, NamedTuple

from engine import limits
from engine.charge import Kind
from engine.commands import (
    AcceptPayment,
    AnyCommand,
    ChargeLine,
    CloseAccount,
    Earmark,
    OpenAccount,
    PlaceHold,
    PostCharges,
    ReleaseHold,
    fingerprint,
)
from engine.ids import AccountId, Period, ProviderId, ServiceCode, SourceId, TxnId, billing_source
from storage.billing import Billing
from storage.billing_staging import StagedRow
from storage.billing_work import AccountWork, Codes, LineOf, Lines
from storage.codec import micros
from storage.received import ReceivedFile

_PAID_AT = datetime.time(9, tzinfo=datetime.UTC)
"""A payment told by its day only: nine o'clock UTC is that day everywhere in Russia."""
_KEY_DIGEST_BYTES = 24


class Wave(enum.IntEnum):
    """The order in which an account's commands are sent; a wave is durable before the next one goes."""

    OPEN = 0
    HOLD = 1
    POST = 2
    RELEASE = 3
    CLOSE = 4


class Job(NamedTuple):
    """What every command of a file has in common. `removes`: what the file does not name is owed no more."""

    file: int
    billing: str
    source: SourceId
    agreement: str
    is_full: bool
    removes: bool
    opens_accounts: bool
    accepted_at_us: int
    codes: Codes


def job_of(billing: Billing, file: ReceivedFile, codes: Codes, *, removes: bool) -> Job:
    """What the commands of a file have in common. They are made as of the moment it came, however late they go."""
    return Job(
        file=file.file,
        billing=billing.billing,
        source=billing_source(billing.billing),
        agreement=billing.agreement,
        is_full=file.mode == "full",
        removes=removes,
        opens_accounts=billing.terms.opens_accounts,
        accepted_at_us=micros(file.received_at),
        codes=codes,
    )


class Step(NamedTuple):
    """One command, and the rows of the file that it stands for."""

    wave: Wave
    command: AnyCommand
    rows: tuple[int, ...] = ()


class Document(NamedTuple):
    """What lines of one posting have in common."""

    period: int
    kind: int
    reference: str
    due_on: datetime.date | None


class _Asked(NamedTuple):
    """The lines of a document as a file has them, and its rows."""

    lines: Lines
    rows: list[int]


# Charges -------------------------------------------------------------------------------------------------------------


def plan_charges(job: Job, work: AccountWork) -> list[Step]:
    """Plan an account of a file of charges; nothing to do is an empty plan."""
    counted = [row for row in work.rows if row.row not in work.rejected]
    documents = _documents(_meant(job.codes, counted))
    removes = job.removes and not work.rejected
    postings = list(_postings(job, work, documents, removes=removes))
    steps = []
    if not work.is_known and job.opens_accounts and counted:
        steps.append(_opening(job, work.account, tuple(row.row for row in counted)))
    if work.waits and not work.is_held:
        steps.append(_hold(job, work.account))
    steps += postings
    if work.is_held and not work.waits:
        steps.append(_unhold(job, work.account, "unhold"))
    return steps


Meant = tuple[StagedRow, str, str]
"""A row with the master's codes of its service and provider."""


def _meant(codes: Codes, rows: Iterable[StagedRow]) -> Iterator[Meant]:
    """Translate codes; rows with one that nobody has confirmed are left out: they wait."""
    for row in rows:
        service = codes.services.get((row.service, row.period))
        provider = codes.providers.get((row.provider, row.period))
        if service is not None and provider is not None:
            yield row, service, provider


def _documents(rows: Iterable[Meant]) -> dict[Document, _Asked]:
    """Gather lines by document; penalties and court costs are documents of their own."""
    documents: dict[Document, _Asked] = {}
    for row, service, provider in rows:
        for kind, kopecks in _amounts(row):
            document = Document(row.period, kind, row.reference, row.on_date)
            asked = documents.setdefault(document, _Asked({}, []))
            line = (service, provider, kind)
            asked.lines[line] = asked.lines.get(line, 0) + kopecks
            if not asked.rows or asked.rows[-1] != row.row:
                asked.rows.append(row.row)
    return documents


def _amounts(row: StagedRow) -> Iterator[tuple[int, int]]:
    """A row's own amount under its kind, even if zero; its penalty and court costs where there are any."""
    yield row.kind, row.due_kopecks
    if row.penalty_kopecks:
        yield Kind.PENALTY, row.penalty_kopecks
    if row.duty_kopecks:
        yield Kind.COURT_COST, row.duty_kopecks


def _postings(job: Job, work: AccountWork, documents: dict[Document, _Asked], *, removes: bool) -> Iterator[Step]:
    periods = {document.period for document in documents} | (set(work.billed) if removes else set())
    for period in sorted(periods):
        of_period = {document: asked for document, asked in documents.items() if document.period == period}
        before = work.billed.get(period, {})
        if before and job.is_full:
            yield from _differences(job, work.account, period, of_period, before, removes=removes)
        else:
            for number, (document, asked) in enumerate(of_period.items()):
                yield from _post(job, work.account, f"{number}", document, asked, adjustment=bool(before))


def _differences(
    job: Job, account: str, period: int, documents: dict[Document, _Asked], before: Lines, *, removes: bool
) -> Iterator[Step]:
    """What brings an account from what was billed to what the file says, an adjustment a kind."""
    after: Lines = {}
    for asked in documents.values():
        for line, kopecks in asked.lines.items():
            after[line] = after.get(line, 0) + kopecks
    lines = after.keys() | before.keys() if removes else after.keys()
    changes = {line: after.get(line, 0) - before.get(line, 0) for line in sorted(lines)}
    for kind in sorted({line[2] for line, kopecks in changes.items() if kopecks}):
        own = [(document, asked) for document, asked in documents.items() if document.kind == kind]
        rows = sorted({row for _, asked in own for row in asked.rows})
        document = own[0][0] if own else Document(period, kind, "", None)
        asked = _Asked({line: kopecks for line, kopecks in changes.items() if line[2] == kind}, rows)
        yield from _post(job, account, "a", document, asked, adjustment=True)


def _post(job: Job, account: str, part: str, document: Document, asked: _Asked, *, adjustment: bool) -> Iterator[Step]:
    """Post a document, in pieces that a document may have."""
    lines = sorted((line, kopecks) for line, kopecks in asked.lines.items() if kopecks)
    size = limits.LINES_PER_DOCUMENT_MAX
    for first in range(0, len(lines), size):
        piece = lines[first : first + size]
        key = f"{document.period}.{document.kind}.{part}.{first // size}"
        command = PostCharges(
            **_common(job, account, key, document, piece, adjustment),
            period=Period(document.period),
            lines=tuple(_charge_line(line, kopecks) for line, kopecks in piece),
            document=document.reference,
            due_on=document.due_on,
            adjustment=adjustment,
        )
        yield Step(Wave.POST, command, tuple(asked.rows))


def _charge_line(line: LineOf, kopecks: int) -> ChargeLine:
    service, provider, kind = line
    return ChargeLine(ServiceCode(service), ProviderId(provider), kopecks, Kind(kind))


def posted_lines(command: PostCharges) -> Lines:
    """Return the lines that a posting added."""
    return {(line.service, line.provider, int(line.kind)): line.kopecks for line in command.lines}


def plan_release(job: Job, account: str, rows: Sequence[Meant], billed: dict[int, Lines], release: int) -> list[Step]:
    """Plan the rows of an account that have waited for a mapping."""
    steps: list[Step] = []
    for document, asked in _documents(rows).items():
        part = f"w{release}.{asked.rows[0]}"
        steps += _post(job, account, part, document, asked, adjustment=document.period in billed)
    return steps


def releasing_step(job: Job, account: str, release: int) -> Step:
    """Lift the hold of an account that waits for nothing more."""
    return _unhold(job, account, f"unhold.w{release}")


def _hold(job: Job, account: str) -> Step:
    return Step(Wave.HOLD, PlaceHold(**_common(job, account, "hold"), hold=job.billing, reason="mapping"))


def _unhold(job: Job, account: str, part: str) -> Step:
    return Step(Wave.RELEASE, ReleaseHold(**_common(job, account, part), hold=job.billing))


# Payments accepted elsewhere -----------------------------------------------------------------------------------------


def plan_payments(job: Job, work: AccountWork) -> list[Step]:
    """Plan an account of a file of payments that the billing took itself; a row is a payment, or a part of one."""
    counted = [row for row in work.rows if row.row not in work.rejected]
    steps = []
    if work.waits and not work.is_held:
        steps.append(_hold(job, work.account))
    for row in counted:
        service = job.codes.services.get((row.service, row.period)) if row.service else ""
        provider = job.codes.providers.get((row.provider, row.period)) if row.provider else ""
        if service is not None and provider is not None:
            steps.append(payment_step(job, row, service, provider, is_closed=work.is_closed))
    if work.is_held and not work.waits:
        steps.append(_unhold(job, work.account, "unhold"))
    return steps


def payment_step(job: Job, row: StagedRow, service: str, provider: str, *, is_closed: bool) -> Step:
    """Take a payment that the billing has: its key is the billing's own operation, so no second file counts it twice.

    Rule: what it was meant for is not part of "the same payment"; an agreement that allows no such designation takes
    it without. A closed account takes it all the same: the money is there, and its debt is smaller.
    """
    assert row.on_date is not None, "the reader demands the day of a payment"
    paid_at = datetime.datetime.combine(row.on_date, _PAID_AT)
    operation = "/".join(("p", row.reference, row.service, row.provider, str(row.period or "")))
    command = AcceptPayment(
        source=job.source,
        txn_id=_txn_id(operation),
        request_hash=fingerprint(row.account, row.due_kopecks, row.on_date),
        account=AccountId(row.account),
        accepted_at_us=int(paid_at.timestamp()) * 1_000_000,
        amount_kopecks=row.due_kopecks,
        channel="elsewhere",
        doc_period=Period(row.period),
        earmark=Earmark(service=ServiceCode(service), provider=ProviderId(provider)) if service or provider else None,
        keep_if_unknown=is_closed,
    )
    return Step(Wave.POST, command, (row.row,))


# Accounts ------------------------------------------------------------------------------------------------------------


def plan_accounts(job: Job, work: AccountWork) -> list[Step]:
    """Plan an account of a file of accounts: open it, close it, or neither."""
    counted = [row for row in work.rows if row.row not in work.rejected]
    rows = tuple(row.row for row in counted)
    steps = []
    if counted and not work.is_known:
        steps.append(_opening(job, work.account, rows))
    is_gone = job.removes and not work.rows and work.is_known
    if not work.is_closed and (is_gone or any(row.value == "closed" for row in counted)):
        command = CloseAccount(**_common(job, work.account, "close"), reason="billing")
        steps.append(Step(Wave.CLOSE, command, rows))
    return steps


def _opening(job: Job, account: str, rows: tuple[int, ...]) -> Step:
    command = OpenAccount(**_common(job, account, "open", job.agreement), agreement=job.agreement)
    return Step(Wave.OPEN, command, rows)


# Keys ----------------------------------------------------------------------------------------------------------------


def _common(job: Job, account: str, part: str, *content: object) -> dict[str, Any]:
    return {
        "source": job.source,
        "txn_id": _txn_id(f"{job.file}/{account}/{part}"),
        "request_hash": fingerprint(part, *content),
        "account": AccountId(account),
        "accepted_at_us": job.accepted_at_us,
    }


def _txn_id(text: str) -> TxnId:
    """A key that says what it is, or its digest where that would be too long."""
    if len(text) <= limits.TXN_ID_CHARS_MAX:
        return TxnId(text)
    return TxnId("~" + hashlib.blake2b(text.encode(), digest_size=_KEY_DIGEST_BYTES).hexdigest())
