"""Which dialects there are: every module of this package that has a `DIALECT` is one."""

import importlib
import pkgutil
from collections.abc import Callable, Mapping
from functools import cache
from typing import TYPE_CHECKING, Any, NamedTuple

import msgspec

from gateways import processors
from gateways.processors.terms import Terms, secret_fields

if TYPE_CHECKING:
    from gateways.connections import Connection
    from gateways.processors.desk import Desk, Needs


def read_terms(terms: Mapping[str, Any], kind: type[Terms]) -> Terms:
    """Read a connection's terms as those of a dialect. Errors: msgspec.ValidationError."""
    return msgspec.convert(terms, kind, str_keys=True)


class Dialect(NamedTuple):
    """A protocol that processors speak.

    `desk` makes a connection ready. `vouches` tells whether the terms themselves prove who is calling (a signature);
    where nothing does, the connection must name its addresses or a Basic login. `foreign` is the body that a caller
    from a foreign address gets, where the protocol has a code for it; else it is HTTP 403.
    """

    name: str
    terms: type[Terms]
    desk: "Callable[[Connection, Needs], Desk]"
    methods: tuple[str, ...] = ("GET", "POST")
    content_types: tuple[str, ...] = ("application/x-www-form-urlencoded",)
    vouches: Callable[[Any], bool] = lambda terms: False
    foreign: tuple[bytes, str] | None = None
    read: Callable[[Mapping[str, Any], type[Terms]], Terms] = read_terms


@cache
def all_dialects() -> Mapping[str, Dialect]:
    """Find every dialect, by name."""
    modules = (importlib.import_module(found.name) for found in pkgutil.iter_modules(processors.__path__, _PREFIX))
    found = [module.DIALECT for module in modules if hasattr(module, "DIALECT")]
    assert len({dialect.name for dialect in found}) == len(found), "two dialects have one name"
    return {dialect.name: dialect for dialect in found}


_PREFIX = f"{processors.__name__}."


def terms_of(connection: "Connection") -> Terms:
    """Read the terms of a processor's connection. Errors: msgspec.ValidationError."""
    dialect = all_dialects()[connection.dialect]
    return dialect.read(connection.terms, dialect.terms)


def secrets_of_all() -> frozenset[str]:
    """Name every field of any dialect's terms that is a secret."""
    return frozenset().union(*(secret_fields(dialect.terms) for dialect in all_dialects().values()))
