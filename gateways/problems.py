"""Problems: every error the JSON door can tell, in one table (RFC 9457 problem details).

`code` is stable and public; titles and details are in Russian and English; `retry` says what a caller may do:
"no", "yes" (nothing happened), "same-key" (the outcome is not known: repeat with the same txn_id, never a new one).
"""

from typing import Literal

import msgspec

from engine.outcomes import Reason

Retry = Literal["no", "yes", "same-key"]
JSON_HEADERS = {"Content-Type": "application/problem+json; charset=utf-8"}


class Problem(msgspec.Struct, frozen=True):
    """One kind of problem."""

    code: str
    status: int
    title_ru: str
    title_en: str
    retry: Retry = "no"


def _table(*problems: Problem) -> dict[str, Problem]:
    return {problem.code: problem for problem in problems}


PROBLEMS = _table(
    Problem("malformed-json", 400, "Тело запроса — не JSON", "The body is not JSON"),
    Problem("not-utf8", 400, "Текст не в кодировке UTF-8", "The text is not UTF-8"),
    Problem("field-invalid", 400, "Поле отсутствует или неверно", "A field is missing or has a wrong value"),
    Problem("text-invalid", 400, "Недопустимые символы в номере", "Characters that a number may not have"),
    Problem("cursor-invalid", 400, "Неверный указатель страницы", "The cursor is not one of ours"),
    Problem("unauthorized", 401, "Нет ключа доступа или он неверен", "The API key is missing or wrong"),
    Problem("forbidden", 403, "Ключ не даёт права на это действие", "The key does not allow this"),
    Problem("not-found", 404, "Такого адреса нет", "There is nothing here"),
    Problem("method-not-allowed", 405, "Этот адрес не принимает такой метод", "The method is not allowed here"),
    Problem("body-timeout", 408, "Тело запроса не пришло вовремя", "The body did not arrive in time", "yes"),
    Problem("key-conflict", 409, "Номер операции уже использован для другого платежа",
            "The txn_id was used before for another request"),
    Problem("body-too-large", 413, "Слишком большое тело запроса", "The body is too large"),
    Problem("media-type", 415, "Ожидается application/json", "application/json is expected"),
    Problem("amount-not-positive", 422, "Сумма должна быть больше нуля", "The amount must be positive"),
    Problem("amount-too-large", 422, "Слишком большая сумма", "The amount is too large"),
    Problem("amount-outside-contract", 422, "Сумма вне пределов договора", "Outside the contract's bounds"),
    Problem("accepted-at-in-future", 422, "Время приёма платежа в будущем", "accepted_at lies in the future"),
    Problem("accepted-at-too-old", 422, "Слишком давнее время приёма платежа", "accepted_at is too long ago"),
    Problem("earmark-invalid", 422, "Назначение платежа противоречиво", "The earmark contradicts itself"),
    Problem("earmark-not-allowed", 422, "Договор не позволяет выбирать услугу", "The agreement forbids this earmark"),
    Problem("earmark-unknown", 422, "Назначение не относится к этому лицевому счёту", "Not an earmark of this account"),
    Problem("providers-blocked", 422, "Поставщик не принимает платежи через нас", "No payments for this provider"),
    Problem("account-unknown", 404, "Лицевой счёт не найден", "There is no such account"),
    Problem("account-closed", 422, "Лицевой счёт закрыт", "The account is closed"),
    Problem("account-exists", 409, "Лицевой счёт уже открыт", "The account is open already"),
    Problem("policy-missing", 422, "Для счёта не задан порядок расщепления", "No splitting policy is in force"),
    Problem("connection-unknown", 404, "Такого подключения нет", "There is no such connection"),
    Problem("register-unknown", 404, "Такого реестра нет", "There is no such register"),
    Problem("payment-unknown", 404, "Платёж не найден", "There is no such payment"),
    Problem("already-reversed", 409, "Платёж уже отменён", "The payment is reversed already"),
    Problem("reversal-too-large", 422, "Сумма возврата больше остатка платежа", "More than is left of the payment"),
    Problem("advance-too-small", 422, "Аванса на счёте недостаточно", "The advance is smaller than that"),
    Problem("nothing-to-post", 422, "Нет строк для проведения", "There is nothing to post"),
    Problem("unidentified-too-small", 422, "Невыясненной суммы недостаточно", "The unidentified receipt is smaller"),
    Problem("hold-unchanged", 409, "Удержание уже в таком состоянии", "The hold is already like that"),
    Problem("import-invalid", 422, "Файл не может быть принят", "The file cannot be taken"),
    Problem("import-unknown", 404, "Файл не найден", "There is no such file"),
    Problem("import-unfinished", 409, "Файл ещё обрабатывается", "The file is still being worked on", "yes"),
    Problem("limit-exceeded", 422, "Превышен предел", "A limit is exceeded"),
    Problem("internal", 500, "Внутренняя ошибка", "An error of ours", "same-key"),
    Problem("busy", 503, "Система занята, повторите запрос", "Busy, try again", "yes"),
    Problem("outcome-unknown", 503, "Исход неизвестен: повторите запрос с тем же номером операции",
            "The outcome is not known: repeat with the same txn_id", "same-key"),
    Problem("unavailable", 503, "Временно недоступно, повторите запрос", "Not available now, try again", "yes"),
)  # fmt: skip

OF_REASON: dict[Reason, Problem] = {reason: PROBLEMS[reason.name.lower().replace("_", "-")] for reason in Reason}


class Refused(Exception):
    """A request that ends in a problem. `param` names the field, `more` are further members of the body."""

    def __init__(
        self,
        code: str,
        param: str | None = None,
        *,
        retry_after_s: int = 0,
        headers: dict[str, str] | None = None,
        **more: object,
    ) -> None:
        super().__init__(code)
        self.problem = PROBLEMS[code]
        self.param = param
        self.more = more
        self.headers = dict(headers or {})
        if retry_after_s:
            self.headers["Retry-After"] = str(retry_after_s)


_UNASKED = (0.0, 0)


def wants_english(accept_language: str) -> bool:
    """Tell whether the caller prefers English to Russian; Russian if it does not say."""
    ranks = {}
    for position, part in enumerate(accept_language.lower().split(",")[:16]):
        tag, _, quality = part.strip().partition(";q=")
        digits = quality.replace(".", "", 1)
        ranks[tag[:2]] = (float(quality) if digits.isdecimal() and digits.isascii() else 1.0, -position)
    return ranks.get("en", _UNASKED) > max(ranks.get("ru", _UNASKED), _UNASKED)


def body_of(refused: Refused, *, english: bool, request_id: str) -> bytes:
    """Render a problem."""
    problem = refused.problem
    told = {
        "type": f"/problems/{problem.code}",
        "code": problem.code,
        "title": problem.title_en,
        "status": problem.status,
        "detail": problem.title_en if english else problem.title_ru,
        "param": refused.param,
        "request_id": request_id,
        "retry": problem.retry,
    }
    return msgspec.json.encode(told | refused.more)
