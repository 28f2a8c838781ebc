"""`kopeck status`: what runs, who owns what, how deep the queues are."""

import msgspec

from actors import bootstrap, classes, metrics, run_file
from actors.client import ShardUnreachable
from actors.settings import Settings
from actors.supervisor import ShardStatus, Status
from cli.console import out, table
from storage.embedded import EmbeddedPostgres, EmbeddedValkey
from storage.errors import NotDone

_ASK_S_MAX = 3.0


class ShardLoad(msgspec.Struct):
    """What a shard has to do now. Counts since its start."""

    shard: int
    inbox: int = 0
    waiting: int = 0
    in_flight: int = 0
    cached: int = 0
    parked: int = 0
    committed: int = 0


class SystemStatus(msgspec.Struct):
    """The state of an installation. `well`: everything answers."""

    running: bool
    well: bool
    url: str
    problem: str
    postgres_pid: int | None
    valkey_pid: int | None
    shards: list[ShardStatus]
    load: list[ShardLoad]


async def read_status(settings: Settings) -> SystemStatus:
    """Ask the running system; without one, tell what is left of it."""
    found = SystemStatus(
        running=False,
        well=False,
        url="",
        problem="no system is running; start it with `kopeck up`",
        postgres_pid=None if settings.database_url else EmbeddedPostgres(settings.home).pid(),
        valkey_pid=None if settings.redis_url else EmbeddedValkey(settings.home).pid(),
        shards=[],
        load=[],
    )
    run = run_file.read(settings.home)
    if run is None:
        return found
    found.running, found.url = True, run.url
    classes.join_ray(settings, run.ray_address)
    try:
        await _ask(settings, run.database_url, found)
    except (ShardUnreachable, NotDone) as error:
        found.problem = str(error)
    finally:
        classes.leave_ray()
    found.well = not found.problem
    return found


async def _ask(settings: Settings, database_url: str, found: SystemStatus) -> None:
    told = await classes.call(classes.find_actor("supervisor").status.remote(), _ASK_S_MAX)
    status = msgspec.json.decode(told, type=Status)
    found.shards, found.problem = status.shards, status.problem
    installation = bootstrap.Installation(settings, database_url)
    await installation.refresh()
    answers = await installation.samples_of_others("")
    found.load = [load for load in map(_load, map(metrics.decode, answers)) if load is not None]


def _load(samples: list[metrics.Sample]) -> ShardLoad | None:
    values = {sample.name: sample for sample in samples if sample.name.startswith("kopeck_shard_")}
    if not values:
        return None
    label = next(value for sample in values.values() for name, value in sample.labels if name == "shard")

    def value(name: str) -> int:
        sample = values.get(f"kopeck_shard_{name}")
        return int(sample.value) if sample is not None else 0

    return ShardLoad(
        int(label),
        value("inbox_commands"),
        value("commit_waiting_entries"),
        value("in_flight_entries"),
        value("accounts_cached"),
        value("parked_accounts"),
        value("entries_committed_total"),
    )


def show_status(found: SystemStatus) -> None:
    """Show it to people."""
    if not found.running:
        out.print(found.problem)
        for name, pid in (("postgres", found.postgres_pid), ("valkey", found.valkey_pid)):
            if pid is not None:
                out.print(f"  {name} still runs (process {pid}); the next start adopts it")
        return
    out.print(f"kopeck at {found.url}   postgres process {found.postgres_pid}   valkey process {found.valkey_pid}")
    load = {one.shard: one for one in found.load}
    shards = table(
        "shards",
        ">shard",
        ">epoch",
        ">seq",
        ">slots",
        ">lease",
        "owner",
        "answers",
        ">inbox",
        ">waiting",
        ">accounts",
        ">parked",
    )
    for row in found.shards:
        now = load.get(row.shard, ShardLoad(row.shard))
        shards.add_row(
            *(
                str(row.shard),
                str(row.epoch),
                f"{row.seq:,}",
                str(row.slots),
                f"{row.lease_left_ms / 1000:.1f} s",
                row.owner,
            ),
            "[green]yes[/]" if row.answers else "[bold red]no[/]",
            *(f"{now.inbox:,}", f"{now.waiting + now.in_flight:,}", f"{now.cached:,}", f"{now.parked:,}"),
        )
    out.print(shards)
    out.print(f"[bold red]{found.problem}[/]" if found.problem else "[green]all is well[/]")
