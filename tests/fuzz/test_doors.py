"""Broken requests at every door: each is answered, costs nothing and leaves nothing; good neighbours are taken.

What must hold is in `rounds.py`. A failure prints its seed and the command that plays it again. The long run is
`make soak`: REQUESTS_MANY broken requests of each door, in rounds that each begin a new application. Extrapolated from
20,000 of each, on two cores that others kept busy (load 6 to 10): about 2 hours 20 minutes for all seven doors; 15
minutes for JSON payments (1,100 a second), 13 for batches, 10 for OSMP, 56 for CyberPlat, which signs by RSA both ways
(300 a second), 22 for MONETA, 11 each for Sberbank and Bisys. The broken files were run in full: 2 minutes.
"""

import asyncio
import logging
from typing import Any

import pytest
from aiohttp import web

from engine.outcomes import Outcome
from gateways import replies
from gateways.problems import Refused
from gateways.processors.dialects import all_dialects
from tests.fuzz import rounds, wire
from tests.fuzz.again import told_how_to_play_again
from tests.fuzz.doors import DOORS, SEALS, TELLS
from tests.fuzz.wire import Broken
from tests.gateways.processors.drivers import DRIVERS

REQUESTS_FEW = 1_000
REQUESTS_MANY = 1_000_000


def test_every_dialect_has_its_door() -> None:
    assert set(DOORS) >= set(all_dialects())
    assert set(TELLS) == set(all_dialects())
    assert set(SEALS) == {name for name, driver in DRIVERS.items() if driver.is_signed}


@pytest.mark.slow
@pytest.mark.parametrize("name", DOORS)
def test_broken_requests_cost_nothing(name: str) -> None:
    with told_how_to_play_again(name, 1, REQUESTS_FEW):
        played = asyncio.run(rounds.play(name, 1, REQUESTS_FEW))
    assert len(played.statuses) > 3, "they were broken in many ways"
    assert played.taken > REQUESTS_FEW // 20, "and good ones were among them"


@pytest.mark.soak
@pytest.mark.parametrize("name", DOORS)
def test_a_million_broken_requests_cost_nothing(name: str) -> None:
    for seed in range(2, 2 + rounds.rounds_of(REQUESTS_MANY)):
        with told_how_to_play_again(name, seed, rounds.ROUND_REQUESTS):
            asyncio.run(rounds.play(name, seed))


def _play() -> None:
    asyncio.run(rounds.play("payments", 1, 200))


def test_an_error_of_ours_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    def falls_over(_: Outcome) -> web.Response:
        raise KeyError("a field")

    monkeypatch.setattr(replies, "created", falls_over)
    with pytest.raises(Broken, match=r"^500 for|logged"):
        _play()


def test_a_payment_that_is_taken_and_refused_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    created, told = replies.created, 0

    def forgets_one(outcome: Outcome) -> web.Response:
        nonlocal told
        reply = created(outcome)
        told += 1
        if told == 7:
            raise Refused("field-invalid")
        return reply

    monkeypatch.setattr(replies, "created", forgets_one)
    with pytest.raises(Broken, match=r"never told|good request was refused"):
        _play()


def test_a_payment_that_is_told_and_not_there_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    created = replies.created

    def invents_one(outcome: Outcome) -> web.Response:
        reply = created(outcome)
        reply.body = bytes(reply.body or b"").replace(b'"payment_id":"1', b'"payment_id":"8')  # type: ignore[arg-type]
        return reply

    monkeypatch.setattr(replies, "created", invents_one)
    with pytest.raises(Broken, match="told and not there"):
        _play()


def test_a_reply_that_does_not_come_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    async def hangs(*_: Any) -> web.Response:
        await asyncio.sleep(3600)
        raise AssertionError

    monkeypatch.setattr(wire, "ANSWER_S_MAX", 0.3)
    monkeypatch.setattr("gateways.terminal.Terminal.pay", hangs)
    monkeypatch.setattr("gateways.app._SHUTDOWN_S", 0.1)
    with pytest.raises(Broken, match="no reply within"):
        _play()


def test_what_is_logged_as_an_error_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    created = replies.created

    def complains(outcome: Outcome) -> web.Response:
        logging.getLogger("kopeck.gateway").error("something is wrong")
        return created(outcome)

    monkeypatch.setattr(replies, "created", complains)
    with pytest.raises(Broken, match="something is wrong"):
        _play()
