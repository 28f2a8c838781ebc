"""What operators are given agrees with the program: metric names, alerts, the cluster's file."""

import json
import re
from pathlib import Path

import jsonschema
import pytest
import ray
import yaml

ROOT = Path(__file__).parents[2]
RULES = ROOT / "deploy/prometheus/kopeck.rules.yml"
DASHBOARD = ROOT / "deploy/grafana/kopeck.json"
RUNBOOK = ROOT / "docs/runbook.md"
_SUFFIXES = ("_total", "_bucket", "_sum", "_count")


def named_in(path: Path) -> set[str]:
    """The metrics that a file speaks of, by family."""
    return {_family(name) for name in re.findall(r"\bkopeck_[a-z_]+", path.read_text())}


def _family(name: str) -> str:
    for suffix in _SUFFIXES:
        name = name.removesuffix(suffix)
    return name


def known() -> set[str]:
    """The metrics that the program counts: every literal name, and the shard's gauges."""
    text = "".join(path.read_text() for folder in ("actors", "gateways") for path in (ROOT / folder).rglob("*.py"))
    gauges = re.findall(r'^            "([a-z_]+)": ', (ROOT / "actors/shard.py").read_text(), re.MULTILINE)
    gauges += ["parked_accounts", "epoch"]
    return {_family(name) for name in re.findall(r'"(kopeck_[a-z_]+)"', text)} | {f"kopeck_shard_{g}" for g in gauges}


@pytest.mark.parametrize("path", [RULES, DASHBOARD, RUNBOOK], ids=lambda path: path.name)
def test_every_metric_that_operators_are_told_of_exists(path: Path) -> None:
    assert named_in(path)
    assert named_in(path) - known() == set()


def test_every_metric_has_its_line_in_the_runbook() -> None:
    assert known() - named_in(RUNBOOK) == set()


def test_every_alert_has_its_line_in_the_runbook() -> None:
    rules = yaml.safe_load(RULES.read_text())["groups"][0]["rules"]
    assert [rule["alert"] for rule in rules if f"`{rule['alert']}`" not in RUNBOOK.read_text()] == []


def test_the_dashboard_is_json_with_a_query_in_every_panel() -> None:
    panels = json.loads(DASHBOARD.read_text())["panels"]
    assert all(target["expr"] for panel in panels for target in panel["targets"])


def test_the_cluster_file_is_what_ray_accepts() -> None:
    schema = json.loads((Path(ray.__file__).parent / "autoscaler/ray-schema.json").read_text())
    jsonschema.validate(yaml.safe_load((ROOT / "cluster.yaml").read_text()), schema)


def test_a_silent_node_is_given_up_within_ten_seconds() -> None:
    text = (ROOT / "cluster.yaml").read_text()
    period, timeout, misses = (
        int(re.findall(rf"RAY_health_check_{name}=(\d+)", text)[0])
        for name in ("period_ms", "timeout_ms", "failure_threshold")
    )
    assert (period + timeout) * misses <= 10_000
