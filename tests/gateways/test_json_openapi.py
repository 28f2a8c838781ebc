"""The description of the JSON door says what the door does: every route, every type, and examples that work."""

from collections.abc import AsyncIterator, Iterator
from typing import Any

import msgspec
import pytest
import pytest_asyncio

from gateways import openapi, wire
from gateways.problems import PROBLEMS
from tests.gateways.json_stage import OPEN, Client, Stage, open_door, open_stage, payment

TYPES = {"PaymentRequest": wire.PaymentRequest, "ReversalRequest": wire.ReversalRequest}


@pytest_asyncio.fixture
async def stage() -> AsyncIterator[Stage]:
    async with open_stage() as opened:
        yield opened


@pytest_asyncio.fixture
async def door(stage: Stage) -> AsyncIterator[Client]:
    async with open_door(stage) as client:
        yield client


@pytest_asyncio.fixture
async def described(door: Client) -> dict[str, Any]:
    """The description as the gateway serves it."""
    reply = await door.get("/openapi.json")
    assert (reply.status, reply.content_type) == (200, "application/json")
    found: dict[str, Any] = await reply.json()
    return found


def every(key: str, node: object) -> Iterator[Any]:
    """Every value of a member of this name, however deep."""
    if isinstance(node, dict):
        yield from (value for name, value in node.items() if name == key)
    children = node.values() if isinstance(node, dict) else node if isinstance(node, list) else ()
    for child in children:
        yield from every(key, child)


def operations(described: dict[str, Any]) -> dict[tuple[str, str], dict[str, Any]]:
    """Every described operation by method and path."""
    return {
        (method.upper(), path): operation
        for path, methods in described["paths"].items()
        for method, operation in methods.items()
    }


def test_it_is_an_openapi_document(described: dict[str, Any]) -> None:
    assert described["openapi"].startswith("3.1.")
    assert set(described["info"]) >= {"title", "version"}
    assert described["security"] == [{"key": []}]
    assert set(described["components"]["securitySchemes"]) == {"key"}


def test_every_route_is_described(described: dict[str, Any], door: Client) -> None:
    assert door.app is not None
    routes = [(route.method, route.resource) for route in door.app.router.routes() if route.method != "HEAD"]
    found = {(method, resource.canonical) for method, resource in routes if resource is not None}
    assert set(operations(described)) == {route for route in found if route[1].startswith("/v1/")}


def test_every_reference_resolves(described: dict[str, Any]) -> None:
    references = set(every("$ref", described))
    assert "#/components/schemas/Problem" in references
    for reference in references:
        node: Any = described
        for step in reference.removeprefix("#/").split("/"):
            node = node[step]
        assert "properties" in node


def test_every_operation_has_its_parts(described: dict[str, Any]) -> None:
    for (method, path), operation in operations(described).items():
        inside = {parameter["name"] for parameter in operation["parameters"] if parameter["in"] == "path"}
        assert inside == {part[1:-1] for part in path.split("/") if part.startswith("{")}
        assert "requestBody" in operation if method == "POST" else "requestBody" not in operation
        assert operation["summary"]
        problem = operation["responses"]["default"]["content"]["application/problem+json"]["schema"]
        assert problem == {"$ref": "#/components/schemas/Problem"}


def test_every_field_is_explained(described: dict[str, Any]) -> None:
    for name, schema in described["components"]["schemas"].items():
        for field, rule in schema["properties"].items():
            assert "$ref" in rule or rule["description"], f"{name}.{field}"


def test_examples_are_read_by_the_types_that_read_requests(described: dict[str, Any]) -> None:
    bodies = [
        content for operation in operations(described).values() for content in every("application/json", operation)
    ]
    examples = [(body["schema"]["$ref"].rpartition("/")[2], body["example"]) for body in bodies if "example" in body]
    assert {name for name, _ in examples} == set(TYPES)
    for name, example in examples:
        msgspec.convert(example, TYPES[name], strict=True, str_keys=True)


@pytest.mark.parametrize("name", TYPES)
def test_an_unknown_field_is_refused_by_the_description_too(described: dict[str, Any], name: str) -> None:
    assert described["components"]["schemas"][name]["additionalProperties"] is False


async def test_the_example_is_accepted(door: Client) -> None:
    example = openapi.EXAMPLE_PAYMENT | {"account": OPEN, "accepted_at": "2026-10-15T14:30:00+03:00"}
    assert (await door.post("/v1/payments", json=example)).status == 201


async def test_replies_have_exactly_the_described_members(described: dict[str, Any], door: Client) -> None:
    schemas = described["components"]["schemas"]
    receipt = await (await door.post("/v1/payments", json=payment())).json()
    account = await (await door.get(f"/v1/accounts/{OPEN}")).json()
    page = await (await door.get(f"/v1/accounts/{OPEN}/ledger")).json()
    problem = await (await door.get("/v1/accounts/0")).json()
    for name, told in (("EventView", receipt), ("AccountReply", account), ("LedgerPage", page), ("Problem", problem)):
        assert set(told) == set(schemas[name]["properties"]) >= set(schemas[name]["required"])


async def test_the_page_for_people_tells_all_of_it(described: dict[str, Any], door: Client) -> None:
    reply = await door.get("/docs")
    text = await reply.text()
    assert (reply.status, reply.content_type) == (200, "text/html")
    assert "default-src 'none'" in reply.headers["Content-Security-Policy"]
    for told in (*described["paths"], *described["components"]["schemas"], *PROBLEMS):
        assert told in text


@pytest.mark.parametrize(
    ("schema", "kind"),
    [
        ({"type": "integer"}, "целое"),
        ({"$ref": "#/components/schemas/Problem"}, "Problem"),
        ({"anyOf": [{"type": "string"}, {"type": "null"}]}, "строка или null"),
        ({"type": ["string", "null"]}, "строка или null"),
        ({"type": "array", "items": {"$ref": "#/x/EventView"}}, "список EventView"),
        ({"type": "string", "format": "date-time"}, "момент времени"),
        ({"enum": ["open", "closed"]}, "open | closed"),
    ],
)
def test_a_schema_is_named_in_a_word(schema: dict[str, Any], kind: str) -> None:
    assert openapi.kind_of(schema) == kind
