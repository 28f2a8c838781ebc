"""`python -m tests.fuzz DOOR_OR_FILE --seed N`: play one round at a door, or broken files of one preset."""

import argparse
import asyncio
import sys
import time

from tests.fuzz import files, rounds
from tests.fuzz.doors import DOORS
from tests.fuzz.wire import Broken

_parser = argparse.ArgumentParser(description=__doc__)
_parser.add_argument("name", choices=[*DOORS, *files.FILES])
_parser.add_argument("--seed", type=int, required=True)
_parser.add_argument("--count", type=int, default=rounds.ROUND_REQUESTS)

if __name__ == "__main__":
    asked = _parser.parse_args()
    begun = time.monotonic()
    try:
        if asked.name in DOORS:
            print(asyncio.run(rounds.play(asked.name, asked.seed, asked.count)))
        else:
            print(files.play(asked.name, asked.seed, asked.count))
    except Broken as broken:
        sys.exit(f"broken: {broken}")
    print(f"{asked.count / (time.monotonic() - begun):,.0f} a second")
