"""What probes and Prometheus ask of a gateway."""

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio
from prometheus_client.parser import text_string_to_metric_families

from actors.metrics import Sample, decode, encode, of_shard
from gateways.app import Readiness
from tests.gateways.json_stage import Client, Stage, bearer, counted, open_door, open_stage, payment


@pytest_asyncio.fixture
async def stage() -> AsyncIterator[Stage]:
    async with open_stage() as opened:
        yield opened


@pytest_asyncio.fixture
async def door(stage: Stage) -> AsyncIterator[Client]:
    async with open_door(stage) as client:
        yield client


async def shown(door: Client) -> dict[tuple[str, tuple[tuple[str, str], ...]], float]:
    """Every sample of the page of metrics, read as Prometheus reads it."""
    reply = await door.get("/metrics")
    assert reply.status == 200
    assert reply.headers["Content-Type"].startswith("text/plain; version=0.0.4")
    return {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(await reply.text())
        for sample in family.samples
    }


async def test_a_gateway_is_alive_whatever_stands_behind_it(stage: Stage, door: Client) -> None:
    stage.disconnect()
    stage.readiness = Readiness(ready=False, problem="shards without a lease: 2")
    assert (await door.get("/healthz")).status == 200


async def test_a_gateway_is_ready_while_payments_can_be_taken(stage: Stage, door: Client) -> None:
    assert (await door.get("/readyz")).status == 200
    stage.readiness = Readiness(ready=False, problem="shards without a lease: 2")
    reply = await door.get("/readyz")
    problem = await reply.json()
    assert (reply.status, problem["code"], problem["reason"]) == (503, "unavailable", "shards without a lease: 2")
    assert reply.headers["Retry-After"] == "1"


async def test_an_operator_sees_the_shards_or_is_told_to_come_again(stage: Stage, door: Client) -> None:
    assert await (await door.get("/v1/status", headers=bearer("operator"))).json() == {"shards": []}
    stage.readiness = Readiness(ready=False)
    reply = await door.get("/v1/status", headers=bearer("operator"))
    assert (reply.status, (await reply.json())["code"]) == (503, "unavailable")


async def test_the_page_of_metrics_is_the_sum_of_all_processes(stage: Stage, door: Client) -> None:
    labels = {"route": "/v1/payments", "method": "POST", "status": "201"}
    await door.post("/v1/payments", json=payment())
    here = counted("kopeck_http_requests_total", **labels)
    pairs = tuple(sorted(labels.items()))
    other = Sample("kopeck_http_requests", "counter", "x", "kopeck_http_requests_total", pairs, 1000)
    stage.samples_of_others = [decode(encode([other])), decode(encode([other]))]
    assert (await shown(door))["kopeck_http_requests_total", pairs] == here + 2000


async def test_shards_tell_what_they_committed_replayed_and_refused(stage: Stage, door: Client) -> None:
    for asked in (payment(), payment(), payment(txn_id="T-2", amount_kopecks=0)):
        await door.post("/v1/payments", json=asked)
    stage.samples_of_others = [decode(encode(of_shard(shard))) for shard in stage.shards]
    page = await shown(door)
    first = (("shard", "1"),)
    billed = sum(shard == 1 and event.source == "billing" for (shard, _), (event, *_) in stage.ledger.rows.items())
    assert page["kopeck_shard_entries_committed_total", first] == billed + 1
    assert page["kopeck_shard_replays_total", first] == 1
    assert page["kopeck_shard_rejections_total", (("reason", "amount_not_positive"), *first)] == 1
    assert page["kopeck_shard_batch_entries_count", first] >= 1
    assert page["kopeck_shard_batch_entries_sum", first] == billed + 1
    assert ("kopeck_shard_commit_seconds_bucket", (("le", "+Inf"), *first)) in page
    assert page["kopeck_shard_inbox_commands", first] == 0


@pytest.mark.parametrize("method", ["PUT", "DELETE", "PATCH", "PURGE"])
async def test_a_foreign_method_makes_no_series_of_its_own(door: Client, method: str) -> None:
    labels = {"route": "unknown", "status": "405"}
    before = counted("kopeck_http_requests_total", method="other", **labels)
    await door.request(method, "/v1/payments")
    assert counted("kopeck_http_requests_total", method="other", **labels) == before + 1


async def test_a_route_is_counted_by_its_pattern(door: Client) -> None:
    labels = {"route": "/v1/accounts/{number}", "method": "GET", "status": "404"}
    before = counted("kopeck_http_requests_total", **labels)
    await door.get("/v1/accounts/1")
    await door.get("/v1/accounts/2")
    assert counted("kopeck_http_requests_total", **labels) == before + 2
