"""Master data (НСИ): the records of each classifier, what is wrong with one, and which of dated ones is in force.

One record is one row of a table of the same name (`storage/migrations/0005_master_data.sql`) and one line of a file.
Empty text is "none". Dates are local and inclusive. A record that was put in by mistake is not removed but void.
"""

import datetime
import enum
from collections.abc import Iterable
from decimal import Decimal
from typing import Protocol, TypeVar

import msgspec

from engine.ids import ProviderId, ServiceCode
from engine.penalty import KeyRate, Moratorium, MoratoriumScope, RateCap, Regime
from engine.policy import Commission, CommissionMode


class ServiceGroup(enum.StrEnum):
    """Which part of the bill a service belongs to."""

    COMMUNAL = "communal"
    HOUSING = "housing"
    CAPITAL_REPAIR = "capital_repair"
    ADDITIONAL = "additional"


class Service(msgspec.Struct, frozen=True, kw_only=True):
    """A service under our own code.

    Rule: segregated money is never mixed with the rest; a restrictable service may be limited for debt (ПП РФ
    06.05.2011 № 354 п. 117-119). `okei`: code of the unit.
    """

    service: ServiceCode
    name: str
    unit: str
    okei: str
    service_group: ServiceGroup
    is_segregated: bool
    is_restrictable: bool
    parent: ServiceCode


class ProviderStatus(enum.StrEnum):
    """As the state register has it; a closed provider gets no new mappings."""

    ACTIVE = "active"
    REORGANISING = "reorganising"
    CLOSED = "closed"


class ProviderRole(enum.StrEnum):
    """What an organisation is to the households."""

    MANAGER = "manager"
    SUPPLIER = "supplier"
    WASTE_OPERATOR = "waste_operator"
    CAPITAL_REPAIR_FUND = "capital_repair_fund"
    CONTRACTOR = "contractor"


class Provider(msgspec.Struct, frozen=True, kw_only=True):
    """A provider of services. `name` is today's; earlier ones are `ProviderName`s. An entrepreneur has no КПП."""

    provider: ProviderId
    name: str
    inn: str
    kpp: str
    ogrn: str
    status: ProviderStatus
    roles: tuple[ProviderRole, ...]


class ProviderName(msgspec.Struct, frozen=True, kw_only=True):
    """What a provider is or was called."""

    provider: ProviderId
    valid_from: datetime.date
    valid_to: datetime.date | None
    name: str
    is_void: bool


class AccountPurpose(enum.StrEnum):
    """A settlement account, or a special one whose money is kept apart."""

    SETTLEMENT = "settlement"
    SPECIAL = "special"


class BankAccount(msgspec.Struct, frozen=True, kw_only=True):
    """Where a provider's money goes."""

    provider: ProviderId
    bic: str
    account: str
    valid_from: datetime.date
    valid_to: datetime.date | None
    purpose: AccountPurpose
    bank: str
    corr_account: str
    is_void: bool


class Contract(msgspec.Struct, frozen=True, kw_only=True):
    """A contract between a provider and the operator: who splits how, for what fee. Units: rate in basis points."""

    contract: str
    provider: ProviderId
    operator: str
    number: str
    signed_on: datetime.date
    valid_from: datetime.date
    valid_to: datetime.date | None
    agreement: str
    commission_mode: CommissionMode | None
    commission_rate_bp: int
    commission_min_kopecks: int
    commission_max_kopecks: int | None
    is_void: bool

    @property
    def commission(self) -> Commission | None:
        """The fee's terms, or None where the agreement's hold."""
        if self.commission_mode is None:
            return None
        return Commission(
            mode=self.commission_mode,
            rate_bp=self.commission_rate_bp,
            min_kopecks=self.commission_min_kopecks,
            max_kopecks=self.commission_max_kopecks,
        )


class House(msgspec.Struct, frozen=True, kw_only=True):
    """A house under our own number, and its address as people write it."""

    house: int
    address: str
    guid: str
    oktmo: str
    postal_code: str
    cadastral_number: str


class Tariff(msgspec.Struct, frozen=True, kw_only=True):
    """A price of a unit in roubles, as its act prints it. `territory` is an ОКТМО; `category` of consumers."""

    service: ServiceCode
    provider: ProviderId
    territory: str
    category: str
    valid_from: datetime.date
    valid_to: datetime.date | None
    value: Decimal
    unit: str
    act: str
    is_void: bool


