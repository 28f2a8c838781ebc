"""One form for texts that mean the same: names of organisations and services, and addresses, as people write them.

Only for comparing. What is stored and shown stays as it was sent.
"""

import re
import unicodedata
from collections import Counter
from functools import lru_cache

import msgspec

_QUOTES = re.compile("[\"'`«»„“”‘’‹›]")
_SEPARATORS = re.compile(r"[^0-9a-zа-я/]+")

# The long forms before the short ones that they contain.
_LEGAL_FORMS = re.compile(
    r"\b(?:(?:публичное|непубличное|открытое|закрытое) акционерное общество|акционерное общество|"
    r"общество с ограниченной ответственностью|(?:муниципальное|государственное|федеральное) (?:казенное )?"
    r"унитарное предприятие|товарищество собственников (?:жилья|недвижимости)|"
    r"жилищно строительный кооператив|индивидуальный предприниматель|некоммерческая организация|"
    r"ооо|пао|оао|зао|нао|ао|муп|гуп|фгуп|мкп|мбу|гбу|тсж|тсн|жск|снт|ип|нко|но|ано)\b"
)

_SERVICE_WORDS = {
    "хвс": "холодное водоснабжение",
    "гвс": "горячее водоснабжение",
    "тко": "твердые коммунальные отходы",
    "мкд": "многоквартирный дом",
    "сои": "содержание общего имущества",
    "одн": "содержание общего имущества",
    "кап": "капитальный",
    "капремонт": "капитальный ремонт",
    "эл": "электрическая",
    "электроэнергия": "электроснабжение",
    "канализация": "водоотведение",
    "теплоснабжение": "отопление",
    "жилья": "жилого помещения",
    "хол": "холодное",
    "гор": "горячее",
    "вода": "водоснабжение",
}
"""Words of bills and what they stand for, in the normal form."""


def normal(text: str) -> str:
    """Return a text in small letters, ё as е, without quotes and punctuation, with single blanks."""
    folded = unicodedata.normalize("NFKC", text).casefold().replace("ё", "е")
    return _SEPARATORS.sub(" ", _QUOTES.sub(" ", folded)).strip()


def normal_organisation(name: str) -> str:
    """Return an organisation's name without its legal form; a name that is nothing else keeps it."""
    plain = normal(name)
    return " ".join(_LEGAL_FORMS.sub(" ", plain).split()) or plain


def normal_service(name: str) -> str:
    """Return a service's name with the abbreviations of bills spelled out."""
    return " ".join(_SERVICE_WORDS.get(word, word) for word in normal(name).split())


def similarity_percent(left: str, right: str) -> int:
    """Say how alike two normal texts are, 0 to 100; 100 only when they have the same words.

    Rule: twice the common three-letter pieces of words over all pieces (Dice), whatever the order of words; whole
    numbers only, the same both ways.
    """
    ours, theirs = _pieces(left), _pieces(right)
    total = ours.total() + theirs.total()
    return 200 * (ours & theirs).total() // total if total else 0


@lru_cache(maxsize=16_384)
def _pieces(text: str) -> Counter[str]:
    padded = [f"  {word} " for word in text.split()]
    return Counter(word[at : at + 3] for word in padded for at in range(len(word) - 2))


class ParsedAddress(msgspec.Struct, frozen=True):
    """The parts of an address that tell one house from another, in the normal form. Empty: not found."""

    city: str = ""
    street_type: str = ""
    street: str = ""
    house: str = ""
    building: str = ""
    flat: str = ""

    @property
    def is_a_house(self) -> bool:
        """Whether street and house are both known."""
        return bool(self.street and self.house)


_TOWNS = "город|г|поселок|пос|пгт|рп|п|село|с|деревня|д|станица|ст"
_CITY = re.compile(rf"(?:{_TOWNS})(?:\.\s*|\s+)(?P<name>[а-яa-z].*)|(?P<name_first>[а-яa-z].*)\s+(?:{_TOWNS})\.?")
_STREET_TYPES = {
    "улица": "улица",
    "ул": "улица",
    "проспект": "проспект",
    "пр-кт": "проспект",
    "просп": "проспект",
    "пр-т": "проспект",
    "переулок": "переулок",
    "пер": "переулок",
    "проезд": "проезд",
    "пр-д": "проезд",
    "бульвар": "бульвар",
    "б-р": "бульвар",
    "бул": "бульвар",
    "шоссе": "шоссе",
    "ш": "шоссе",
    "площадь": "площадь",
    "пл": "площадь",
    "набережная": "набережная",
    "наб": "набережная",
    "микрорайон": "микрорайон",
    "мкр": "микрорайон",
    "квартал": "квартал",
    "кв-л": "квартал",
    "тупик": "тупик",
    "туп": "тупик",
}
_TYPES = "|".join(sorted(map(re.escape, _STREET_TYPES), key=len, reverse=True))
_STREET = re.compile(rf"(?P<type>{_TYPES})(?:\.\s*|\s+)(?P<name>.+)|(?P<name_first>.+?)\s+(?P<type_last>{_TYPES})\.?")
# The normal form of № is "no".
_HOUSE = re.compile(r"(?:дом|д)?\.?\s*(?:no\s*)?(?P<house>[0-9]{1,4}\s?[а-я]?(?:/[0-9]{1,4}[а-я]?)?)(?P<rest>\s.*)?")
_BUILDING = re.compile(r"(?:корпус|корп|к|строение|стр|литера|лит)\.?\s*(?P<building>[0-9а-я]{1,4})")
_FLAT = re.compile(r"(?:квартира|кв|помещение|пом)\.?\s*(?:no\s*)?(?P<flat>[0-9]{1,5}[а-я]?)")


def parse_address(text: str) -> ParsedAddress:
    """Read an address written in parts between commas, each as a person would write it.

    Rule: `г. Заречный, ул. Садовая, д. 12 корп. 1, кв. 5`; the type may follow the name (`Садовая ул.`); what is not
    understood (region, postal code) is passed over. The first part that fits a rule fills it.
    """
    found: dict[str, str] = {}
    for part in unicodedata.normalize("NFKC", text).casefold().replace("ё", "е").split(","):
        for name, value in _part(" ".join(_QUOTES.sub(" ", part).split()), found).items():
            found.setdefault(name, value)
    return ParsedAddress(**found)


def _part(part: str, before: dict[str, str]) -> dict[str, str]:
    """Read one part; a bare number is the house once the street is known."""
    if found := _inside_a_house(part):
        return found
    if "street" in before and (match := _HOUSE.fullmatch(part)):
        return {"house": match["house"].replace(" ", ""), **_inside_a_house((match["rest"] or "").strip())}
    if match := _STREET.fullmatch(part):
        street_type = _STREET_TYPES[match["type"] or match["type_last"]]
        return {"street_type": street_type, "street": normal(match["name"] or match["name_first"])}
    if match := _CITY.fullmatch(part):
        return {"city": normal(match["name"] or match["name_first"])}
    return {}


def _inside_a_house(part: str) -> dict[str, str]:
    if match := _FLAT.fullmatch(part):
        return {"flat": match["flat"]}
    if match := _BUILDING.fullmatch(part):
        return {"building": match["building"]}
    return {}
