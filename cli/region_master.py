"""The demonstration region's master data (НСИ): generated, with check digits that hold, put in as any other.

Requisites begin with codes that no tax office has (99), so that none of them is a real organisation's.
"""

import datetime
import uuid
from decimal import Decimal

from cli import region
from engine.ids import ProviderId, ServiceCode
from engine.master import (
    AccountPurpose,
    BankAccount,
    Contract,
    House,
    Norm,
    Provider,
    ProviderName,
    ProviderRole,
    ProviderStatus,
    Record,
    Service,
    ServiceGroup,
    Tariff,
)
from engine.requisites import bank_account_of, inn_of, ogrn_of
from storage import master
from storage.master import Change

_BY_SEED = Change("kopeck seed", "the demonstration region")
_SINCE = datetime.date(2020, 1, 1)
_OKTMO = "99701000001"
_BIC = "044525225"
_NAMESPACE = uuid.UUID("7f1f8d5e-51a4-4c86-9c4e-6d0b6d1f2a11")

_UNITS = {
    "HEAT": ("Гкал", "233"),
    "HOT_WATER": ("м³", "113"),
    "COLD_WATER": ("м³", "113"),
    "SEWERAGE": ("м³", "113"),
    "MAINTENANCE": ("м²", "055"),
    "WASTE": ("м³", "113"),
    "ELECTRICITY": ("кВт·ч", "245"),
    "GAS": ("м³", "113"),
    "KAPREM": ("м²", "055"),
}
_GROUPS = {"MAINTENANCE": ServiceGroup.HOUSING, "KAPREM": ServiceGroup.CAPITAL_REPAIR}
_RESTRICTABLE = frozenset({"HOT_WATER", "ELECTRICITY", "GAS"})
_ROLES = {
    "P04": ProviderRole.WASTE_OPERATOR,
    "P09": ProviderRole.CAPITAL_REPAIR_FUND,
    "P11": ProviderRole.MANAGER,
    "P12": ProviderRole.MANAGER,
    "P13": ProviderRole.MANAGER,
}
_FORMER_NAMES = {"P01": "ОАО «Заречнотепло»", "P12": "ООО «ЖЭУ-2»"}
_TARIFF_ACTS = (
    (datetime.date(2026, 1, 1), "приказ от 12.12.2025 № 301-т"),
    (datetime.date(2026, 10, 1), "приказ от 12.12.2025 № 302-т"),
)
_TARIFFS = {
    "HEAT": ("P01", "2450.18", "2680.4969"),
    "HOT_WATER": ("P01", "205.12", "224.4013"),
    "COLD_WATER": ("P02", "42.7", "46.71"),
    "SEWERAGE": ("P02", "38.5", "42.12"),
    "WASTE": ("P04", "742.19", "811.96"),
    "ELECTRICITY": ("P05", "5.34", "5.84"),
    "GAS": ("P06", "8.66441", "9.47886"),
    "KAPREM": ("P09", "12.70", "12.70"),
}
"""By service: the provider, and its prices by each of the acts."""

_NORMS = {
    "HEAT": ("0.0188", "Гкал/м²"),
    "HOT_WATER": ("3.37", "м³/чел."),
    "COLD_WATER": ("4.745", "м³/чел."),
    "SEWERAGE": ("8.115", "м³/чел."),
    "ELECTRICITY": ("96", "кВт·ч/чел."),
    "GAS": ("9.1", "м³/чел."),
}


async def put_master_data(database_url: str, accounts: int) -> None:
    """Put in the master data of a region of this many accounts. Run again, it changes nothing. Errors: `NotDone`."""
    first: list[list[Record]] = [services(), providers(), houses(accounts)]
    then: list[list[Record]] = [former_names(), bank_accounts(), contracts(), tariffs(), norms()]
    for records in first + then:
        await master.put(database_url, records, _BY_SEED)


