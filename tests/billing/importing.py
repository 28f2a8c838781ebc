"""A process that imports, to be killed: `python -m tests.billing.importing DATABASE FOLDER` ends with 0 if all is well.

It finds what the one before it has left, and goes on.
"""

import asyncio
import sys
from pathlib import Path

from tests.billing.stage import Stage, charge, charges, open_stage

ACCOUNTS = 400
_FILE = charges(charge(f"{number:010}", "1", "77", f"{100 + number},01") for number in range(1, ACCOUNTS + 1))
_SUM = sum((100 + number) * 100 + 2 for number in range(1, ACCOUNTS + 1))


async def main(database_url: str, folder: Path) -> None:
    """Import a file and its correction, and look at the ledger."""
    async with open_stage(database_url, folder) as stage:
        await stage.take(_FILE)
        await stage.take(_FILE.replace(b",01;", b",02;"))
        await _look(stage)


async def _look(stage: Stage) -> None:
    total = await stage.count("SELECT sum(amount_kopecks)::bigint FROM events WHERE kind IN (3, 4, 5)")
    assert total == _SUM, (total, _SUM)
    assert await stage.is_clean()


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], Path(sys.argv[2])))
