"""The API's description, OpenAPI 3.1, made from the very types that parse the requests; and a readable page of it."""

from functools import lru_cache
from typing import Any

import msgspec
from aiohttp import web
from jinja2 import Environment, PackageLoader, select_autoescape

from gateways.export_wire import AccountRecord, BalanceRecord, ChargeRecord, PaymentRecord, ReadingRecord
from gateways.imports import ImportReply, RowFinding, RowReply, RowsPage
from gateways.problems import PROBLEMS, Refused, wants_english
from gateways.register_wire import CasePage, DayReportReply, RegisterPage, RegisterReply
from gateways.wire import AccountReply, BatchResult, EventView, LedgerPage, PaymentRequest, ReversalRequest

_RECORDS = (AccountRecord, ChargeRecord, PaymentRecord, BalanceRecord, ReadingRecord)
_TYPES = (
    *(PaymentRequest, ReversalRequest, EventView, AccountReply, LedgerPage, BatchResult),
    *(ImportReply, RowsPage, RowReply, RowFinding),
    *(RegisterReply, RegisterPage, CasePage, DayReportReply),
    *_RECORDS,
)
EXAMPLE_PAYMENT = {
    "txn_id": "T-000123",
    "account": "1100000005",
    "amount_kopecks": 184317,
    "accepted_at": "2026-11-24T10:15:42+03:00",
    "doc_period": "2026-10",
    "channel": "terminal",
}
EXAMPLE_REVERSAL = {"txn_id": "R-000123", "amount_kopecks": 10000, "reason": "ошибка кассира"}
_page = Environment(loader=PackageLoader("gateways"), autoescape=select_autoescape(default=True)).get_template(
    "docs.html"
)


@lru_cache(maxsize=1)
def document() -> dict[str, Any]:
    """Return the OpenAPI document."""
    _, components = msgspec.json.schema_components(_TYPES, ref_template="#/components/schemas/{name}")
    components["Problem"] = _problem_schema()
    components["BatchResult"]["properties"]["problem"] = {"$ref": "#/components/schemas/Problem"}
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "kopeck",
            "version": "1",
            "description": "Платежи за ЖКУ: расщепление по поставщикам в момент приёма, ровно один раз, до копейки.",
        },
        "paths": _paths(),
        "components": {
            "schemas": components,
            "securitySchemes": {"key": {"type": "http", "scheme": "bearer"}},
        },
        "security": [{"key": []}],
    }


def _paths() -> dict[str, Any]:
    number = _parameter("number", "path", "Лицевой счёт")
    payment_id = _parameter("id", "path", "Номер платежа (payment_id)")
    pay = _operation("Принять платёж", EventView, body=PaymentRequest, example=EXAMPLE_PAYMENT, created=True)
    batch = _operation("Принять много платежей: NDJSON, результат на каждую строку", BatchResult, body=PaymentRequest)
    batch["requestBody"]["content"] = {"application/x-ndjson": {"schema": _ref(PaymentRequest)}}
    batch["responses"]["200"]["content"] = {"application/x-ndjson": {"schema": _ref(BatchResult)}}
    reverse = _operation(
        "Отменить платёж полностью или частично",
        EventView,
        body=ReversalRequest,
        example=EXAMPLE_REVERSAL,
        created=True,
    )
    events = _operation("Каждое событие счёта в момент фиксации (SSE)", EventView)
    events["responses"]["200"]["content"] = {"text/event-stream": {"schema": {"type": "string"}}}
    status = _operation("Состояние шардов, для эксплуатации", EventView)
    status["responses"]["200"]["content"] = {"application/json": {"schema": {"type": "object"}}}
    return {
        "/v1/payments": {"post": pay},
        "/v1/payments/batch": {"post": batch},
        "/v1/payments/{id}": {"get": _operation("Квитанция платежа", EventView, parameters=[payment_id])},
        "/v1/payments/{id}/reversal": {"post": reverse | {"parameters": [payment_id]}},
        "/v1/accounts/{number}": {"get": _operation("Баланс и открытые позиции", AccountReply, parameters=[number])},
        "/v1/accounts/{number}/ledger": {
            "get": _operation(
                "История счёта по страницам",
                LedgerPage,
                parameters=[
                    number,
                    _parameter("limit", "query", "Не больше 200"),
                    _parameter("after", "query", "Указатель"),
                ],
            )
        },
        "/v1/accounts/{number}/events": {
            "get": events
            | {"parameters": [number, _parameter("Last-Event-ID", "header", "Продолжить после этого номера")]}
        },
        "/v1/export/{kind}": {"get": _export()},
        "/v1/status": {"get": status},
        **_import_paths(),
        **_register_paths(),
    }


