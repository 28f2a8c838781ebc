"""What a sender's code may mean: suggestions against the master data, each with its method and confidence.

Pure. Keys first: for providers ИНН with КПП, ИНН that has one active provider, ОГРН, name; for services our own code,
name; for houses GUID, cadastral number, parsed address, likeness of the text. Only a key may confirm itself
(`confirms_itself`): a name, however equal, is a person's decision, because money follows it.
Below `SUGGESTED_PERCENT_MIN` nothing is suggested: the code stays unmapped, and visible.
"""

import enum
import re
from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Sequence

import msgspec

from engine.master import House, Provider, ProviderName, ProviderStatus, Service
from engine.requisites import is_inn, is_kpp, is_ogrn
from intake.normal_text import (
    ParsedAddress,
    normal,
    normal_organisation,
    normal_service,
    parse_address,
    similarity_percent,
)

CONFIRMED_PERCENT_MIN = 97
SUGGESTED_PERCENT_MIN = 80
_ALIKE_PERCENT_MAX = 94
_SAME_NAME_PERCENT = 95
_DOUBTFUL_KEY_PERCENT = 90
_ONLY_ONE_OF_INN_PERCENT = 98


class Kind(enum.StrEnum):
    """What a code stands for."""

    SERVICE = "service"
    PROVIDER = "provider"
    HOUSE = "house"


class Method(enum.StrEnum):
    """How a suggestion came about; `NONE`: nothing resembles the code."""

    EXACT_KEY = "exact_key"
    CHECKSUM_KEY = "checksum_key"
    NAME_EXACT = "name_exact"
    NAME_FUZZY = "name_fuzzy"
    ADDRESS_PARSE = "address_parse"
    MANUAL = "manual"
    NONE = "none"


_KEYS = (Method.EXACT_KEY, Method.CHECKSUM_KEY)


class Suggestion(msgspec.Struct, frozen=True):
    """What a code may mean. `master_id` is empty when nothing resembles it."""

    master_id: str
    method: Method
    confidence_percent: int

    @property
    def confirms_itself(self) -> bool:
        """Whether no person is needed."""
        return self.method in _KEYS and self.confidence_percent >= CONFIRMED_PERCENT_MIN


NOTHING = Suggestion("", Method.NONE, 0)


class Attributes(msgspec.Struct, frozen=True, omit_defaults=True):
    """The keys found in a code or a name: requisites whose check digits hold, GUID, cadastral number."""

    inn: str = ""
    kpp: str = ""
    ogrn: str = ""
    guid: str = ""
    cadastral_number: str = ""


_DIGITS = re.compile(
    r"(?<![0-9A-Za-z])(?:[0-9]{15}|[0-9]{13}|[0-9]{12}|[0-9]{10}|[0-9]{4}[0-9A-Z]{2}[0-9]{3})(?![0-9A-Za-z])"
)
_GUID = re.compile(r"(?<![0-9a-f-])[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}(?![0-9a-f-])")
_CADASTRAL = re.compile(r"(?<![0-9:])[0-9]{2}:[0-9]{2}:[0-9]{6,7}:[0-9]{1,9}(?![0-9:])")


def attributes_of(kind: Kind, code: str, name: str) -> Attributes:
    """Find the keys that a code or a name holds: `7707083893`, `7707083893/773601001`, `ООО Тепло, ИНН 7707083893`."""
    text = f"{code} {name}"
    if kind is Kind.HOUSE:
        guid, cadastral = _GUID.search(text.lower()), _CADASTRAL.search(text)
        return Attributes(guid=guid[0] if guid else "", cadastral_number=cadastral[0] if cadastral else "")
    if kind is Kind.PROVIDER:
        words = _DIGITS.findall(text)
        inn, ogrn = _first(filter(is_inn, words)), _first(filter(is_ogrn, words))
        return Attributes(inn=inn, kpp=_first(filter(is_kpp, words)) if inn else "", ogrn=ogrn)
    return Attributes()


def _first(words: Iterable[str]) -> str:
    return next(iter(words), "")


class Master(msgspec.Struct, frozen=True):
    """The master data to match against."""

    services: Sequence[Service] = ()
    providers: Sequence[Provider] = ()
    provider_names: Sequence[ProviderName] = ()
    houses: Sequence[House] = ()


