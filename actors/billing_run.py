"""The run of a billing's files: staged, checked, posted through the shards, answered by a protocol. Resumes anywhere.

States of a file: received -> staged -> checked -> posting -> done; or refused, before anything is posted. Each step is
one transaction, or can be begun again:
- staging that died is dropped and begun anew; checks say the same again;
- what the sender's codes mean is fixed when posting begins, so whatever is confirmed meanwhile changes no command;
- posting goes in the order of accounts; a checkpoint writes what a chunk changed and moves the cursor. What was asked
  after the last checkpoint is asked again under the same keys, and the ledger answers that it has it.
A billing's files are posted one after another, in the order in which they came, under a lock that goes with the
process. Rows that wait for a mapping are let go between two files, never beside one: what is billed may not change
between a chunk and its repeat.
"""

import asyncio
import datetime
import logging
from collections.abc import Callable
from typing import NamedTuple

from actors import billing_protocol, billing_stage, profiles
from actors.billing_codes import meanings_of, place_people
from actors.billing_intake import Place
from actors.billing_plan import Job, Step, job_of, plan_accounts, plan_charges, plan_payments
from actors.billing_posting import Chunk, Pace, Poster, Stalled
from actors.billing_release import release
from actors.billing_stage import Reading
from actors.client import Router
from engine.ids import billing_source
from storage import billing, billing_checks, billing_staging, billing_tables, billing_waiting, billing_work
from storage.billing import Run, Session
from storage.billing_work import AccountWork
from storage.errors import StorageError
from storage.received import ReceivedFile

_PROBLEM_FINDINGS_MAX = 20
_PLANS: dict[str, Callable[[Job, AccountWork], list[Step]]] = {
    "charges": plan_charges,
    "payments": plan_payments,
    "accounts": plan_accounts,
}
MOSCOW = datetime.timezone(datetime.timedelta(hours=3))
"""Whose date decides what lies in the future; senders to the east are allowed a day."""

_log = logging.getLogger("kopeck.billing")


class Observer(NamedTuple):
    """Who watches a run: told the step (`staging`, `posting`), how much there is of it (0: unknown), and each part."""

    begin: Callable[[str, int], None]
    advance: Callable[[int], None]


UNSEEN = Observer(lambda step, total: None, lambda count: None)


class Importer:
    """Runs billings' files. Nothing is kept between calls: another process may go on where this one stopped."""

    def __init__(
        self,
        place: Place,
        router: Router,
        pace: Pace | None = None,
        *,
        accounts_a_chunk: int = 1_000,
        observer: Observer = UNSEEN,
    ) -> None:
        self.place = place
        self._pace = pace or Pace()
        self._poster = Poster(router, self._pace)
        self._accounts_a_chunk = accounts_a_chunk
        self._observer = observer

    async def run(self, name: str) -> bool:
        """Let go what can be let go, then bring every file of a billing to its end; False while somebody else does.

        Errors: `NotDone` of the database, `Stalled` of the shards: what was done stays, and the next call goes on.
        LookupError for no such billing, or when a file or its profile is gone.
        """
        async with billing.exclusive(self.place.database_url, name) as session:
            if session is None:
                return False
            files = await billing.unfinished_of(session)
            for file in files:
                if file.state == "posting":
                    await self._run_file(session, file)
            await release(session, self.place, self._poster, self._accounts_a_chunk)
            for file in files:
                if file.state != "posting":
                    await self._run_file(session, file)
            await place_people(session, self.place.database_url)
        return True

    async def run_all(self) -> None:
        """Do what there is to do for every billing; to be called again and again. One in trouble delays no other."""
        for name in await billing.billings_at_work(self.place.database_url):
            try:
                await self.run(name)
            except (StorageError, Stalled, LookupError, ValueError) as error:
                _log.warning("billing=%s is not done: %s", name, error)

    async def _run_file(self, session: Session, file: ReceivedFile) -> None:
        if file.state == "received":
            await self._stage(session, file)
        if file.state in ("received", "staged"):
            profile = await profiles.resolve(self.place.database_url, file.profile, file.profile_version)
            severities = {code.value: severity.value for code, severity in profile.severities.items()}
            await billing_checks.check(session, file, severities, billing_source(file.sender))
        if file.state != "posting" and await self._refuse(session, file):
            return
        if file.state != "posting":
            await self._begin_posting(session, file)
        await self._post(session, file)
        await billing_tables.take_tables(session, file.file, file.kind)
        await billing_protocol.close(session, self.place, file, "done", "")

    async def _stage(self, session: Session, file: ReceivedFile) -> None:
        profile = await profiles.resolve(self.place.database_url, file.profile, file.profile_version)
        self._observer.begin("staging", 0)
        path = self.place.archive.path(file.sha256)
        if not path.is_file():
            raise LookupError(f"file {file.file} is not in the archive")
        reading = Reading(path, profile, file.received_at.astimezone(MOSCOW).date())
        await billing_stage.stage(session, file.file, reading, self._pace, self._observer.advance)

    async def _refuse(self, session: Session, file: ReceivedFile) -> bool:
        """Refuse a file with errors of the whole, and tell which lines; nothing of it has been posted."""
        errors = await billing_staging.file_errors(session, file.file, _PROBLEM_FINDINGS_MAX)
        if not errors:
            return False
        problem = "; ".join(f"строка {each.row}: {each.text}" if each.row else each.text for each in errors)
        await billing_protocol.close(session, self.place, file, "refused", problem)
        return True

    async def _begin_posting(self, session: Session, file: ReceivedFile) -> None:
        """Fix the meanings of codes; propose those that nobody has confirmed."""
        used = await billing_waiting.used_codes(session, file.file)
        codes = await meanings_of(self.place.database_url, file, used)
        is_whole = file.mode == "full" and not await billing_checks.unreadable_rows(session, file.file)
        periods = await billing_checks.periods_of(session, file.file)
        await billing_waiting.begin_posting(session, file, codes, periods, is_whole=is_whole)

    async def _post(self, session: Session, file: ReceivedFile) -> None:
        """Post what is left, a chunk at a time; the next one is read and planned while this one is on its way."""
        run = await billing.find_run(session, file.file)
        assert run is not None, "posting has begun"
        if file.kind not in _PLANS:
            return
        self._observer.begin("posting", run.accounts)
        self._observer.advance(run.posted)
        codes = await billing_waiting.read_codes(session, file.file)
        posting = _Posting(session, file, run, job_of(session.billing, file, codes, removes=run.is_whole))
        works, steps = await self._after(posting, run.cursor)
        while works:
            chunk = Chunk((work.account, work.billed) for work in works)
            following = asyncio.ensure_future(self._after(posting, works[-1].account))
            try:
                await chunk.post(self._poster, steps)
            finally:
                await asyncio.gather(following, return_exceptions=True)
            await billing_work.save(session, file.file, chunk.progress(works[-1].account, len(works)))
            self._observer.advance(len(works))
            works, steps = following.result()

    async def _after(self, posting: "_Posting", cursor: str) -> tuple[list[AccountWork], list[Step]]:
        """Read and plan the accounts after a cursor; none is the end."""
        session, file, run, job = posting
        accounts = await billing_work.next_accounts(
            session, file, cursor, self._accounts_a_chunk, periods=run.periods, is_whole=run.is_whole
        )
        if not accounts:
            return [], []
        works = await billing_work.read_work(session, file.file, accounts, run.periods)
        return works, [step for work in works for step in _PLANS[file.kind](job, work)]


class _Posting(NamedTuple):
    """What does not change while a file is posted."""

    session: Session
    file: ReceivedFile
    run: Run
    job: Job
