"""`python -m tests.simulation --seed N`: play one seed and print its trace."""

import argparse
import sys

from tests.simulation.auditor import Broken
from tests.simulation.run import run

_parser = argparse.ArgumentParser(description=__doc__)
_parser.add_argument("--seed", type=int, required=True)

if __name__ == "__main__":
    try:
        played = run(_parser.parse_args().seed)
    except Broken as broken:
        sys.exit(f"broken: {broken}")
    print("\n".join(played.trace))
    print(dict(sorted(played.seen.items())))
