"""The files of deploy/: they parse, name what exists, and agree with the settings that they rest on."""

from __future__ import annotations

import configparser
import json
import re
import shutil
import subprocess
from importlib import import_module
from pathlib import Path
from typing import Any

import click
import pytest
import yaml

from s3queue.observe import metrics

DEPLOY = Path(__file__).parents[2] / "deploy"
ALERTS = DEPLOY / "prometheus/alerts.yaml"
_METRIC = re.compile(r"\bs3queue_[a-z_]+\b")


def measured() -> set[str]:
    """Every name that is served, with those that a histogram adds."""
    source = Path(metrics.__file__).read_text()
    names = set(re.findall(r'"(s3queue_[a-z_]+)"', source))
    return names | {f"{name}{end}" for name in names for end in ("_bucket", "_sum", "_count")}


def documents(name: str) -> list[dict[str, Any]]:
    return list(yaml.safe_load_all((DEPLOY / name).read_text()))


@pytest.mark.parametrize("name", ["prometheus/alerts.yaml", "grafana/s3queue.json"])
def test_every_metric_that_is_asked_for_is_measured(name: str) -> None:
    asked = set(_METRIC.findall((DEPLOY / name).read_text()))
    assert len(asked) > 5
    assert not asked - measured()


#: What is the same on every host, see docs/how-to/monitor.md: added up it would grow with the number of hosts.
_ADDED_UP = re.compile(
    r"sum(?: by \([a-z, ]*\))? ?\((?:rate|increase)?\(?(s3queue_(?:messages|oldest|hosts|elections|cycle|board)[a-z_]*)"
)


@pytest.mark.parametrize("name", ["prometheus/alerts.yaml", "grafana/s3queue.json"])
def test_what_every_host_says_of_the_namespace_is_not_added_up(name: str) -> None:
    assert _ADDED_UP.findall("sum by (queue) (increase(s3queue_messages_finished_total[1m]))")
    assert _ADDED_UP.findall((DEPLOY / name).read_text()) == []


def test_every_alert_says_what_to_do() -> None:
    (group,) = yaml.safe_load(ALERTS.read_text())["groups"]
    for rule in group["rules"]:
        assert {"summary", "what_to_do"} <= rule["annotations"].keys(), rule["alert"]
        assert rule["labels"]["severity"] in ("page", "warning")


def test_alerts_are_rules_by_the_word_of_promtool() -> None:
    promtool = shutil.which("promtool")
    if promtool is None:
        pytest.skip("no promtool; Debian has it in the package prometheus")
    checked = subprocess.run([promtool, "check", "rules", str(ALERTS)], capture_output=True, text=True, check=False)
    assert checked.returncode == 0, checked.stdout + checked.stderr


def test_dashboard_has_no_panel_over_another() -> None:
    panels = json.loads((DEPLOY / "grafana/s3queue.json").read_text())["panels"]
    taken: set[tuple[int, int]] = set()
    for panel in panels:
        at = panel["gridPos"]
        cells = {(at["x"] + dx, at["y"] + dy) for dx in range(at["w"]) for dy in range(at["h"])}
        assert not cells & taken, panel["title"]
        assert at["x"] + at["w"] <= 24
        taken |= cells


def test_whatever_ends_a_host_leaves_it_two_seconds_after_its_drain() -> None:
    worker = documents("compose.yaml")[0]["services"]["worker"]
    assert int(worker["stop_grace_period"].rstrip("s")) - int(worker["environment"]["S3QUEUE_DRAIN_TIMEOUT"]) == 2
    pod = documents("kubernetes/s3queue.yaml")[0]["spec"]["template"]["spec"]
    env = {one["name"]: one["value"] for one in pod["containers"][0]["env"]}
    assert pod["terminationGracePeriodSeconds"] - int(env["S3QUEUE_DRAIN_TIMEOUT"]) == 2
    unit = configparser.ConfigParser(strict=False, interpolation=None)
    unit.optionxform = str  # type: ignore[assignment,method-assign]
    unit.read(DEPLOY / "systemd/s3queue@.service")
    service = unit["Service"]
    assert int(service["TimeoutStopSec"]) - int(service["Environment"].rpartition("=")[2]) == 2
    assert service["RestartPreventExitStatus"].split() == ["2", "3"]
    assert "--metrics" not in service["ExecStart"], (
        "two instances would want one port, and a mistake is not tried again"
    )


def test_kubernetes_objects_select_the_pods_that_they_mean() -> None:
    objects = documents("kubernetes/s3queue.yaml") + documents("kubernetes/keda.yaml")
    deployments = {one["metadata"]["name"]: one for one in objects if one["kind"] == "Deployment"}
    for one in objects:
        if one["kind"] == "ScaledObject":
            assert one["spec"]["scaleTargetRef"]["name"] in deployments
        elif "selector" in one["spec"]:
            selector = one["spec"]["selector"]
            labels = selector.get("matchLabels", selector)
            pods = [deployment["spec"]["template"]["metadata"]["labels"] for deployment in deployments.values()]
            assert any(labels.items() <= pod.items() for pod in pods), one["metadata"]["name"]


@pytest.mark.parametrize("name", ["s3queue-images", "s3queue-exporter"])
def test_commands_of_the_pods_are_commands(name: str) -> None:
    (deployment,) = (one for one in documents("kubernetes/s3queue.yaml") if one["metadata"]["name"] == name
                     and one["kind"] == "Deployment")  # fmt: skip
    (container,) = deployment["spec"]["template"]["spec"]["containers"]
    command, *arguments = container["args"]
    known: click.Command = import_module(f"s3queue.cli.{command}").command
    known.make_parser(click.Context(known)).parse_args(list(arguments))
