"""Houses for tests, with an address and nothing else."""

from engine.master import House
from storage import master


async def put_houses(database_url: str, *addresses: str) -> None:
    """Put houses in, numbered from 1."""
    houses = [
        House(house=number, address=address, guid="", oktmo="", postal_code="", cadastral_number="")
        for number, address in enumerate(addresses, 1)
    ]
    await master.put(database_url, houses, master.BY_PROGRAM)
