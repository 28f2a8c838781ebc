"""`python -m loadtests`: locust without its page, against the system that demo.json tells of, with a report.

Exit codes: 0 every request was answered well, 1 some failed, 2 wrong arguments, 3 the system is not there.
"""

import argparse
import datetime
import json
import os
import platform
import sys
from pathlib import Path

from loadtests import installation

_HERE = Path(__file__).parent
_EXIT_NOT_THERE = 3
_STOP_S_MAX = 15
_USERS_AT_ONCE_S = 2


def main() -> None:
    """Check that there is a system, then become locust: its exit code is ours."""
    arguments = _parser().parse_args()
    try:
        url = arguments.url or installation.read(installation.home()).base_url
        installation.must_be_ready(url)
    except installation.NotThere as error:
        print(error, file=sys.stderr)
        sys.exit(_EXIT_NOT_THERE)
    results = _results_folder(arguments.results, arguments.model)
    (results / "run.json").write_text(json.dumps(_described(arguments, url), indent=2) + "\n")
    print(f"{arguments.model} model against {url} for {arguments.seconds} s; report: {results}/report.html", flush=True)
    command = locust_command(arguments, url, results)
    os.execv(command[0], command)  # noqa: S606  # No shell; locust in our place takes signals and gives the exit code.


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m loadtests", description="Load a running kopeck over HTTP.")
    parser.add_argument("--model", choices=["open", "closed", "day"], default="open", help="default: open")
    parser.add_argument("--rate", type=_at_least(0), default=100, help="visits a second (day: at the highest peak)")
    parser.add_argument("--users", type=_at_least(3), default=200, help="users at most: visits at one time")
    parser.add_argument("--seconds", type=_at_least(1), default=60, help="how long; day: for all three days")
    parser.add_argument("--processes", type=_at_least(1), default=1, help="processes of the load generator")
    parser.add_argument("--url", help="the system's address, if not that of demo.json")
    parser.add_argument("--results", type=Path, default=Path("load-results"), help="folder for reports")
    return parser


class _at_least:  # noqa: N801  # Reads as what it is where it is used.
    """An argument's type: a whole number not below a bound."""

    def __init__(self, least: int) -> None:
        self._least = least

    def __call__(self, text: str) -> int:
        number = int(text)
        if number < self._least:
            raise argparse.ArgumentTypeError(f"at least {self._least}")
        return number


def _results_folder(parent: Path, model: str) -> Path:
    folder = parent / f"{datetime.datetime.now(tz=datetime.UTC):%Y%m%dT%H%M%SZ}-{model}"
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def _described(arguments: argparse.Namespace, url: str) -> dict[str, object]:
    """Say what was asked, and of which machine: figures without it mean nothing later."""
    asked = {name: value for name, value in vars(arguments).items() if name not in ("url", "results")}
    machine = {"cpus": os.cpu_count(), "platform": platform.platform(), "python": platform.python_version()}
    return {"url": url, **asked, "load_generator": machine}


def locust_command(arguments: argparse.Namespace, url: str, results: Path) -> list[str]:
    """Return the command that runs locust. No key is in it: locust reads demo.json itself."""
    files = ["locustfile.py", "days.py"] if arguments.model == "day" else ["locustfile.py"]
    command = [sys.executable, "-m", "locust", "--headless", "--only-summary"]
    command += ["--locustfile", ",".join(str(_HERE / name) for name in files)]
    command += ["--host", url, "--model", arguments.model, "--rate", str(arguments.rate)]
    command += ["--users", str(arguments.users), "--spawn-rate", str(max(1, arguments.users // _USERS_AT_ONCE_S))]
    command += ["--run-time", f"{arguments.seconds}s", "--stop-timeout", str(_STOP_S_MAX)]
    command += ["--html", str(results / "report.html"), "--csv", str(results / "requests")]
    if arguments.processes > 1:
        command += ["--processes", str(arguments.processes)]
    return command


if __name__ == "__main__":
    main()
