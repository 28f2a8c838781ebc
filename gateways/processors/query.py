"""Query strings and forms as processors write them: nothing is guessed, nothing is read twice."""

from urllib.parse import unquote

from gateways.processors.desk import Fields
from gateways.processors.results import RefusedError, Result

FIELDS_MAX = 64


def parse_fields(text: str, account_name: str, encoding: str = "utf-8") -> Fields:
    """Split a query string or form body.

    Shape: one value a name. Errors: `RefusedError` for a name given twice, too many fields, or bytes that are not of
    the encoding (in the account: a bad account format; some agents send cp1251 where UTF-8 was agreed).
    """
    fields: Fields = {}
    pairs = text.split("&", FIELDS_MAX)
    if len(pairs) > FIELDS_MAX:
        raise RefusedError(Result.BAD_REQUEST, "Слишком много параметров")
    for pair in pairs:
        name, _, value = pair.partition("=")
        if name in fields:
            raise RefusedError(Result.BAD_REQUEST, "Параметр повторяется")
        is_plain = value.isascii() and "%" not in value and "+" not in value
        fields[name] = value if is_plain else _decoded(name, value, account_name, encoding)
    return fields


def _decoded(name: str, value: str, account_name: str, encoding: str) -> str:
    try:
        decoded = unquote(value.replace("+", " "), encoding, errors="strict")
        decoded.encode()  # Refuses bytes sent as they are that are not UTF-8: the text has them as surrogates.
        return decoded
    except UnicodeError:
        result = Result.BAD_ACCOUNT_FORMAT if name == account_name else Result.BAD_REQUEST
        raise RefusedError(result, f"Параметр не в кодировке {encoding.upper()}") from None


def wrong(name: str, fields: Fields, result: Result) -> RefusedError:
    """Refuse a parameter that is missing or wrong. `result`: how it is wrong, if it is there."""
    return RefusedError(result, f"{'Неверный' if fields.get(name) else 'Не указан'} параметр {name}")


def require(fields: Fields, *names: str) -> None:
    """Refuse a request that lacks a parameter."""
    for name in names:
        if not fields.get(name, "").strip():
            raise RefusedError(Result.MISSING_PARAM, f"Не указан параметр {name}")
