"""What of a person's data a terminal may show to anyone who types an account number: enough to see a typing error.

Source: 152-ФЗ ст. 7; what exactly stays visible is our decision: the surname's first letter with the initials, and the
house without the flat; where a house is one household's, its street without the house.
"""

_HIDDEN = "***"


def masked_name(name: str) -> str:
    """Mask a name: `Иванов Пётр Семёнович` is shown as `И*** П. С.`."""
    surname, *given = name.split() or [""]
    initials = [f"{word[0]}." for word in given[:2]]
    return " ".join([f"{surname[:1]}{_HIDDEN}", *initials])


def masked_address(address: str, flat: str) -> str:
    """Mask an address: the house of a flat, or the street of a house that has none."""
    if flat.strip():
        return address
    street, _, _ = address.rpartition(",")
    return f"{street}, {_HIDDEN}" if street else _HIDDEN