def services() -> list[Record]:
    """The region's services."""
    return [
        Service(
            service=ServiceCode(code),
            name=name,
            unit=_UNITS[code][0],
            okei=_UNITS[code][1],
            service_group=_GROUPS.get(code, ServiceGroup.COMMUNAL),
            is_segregated=code == "KAPREM",
            is_restrictable=code in _RESTRICTABLE,
            parent=ServiceCode(""),
        )
        for code, name in region.SERVICES.items()
    ]


def providers() -> list[Record]:
    """The region's providers."""
    return [
        Provider(
            provider=ProviderId(code),
            name=name,
            inn=inn_of(f"99010{index:04d}"),
            kpp="990101001",
            ogrn=ogrn_of(f"12099{index:07d}"),
            status=ProviderStatus.ACTIVE,
            roles=(_ROLES.get(code, ProviderRole.SUPPLIER),),
        )
        for index, (code, name) in enumerate(region.PROVIDERS.items(), start=1)
    ]


def former_names() -> list[Record]:
    """What some of them were called until the last day of 2022."""
    until = datetime.date(2022, 12, 31)
    return [
        ProviderName(provider=ProviderId(code), valid_from=_SINCE, valid_to=until, name=name, is_void=False)
        for code, name in _FORMER_NAMES.items()
    ]


def bank_accounts() -> list[Record]:
    """A settlement account for each; the capital repair fund's is special."""
    return [
        BankAccount(
            provider=ProviderId(code),
            bic=_BIC,
            account=bank_account_of(f"407028100{index:03d}00000{index:03d}", _BIC),
            valid_from=_SINCE,
            valid_to=None,
            purpose=AccountPurpose.SPECIAL if code == "P09" else AccountPurpose.SETTLEMENT,
            bank="ПАО «Заречный банк»",
            corr_account=bank_account_of("30101810400000000225", _BIC),
            is_void=False,
        )
        for index, code in enumerate(region.PROVIDERS, start=1)
    ]


def contracts() -> list[Record]:
    """A contract with each for collecting its money, without a fee."""
    return [
        Contract(
            contract=f"K-{code}",
            provider=ProviderId(code),
            operator="ООО «Расчётный центр Заречный»",
            number=f"{index}/2020",
            signed_on=datetime.date(2019, 12, 16),
            valid_from=_SINCE,
            valid_to=None,
            agreement=region.AGREEMENT,
            commission_mode=None,
            commission_rate_bp=0,
            commission_min_kopecks=0,
            commission_max_kopecks=None,
            is_void=False,
        )
        for index, code in enumerate(region.PROVIDERS, start=1)
    ]


def houses(accounts: int) -> list[Record]:
    """The houses that this many accounts live in."""
    return [
        House(
            house=house,
            address=region.house_address(house),
            guid=str(uuid.uuid5(_NAMESPACE, str(house))),
            oktmo=_OKTMO,
            postal_code="990001",
            cadastral_number=f"99:01:{house // 100 + 1:07d}:{house % 100 + 1}",
        )
        for house in region.houses(accounts)
    ]


def tariffs() -> list[Record]:
    """Prices for the population, as if by acts of the region's tariff authority."""
    return [
        Tariff(
            service=ServiceCode(service),
            provider=ProviderId(provider),
            territory=_OKTMO,
            category="population",
            valid_from=valid_from,
            valid_to=None,
            value=Decimal(value),
            unit=_UNITS[service][0],
            act=act,
            is_void=False,
        )
        for service, (provider, *values) in _TARIFFS.items()
        for (valid_from, act), value in zip(_TARIFF_ACTS, values, strict=True)
    ]


def norms() -> list[Record]:
    """Consumption norms of apartment houses with all conveniences."""
    return [
        Norm(
            service=ServiceCode(service),
            territory=_OKTMO,
            category="apartment_house",
            valid_from=_SINCE,
            valid_to=None,
            value=Decimal(value),
            unit=unit,
            act="приказ от 28.08.2019 № 117-н",
            is_void=False,
        )
        for service, (value, unit) in _NORMS.items()
    ]
