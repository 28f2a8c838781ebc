"""What all users have in common: when they come (the model), and whom they speak to."""

import random
import re
from typing import ClassVar

from locust.contrib.fasthttp import FastHttpUser, ResponseContextManager

from loadtests.installation import Installation
from loadtests.lanes import Lane

REPEATS_SHARE = 0.03
"""How many payments are sent twice, as by a terminal that did not hear the answer."""

_PROBLEM_CODE = re.compile(rb'"code":\s?"([a-z-]{1,64})"')


class Visitor(FastHttpUser):
    """One who comes, does something, and goes; and comes again when the model says so.

    Closed model: thinks after each visit, so that slow replies mean fewer visits. Open and day models: waits for
    a visit to come in by its lane, whatever became of the others.
    """

    abstract = True
    connection_timeout = 5.0
    network_timeout = 30.0
    installation: ClassVar[Installation]
    lane: ClassVar[Lane]
    chance: ClassVar = random.Random()

    def __init_subclass__(cls) -> None:
        super().__init_subclass__()
        cls.lane = Lane()

    def on_start(self) -> None:
        """Wait first: users are there at once, their visits are not."""
        self.lane.users += 1
        self.wait()  # type: ignore[no-untyped-call]

    def on_stop(self) -> None:
        """Leave the lane: the rate goes with the users."""
        self.lane.users -= 1

    def wait_time(self) -> float:
        """Return how long to think; in the open models nothing, for a visit is then already here."""
        options = self.environment.parsed_options
        if options.model != "closed":
            self.lane.wait_for_visit()
            return 0.0
        pause_s = options.num_users / options.rate if options.rate else 0.0
        return pause_s * self.chance.uniform(0.5, 1.5)


def refusal(response: ResponseContextManager) -> str:
    """Say why a reply is not the one hoped for: alike for like causes, so that the report can count them."""
    if not response.status_code:
        return f"no reply: {getattr(response, 'error', None)!r}"
    code = _PROBLEM_CODE.search(response.content or b"")
    return f"HTTP {response.status_code}" + (f" {code[1].decode()}" if code else "")