def _import_paths() -> dict[str, Any]:
    """Billings' files: the body of an upload is the file itself."""
    number = _parameter("id", "path", "Номер файла")
    names = {
        "kind": "accounts, charges, meters, readings или payments",
        "name": "Имя файла",
        "mode": "full или delta",
        "profile": "Профиль; если не назван, обычный для этого биллинга",
    }
    take = _operation(
        "Передать файл биллинга", ImportReply, parameters=[_parameter(n, "query", t) for n, t in names.items()]
    )
    take["responses"]["202"] = {"description": "Принят к обработке", "content": take["responses"]["200"]["content"]}
    take["responses"]["200"]["description"] = "Этот файл уже был"
    take["requestBody"] = {"required": True, "content": {"application/octet-stream": {"schema": {"type": "string"}}}}
    protocol = _operation("Протокол файла", ImportReply, parameters=[number, _parameter("version", "query", "Версия")])
    protocol["responses"]["200"]["content"] = {"text/csv": {"schema": {"type": "string"}}}
    pages = [number, _parameter("after", "query", "Указатель"), _parameter("limit", "query", "Не больше 1000")]
    return {
        "/v1/imports": {"post": take},
        "/v1/imports/{id}": {"get": _operation("Состояние файла", ImportReply, parameters=[number])},
        "/v1/imports/{id}/protocol": {"get": protocol},
        "/v1/imports/{id}/rows": {"get": _operation("Что стало с каждой строкой", RowsPage, parameters=pages)},
    }


def _register_paths() -> dict[str, Any]:
    file = _parameter("id", "path", "Номер файла")
    pages = [_parameter("limit", "query", "Не больше 200"), _parameter("after", "query", "Указатель")]
    connection = _parameter("connection", "query", "Подключение; чужое — только оператору")
    upload = _operation(
        "Передать реестр принятых платежей или выписку банка: тело — сам файл",
        RegisterReply,
        created=True,
        parameters=[
            _parameter("name", "query", "Имя файла"),
            _parameter("profile", "query", "Как записан файл; без него — как в договоре"),
            _parameter("day", "query", "Операционный день, ГГГГ-ММ-ДД; без него — по строкам"),
            connection,
        ],
    )
    upload["requestBody"] = {
        "required": True,
        "content": {"application/octet-stream": {"schema": {"type": "string", "format": "binary"}}},
    }
    listing = _operation("Реестры и выписки, новые впереди", RegisterPage, parameters=[*pages, connection])
    report = _operation(
        "Сверка операционного дня до копейки",
        DayReportReply,
        parameters=[_parameter("date", "query", "Операционный день, ГГГГ-ММ-ДД"), connection],
    )
    return {
        "/v1/registers": {"post": upload, "get": listing},
        "/v1/registers/report": {"get": report},
        "/v1/registers/{id}": {"get": _operation("Файл и исходы его строк", RegisterReply, parameters=[file])},
        "/v1/registers/{id}/cases": {
            "get": _operation("Дела по реестру: что не сошлось", CasePage, parameters=[file, *pages])
        },
    }


def _export() -> dict[str, Any]:
    described = _operation(
        "Выгрузка: запись на строку, только свои строки, с любого указателя",
        ChargeRecord,
        parameters=[
            _parameter("kind", "path", "accounts, charges, payments, balances, readings"),
            _parameter("format", "query", "ndjson или csv; иначе по Accept"),
            _parameter("after", "query", "Указатель записи или Kopeck-Position прошлой выгрузки"),
            _parameter("since", "query", "Записанное с этого момента, RFC 3339; charges, payments, readings"),
            _parameter("period", "query", "Месяц, ГГГГ-ММ"),
            _parameter("provider", "query", "Код поставщика"),
        ],
    )
    reply = described["responses"]["200"]
    reply["headers"] = {"Kopeck-Position": {"schema": {"type": "string"}}}
    reply["content"] = {
        "application/x-ndjson": {"schema": {"oneOf": [_ref(record) for record in _RECORDS]}},
        "text/csv": {"schema": {"type": "string"}},
    }
    return described


