"""What locust runs: who comes, how many, and when. `python -m loadtests` starts it, or locust itself with its page.

Open and day models: visits come by themselves, `rate` a second when all users are there. Each user adds an equal
part of the rate to the process that it is in, so it does not matter how many processes there are, and a day's
curve needs only to say how many users there are.
"""

import logging
import random
from collections.abc import Iterator
from time import perf_counter
from typing import Any

import gevent  # type: ignore[import-untyped]
from locust import events
from locust.argument_parser import LocustArgumentParser
from locust.env import Environment
from locust.runners import MasterRunner

from loadtests import installation
from loadtests.arrivals import PoissonArrivals
from loadtests.cabinet import Reader
from loadtests.processor import Processor
from loadtests.terminal import Terminal
from loadtests.visitor import Visitor

_KINDS: tuple[type[Visitor], ...] = (Terminal, Processor, Reader)
_TICK_S = 0.005
_STALL_S = 0.25
_RATE = 100
_log = logging.getLogger("loadtests")


@events.init_command_line_parser.add_listener  # type: ignore[untyped-decorator]
def add_options(parser: LocustArgumentParser) -> None:
    """Take the model and the rate as options of locust: its workers and its page know them too."""
    parser.add_argument("--model", choices=["open", "closed", "day"], default="open", help="When visits come")
    parser.add_argument("--rate", type=int, default=_RATE, help="Visits a second of all users together")


@events.init.add_listener  # type: ignore[untyped-decorator]
def find_system(environment: Environment, **_: Any) -> None:
    """Tell every user where the system is, unless --host says otherwise."""
    Visitor.installation = installation.read(installation.home())
    environment.host = environment.host or Visitor.installation.base_url


@events.test_start.add_listener  # type: ignore[untyped-decorator]
def open_lanes(environment: Environment, **_: Any) -> None:
    """Let visits begin to come, in the process that has the users."""
    options = environment.parsed_options
    if options is not None and options.model != "closed" and not isinstance(environment.runner, MasterRunner):
        bringing = gevent.spawn(_bring_visits, environment, options.rate / options.num_users)
        environment.events.test_stop.add_listener(  # type: ignore[no-untyped-call]
            lambda **_: bringing.kill(block=False)
        )


def _bring_visits(environment: Environment, rate_per_user: float) -> None:
    """Bring visits to each kind's lane, tick by tick, until killed."""
    arrivals = {kind: PoissonArrivals(random.Random()) for kind in _KINDS}
    for passed_s in _ticks():
        for kind, coming in arrivals.items():
            visits = coming.come(rate_per_user * kind.lane.users * passed_s)
            for _ in range(kind.lane.bring(visits)):
                _report_turned_away(environment, kind)


def _ticks() -> Iterator[float]:
    """Yield how long the last tick really was. A stall is said aloud: latencies around it are our own."""
    before = perf_counter()
    while True:
        gevent.sleep(_TICK_S)
        now = perf_counter()
        passed_s, before = now - before, now
        if passed_s > _STALL_S:
            _log.warning("the load generator itself stalled for %.0f ms: it needs more processor", passed_s * 1000)
        yield passed_s


def _report_turned_away(environment: Environment, kind: type[Visitor]) -> None:
    """Count a visit that found every user busy as failed: unreported, it would make a slow system look well."""
    environment.events.request.fire(  # type: ignore[no-untyped-call]
        request_type="VISIT",
        name=f"{kind.__name__} turned away",
        response_time=0,
        response_length=0,
        exception=RuntimeError("every user is busy: replies are slow, or --users is too low for --rate"),
        context={},
    )


@events.quitting.add_listener  # type: ignore[untyped-decorator]
def fail_if_nothing_was_asked(environment: Environment, **_: Any) -> None:
    """A run that asked nothing proves nothing: it has failed."""
    if environment.stats.total.num_requests == 0:
        _log.error("not one request was made")
        environment.process_exit_code = 1
