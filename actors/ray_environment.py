"""Ray's environment, set before Ray is imported: it reads most of it once, then.

Token authentication with a token of this installation that only its user can read; no usage reports; no rebuilding of
environments in workers. Import this module before `ray`, everywhere.
"""

import os
from pathlib import Path

from actors.settings import default_home

_token = Path(os.environ.get("KOPECK_HOME") or default_home()).expanduser().absolute() / "ray.token"

os.environ["RAY_AUTH_MODE"] = "token"
os.environ.setdefault("RAY_AUTH_TOKEN_PATH", str(_token))
os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
# Ray makes its workers polite to everybody else on the machine; a payment is not less urgent than a backup.
os.environ.setdefault("RAY_worker_niceness", "0")
os.environ["RAY_ENABLE_UV_RUN_RUNTIME_ENV"] = "0"
os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")


def make_token() -> None:
    """Make the installation's token if there is none; a cluster's nodes must be given the same file."""
    path = Path(os.environ["RAY_AUTH_TOKEN_PATH"])
    if path.exists():
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT, 0o600)
    with os.fdopen(descriptor, "w") as file:
        file.write(os.urandom(32).hex())