def _operation(
    summary: str,
    reply: type,
    *,
    body: type | None = None,
    example: dict[str, Any] | None = None,
    parameters: list[dict[str, Any]] | None = None,
    created: bool = False,
) -> dict[str, Any]:
    content = {"application/json": {"schema": _ref(reply)}}
    responses: dict[str, Any] = {
        "200": {"description": "Повтор: тот же ответ" if created else "Ответ", "content": content}
    }
    if created:
        responses["201"] = {"description": "Принято и зафиксировано", "content": content}
        responses["200"]["headers"] = {"Idempotent-Replayed": {"schema": {"type": "string", "enum": ["true"]}}}
    responses["default"] = {
        "description": "Отказ (RFC 9457)",
        "content": {"application/problem+json": {"schema": {"$ref": "#/components/schemas/Problem"}}},
    }
    operation: dict[str, Any] = {"summary": summary, "parameters": parameters or [], "responses": responses}
    if body is not None:
        json_body: dict[str, Any] = {"schema": _ref(body)} | ({"example": example} if example else {})
        operation["requestBody"] = {"required": True, "content": {"application/json": json_body}}
    return operation


def _ref(kind: type) -> dict[str, str]:
    return {"$ref": f"#/components/schemas/{kind.__name__}"}


def _parameter(name: str, place: str, description: str) -> dict[str, Any]:
    return {
        "name": name,
        "in": place,
        "required": place == "path",
        "description": description,
        "schema": {"type": "string"},
    }


def _problem_schema() -> dict[str, Any]:
    def text(description: str) -> dict[str, str]:
        return {"type": "string", "description": description}

    return {
        "title": "Problem",
        "type": "object",
        "properties": {
            "type": text("Адрес страницы об этом отказе"),
            "code": text("Код отказа, неизменный") | {"enum": list(PROBLEMS)},
            "title": text("Значение кода по-английски"),
            "status": {"type": "integer", "description": "Код HTTP"},
            "detail": text("То же на языке из Accept-Language: русском или английском"),
            "param": {"type": ["string", "null"], "description": "Поле, в котором дело"},
            "request_id": text("Номер запроса: ваш из Request-Id или наш"),
            "retry": text("Можно ли повторить") | {"enum": ["no", "yes", "same-key"]},
        },
        "required": ["type", "code", "title", "status", "detail", "request_id", "retry"],
    }


async def openapi_json(request: web.Request) -> web.Response:
    """`GET /openapi.json`."""
    return web.Response(body=msgspec.json.encode(document()), content_type="application/json")


async def docs(request: web.Request) -> web.Response:
    """`GET /docs`: the same, for people."""
    described = document()
    operations = [
        (method.upper(), path, operation)
        for path, methods in described["paths"].items()
        for method, operation in methods.items()
    ]
    example = msgspec.json.format(msgspec.json.encode(EXAMPLE_PAYMENT)).decode()
    text = _page.render(
        operations=operations,
        schemas=described["components"]["schemas"],
        kind=kind_of,
        problems=PROBLEMS.values(),
        example=example,
    )
    return web.Response(text=text, content_type="text/html", headers={"Content-Security-Policy": _CSP})


def kind_of(schema: dict[str, Any]) -> str:
    """Say in a word or two what values a schema allows; `Name` is another schema of the page."""
    if "$ref" in schema:
        return str(schema["$ref"]).rpartition("/")[2]
    if "anyOf" in schema:
        return " или ".join(kind_of(one) for one in schema["anyOf"])
    if schema.get("type") == "array":
        return f"список {kind_of(schema['items'])}"
    if "enum" in schema and len(schema["enum"]) <= _CHOICES_SHOWN_MAX:
        return " | ".join(map(str, schema["enum"]))
    kinds = schema["type"] if isinstance(schema["type"], list) else [schema.get("format", schema["type"])]
    return " или ".join(_KINDS[kind] for kind in kinds)


_CHOICES_SHOWN_MAX = 6
_KINDS = {
    "string": "строка",
    "integer": "целое",
    "boolean": "да или нет",
    "null": "null",
    "date": "дата",
    "date-time": "момент времени",
    "binary": "файл",
}
_CSP = "default-src 'none'; style-src 'self' 'unsafe-inline'; frame-ancestors 'none'"


async def problem(request: web.Request) -> web.Response:
    """`GET /problems/{code}`: what a problem means."""
    found = PROBLEMS.get(request.match_info["code"])
    if found is None:
        raise Refused("not-found")
    english = wants_english(request.headers.get("Accept-Language", ""))
    return web.Response(
        body=msgspec.json.encode(found) + b"\n",
        content_type="application/json",
        headers={"Content-Language": "en" if english else "ru"},
    )