class Norm(msgspec.Struct, frozen=True, kw_only=True):
    """A consumption norm, as its act prints it."""

    service: ServiceCode
    territory: str
    category: str
    valid_from: datetime.date
    valid_to: datetime.date | None
    value: Decimal
    unit: str
    act: str
    is_void: bool


class CalendarDay(msgspec.Struct, frozen=True, kw_only=True):
    """A day that is working or off against what its weekday and the Labour Code say."""

    day: datetime.date
    is_working: bool
    act: str


class KeyRateRow(msgspec.Struct, frozen=True, kw_only=True):
    """The key rate from a day on, in percent a year."""

    since: datetime.date
    rate_percent: Decimal
    act: str
    is_void: bool

    @property
    def rule(self) -> KeyRate:
        """As the penalty rule reads it."""
        return KeyRate(self.since, basis_points(self.rate_percent))


class RateCapRow(msgspec.Struct, frozen=True, kw_only=True):
    """A cap of the rate, both days included, in percent a year."""

    since: datetime.date
    until: datetime.date
    rate_percent: Decimal
    act: str
    is_void: bool

    @property
    def rule(self) -> RateCap:
        """As the penalty rule reads it."""
        return RateCap(self.since, self.until, basis_points(self.rate_percent))


class MoratoriumRow(msgspec.Struct, frozen=True, kw_only=True):
    """Days on which penalties do not grow, both included. No regimes: all of them; no territory: everywhere."""

    since: datetime.date
    territory: str
    until: datetime.date
    scope: MoratoriumScope
    regimes: tuple[Regime, ...]
    act: str
    is_void: bool

    @property
    def rule(self) -> Moratorium:
        """As the penalty rule reads it."""
        return Moratorium(self.since, self.until, self.scope, frozenset(self.regimes), self.territory)


Record = (
    Service
    | Provider
    | ProviderName
    | BankAccount
    | Contract
    | House
    | Tariff
    | Norm
    | CalendarDay
    | KeyRateRow
    | RateCapRow
    | MoratoriumRow
)

KINDS: dict[str, type[Record]] = {
    "services": Service,
    "providers": Provider,
    "provider_names": ProviderName,
    "bank_accounts": BankAccount,
    "contracts": Contract,
    "houses": House,
    "tariffs": Tariff,
    "norms": Norm,
    "calendar_days": CalendarDay,
    "key_rates": KeyRateRow,
    "rate_caps": RateCapRow,
    "moratoria": MoratoriumRow,
}
"""Every kind in the order in which a new installation loads them: what is referred to comes first."""

KEYS: dict[type[Record], tuple[str, ...]] = {
    Service: ("service",),
    Provider: ("provider",),
    ProviderName: ("provider", "valid_from"),
    BankAccount: ("provider", "bic", "account", "valid_from"),
    Contract: ("contract",),
    House: ("house",),
    Tariff: ("service", "provider", "territory", "category", "valid_from"),
    Norm: ("service", "territory", "category", "valid_from"),
    CalendarDay: ("day",),
    KeyRateRow: ("since",),
    RateCapRow: ("since",),
    MoratoriumRow: ("since", "territory"),
}
"""The fields that name a record; they never change."""


def key_of(record: Record) -> str:
    """Name a record as its history does: its key's fields joined by `/`."""
    return "/".join(str(getattr(record, name)) for name in KEYS[type(record)])


class Dated(Protocol):
    """A record of a dated table."""

    @property
    def valid_from(self) -> datetime.date: ...
    @property
    def valid_to(self) -> datetime.date | None: ...
    @property
    def is_void(self) -> bool: ...


D = TypeVar("D", bound=Dated)


def in_force(rows: Iterable[D], on: datetime.date) -> D | None:
    """Return the row in force on a local date: of those that have begun and not ended, the newest; or None."""
    begun = [row for row in rows if not row.is_void and row.valid_from <= on and (row.valid_to or on) >= on]
    return max(begun, key=lambda row: row.valid_from, default=None)


def basis_points(percent: Decimal) -> int:
    """Return percent as whole hundredths. Errors: ValueError when there are finer parts."""
    scaled = percent * 100
    if scaled != int(scaled):
        raise ValueError("a rate has at most two decimals")
    return int(scaled)