class Matcher:
    """Master data, indexed once for many codes."""

    def __init__(self, master: Master) -> None:
        self._services = {str(service.service): normal_service(service.name) for service in master.services}
        self._active = [p for p in master.providers if p.status is not ProviderStatus.CLOSED]
        self._providers = _names_of(self._active, master.provider_names)
        self._houses = {str(house.house): parse_address(house.address) for house in master.houses}
        self._house_texts = {str(house.house): normal(house.address) for house in master.houses}
        self._guids = {house.guid: str(house.house) for house in master.houses if house.guid}
        self._cadastral = {h.cadastral_number: str(h.house) for h in master.houses if h.cadastral_number}
        self._by_number: dict[tuple[str, str], list[str]] = defaultdict(list)
        for number, parsed in self._houses.items():
            self._by_number[parsed.house, parsed.building].append(number)

    def suggest(self, kind: Kind, code: str, name: str, refused: Collection[str] = ()) -> Suggestion:
        """Return the best suggestion for a code, or `NOTHING`; `refused` are master ids that a person has rejected."""
        found = (
            suggestion
            for suggestion in self._all(kind, code, name)
            if suggestion.master_id not in refused and suggestion.confidence_percent >= SUGGESTED_PERCENT_MIN
        )
        return max(found, key=lambda suggestion: suggestion.confidence_percent, default=NOTHING)

    def _all(self, kind: Kind, code: str, name: str) -> Iterator[Suggestion]:
        match kind:
            case Kind.SERVICE:
                return self._service(code, name)
            case Kind.PROVIDER:
                return self._provider(name, attributes_of(kind, code, name))
            case Kind.HOUSE:
                return self._house(name, attributes_of(kind, code, name))

    def _service(self, code: str, name: str) -> Iterator[Suggestion]:
        """Our own code is a key, unless the name beside it speaks of something else."""
        plain = normal_service(name)
        if code in self._services:
            agrees = not plain or similarity_percent(plain, self._services[code]) >= SUGGESTED_PERCENT_MIN
            yield Suggestion(code, Method.EXACT_KEY, 100 if agrees else _DOUBTFUL_KEY_PERCENT)
        yield from _by_name(plain, ((number, [own]) for number, own in self._services.items()))

    def _provider(self, name: str, keys: Attributes) -> Iterator[Suggestion]:
        same_inn = [p for p in self._active if keys.inn and p.inn == keys.inn]
        same_ogrn = [p for p in self._active if keys.ogrn and p.ogrn == keys.ogrn]
        for provider in same_inn:
            if provider.kpp == keys.kpp and (keys.kpp or len(keys.inn) == 12):
                yield Suggestion(provider.provider, Method.EXACT_KEY, 100)
            elif keys.kpp:
                yield Suggestion(provider.provider, Method.CHECKSUM_KEY, _DOUBTFUL_KEY_PERCENT)
            else:
                percent = _ONLY_ONE_OF_INN_PERCENT if len(same_inn) == 1 else _DOUBTFUL_KEY_PERCENT
                yield Suggestion(provider.provider, Method.CHECKSUM_KEY, percent)
        if not same_inn:
            for provider in same_ogrn:
                is_sure = len(same_ogrn) == 1 and not keys.inn
                percent = CONFIRMED_PERCENT_MIN if is_sure else _DOUBTFUL_KEY_PERCENT
                yield Suggestion(provider.provider, Method.CHECKSUM_KEY, percent)
        if not same_inn and not same_ogrn:
            yield from _by_name(normal_organisation(name), self._providers.items())

    def _house(self, name: str, keys: Attributes) -> Iterator[Suggestion]:
        for key, known in ((keys.guid, self._guids), (keys.cadastral_number, self._cadastral)):
            if key in known:
                yield Suggestion(known[key], Method.EXACT_KEY, 100)
                return
        parsed, plain = parse_address(name), normal(name)
        near = self._by_number[parsed.house, parsed.building] if parsed.is_a_house else []
        same = [number for number in near if _same_house(self._houses[number], parsed)]
        if len(same) == 1:
            yield Suggestion(same[0], Method.ADDRESS_PARSE, _SAME_NAME_PERCENT)
            return
        for number in near:
            alike = min(similarity_percent(plain, self._house_texts[number]), _ALIKE_PERCENT_MAX)
            yield Suggestion(number, Method.NAME_FUZZY, alike)


def _names_of(providers: Sequence[Provider], former: Sequence[ProviderName]) -> dict[str, list[str]]:
    """Every name that each provider goes or went by, in the normal form."""
    names = {str(provider.provider): [normal_organisation(provider.name)] for provider in providers}
    for row in former:
        if not row.is_void and row.provider in names:
            names[row.provider].append(normal_organisation(row.name))
    return names


def _by_name(plain: str, known: Iterable[tuple[str, Sequence[str]]]) -> Iterator[Suggestion]:
    """Equal names, when one record alone has the name; then alike ones."""
    if not plain:
        return
    alike = [
        (number, max(similarity_percent(plain, name) for name in names), plain in names) for number, names in known
    ]
    is_only = sum(equal for _, _, equal in alike) == 1
    for number, percent, equal in alike:
        if equal and is_only:
            yield Suggestion(number, Method.NAME_EXACT, _SAME_NAME_PERCENT)
        else:
            yield Suggestion(number, Method.NAME_FUZZY, min(percent, _ALIKE_PERCENT_MAX))


def _same_house(ours: ParsedAddress, theirs: ParsedAddress) -> bool:
    """Whether all parts that both know are equal; flats do not matter."""
    pairs = ((ours.city, theirs.city), (ours.street_type, theirs.street_type))
    return ours.street == theirs.street and all(a == b or not (a and b) for a, b in pairs)
