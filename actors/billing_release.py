"""Release from quarantine: rows whose codes somebody has confirmed are posted by themselves, and their hold is lifted.

A release fixes the meanings in the database before it asks anything of the shards; so one that dies is asked again,
the same. Nothing here waits for a person: whoever confirms a mapping needs to do no more.
"""

from itertools import groupby

from actors import billing_protocol
from actors.billing_codes import meaning_of
from actors.billing_intake import Place
from actors.billing_plan import Job, Step, job_of, payment_step, plan_release, releasing_step
from actors.billing_posting import Chunk, Poster
from storage import billing_waiting, billing_work, mapping, received
from storage.billing import Session
from storage.billing_waiting import Releasing
from storage.billing_work import AccountWork, Codes
from storage.received import ReceivedFile

_NO_CODES = Codes({}, {})


async def release(session: Session, place: Place, poster: Poster, rows_a_chunk: int) -> int:
    """Post what waited for a mapping that is confirmed now; return how many rows.

    Errors: `NotDone`, `Stalled`: what was done stays, and the next call goes on.
    """
    await _fix_meanings(session, place)
    released, files = 0, set()
    while (found := await billing_waiting.next_releasing(session, rows_a_chunk)) is not None:
        number, release_number, rows = found
        file = await received.find(place.database_url, number)
        assert file is not None, "waiting rows have a file"
        await _post(session, poster, file, release_number, rows)
        released += len(rows)
        files.add(number)
    for number in sorted(files):
        file = await received.find(place.database_url, number)
        assert file is not None, "waiting rows have a file"
        await billing_protocol.renew(session, place, file)
    return released


async def _fix_meanings(session: Session, place: Place) -> None:
    """Note which waiting rows may go, and what their codes mean."""
    waiting = await billing_waiting.waiting_codes(session)
    if not waiting:
        return
    meanings = await mapping.read_confirmed(place.database_url, session.billing.billing)
    files = {number: await received.find(place.database_url, number) for number, *_ in waiting}
    found = []
    for number, service, provider, period in waiting:
        file = files[number]
        assert file is not None, "waiting rows have a file"
        service_of_ours = meaning_of(meanings, "service", service, period, file) if service else ""
        provider_of_ours = meaning_of(meanings, "provider", provider, period, file) if provider else ""
        if service_of_ours is not None and provider_of_ours is not None:
            found.append((number, service, provider, period, service_of_ours, provider_of_ours))
    if found:
        await billing_waiting.fix_meanings(session, found)


async def _post(
    session: Session, poster: Poster, file: ReceivedFile, release_number: int, rows: list[Releasing]
) -> None:
    """Post the rows of some accounts, lift the holds of those that wait for nothing more, and note both."""
    job = job_of(session.billing, file, _NO_CODES, removes=False)
    accounts = sorted({row.account for row, _, _ in rows})
    waits = await billing_waiting.still_wait(session, accounts, [row for row, _, _ in rows])
    periods = sorted({row.period for row, _, _ in rows})
    works = {work.account: work for work in await billing_work.read_work(session, file.file, accounts, periods)}
    chunk = Chunk((work.account, work.billed) for work in works.values())
    steps: list[Step] = []
    for account, own in groupby(rows, key=lambda each: each[0].account):
        steps += _plan(job, file, works[account], release_number, list(own), waits=account in waits)
    await chunk.post(poster, steps)
    await billing_waiting.save_release(session, file.file, [row for row, _, _ in rows], chunk.progress("", 0))


def _plan(
    job: Job, file: ReceivedFile, work: AccountWork, number: int, rows: list[Releasing], *, waits: bool
) -> list[Step]:
    if file.kind == "payments":
        steps = [payment_step(job, row, service, provider, is_closed=work.is_closed) for row, service, provider in rows]
    else:
        steps = plan_release(job, work.account, rows, work.billed, number)
    return steps if waits else [*steps, releasing_step(job, work.account, number)]
