"""What is shipped for Prometheus and Grafana: it is valid, it is about metrics that exist, and each alert fires when it should."""

from __future__ import annotations

import json
import re
import subprocess
from pathlib import Path

import pytest
import yaml

from streams.cli.main import COMMANDS
from tests.exporter.test_metrics import lag_text, network_text, samples
from tests.support.network import ROOT
from tests.support.tools import tool

DEPLOY = ROOT / "deploy"
OWN = {
    "kafka_lag_exporter_up",
    "kafka_lag_exporter_last_update_timestamp_seconds",
    "kafka_lag_exporter_scrape_duration_seconds",
}
GROUPS = yaml.safe_load((DEPLOY / "prometheus/icn.rules.yml").read_text())["groups"]
RULES = [rule for group in GROUPS for rule in group["rules"]]
PANELS = json.loads((DEPLOY / "grafana/icn.json").read_text())["panels"]
EXPRESSIONS = [target["expr"] for panel in PANELS for target in panel.get("targets", [])]


def promtool(*words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([tool("promtool"), *words], capture_output=True, text=True, cwd=DEPLOY / "prometheus")


@pytest.mark.parametrize(
    "words",
    [
        ("check", "rules", "icn.rules.yml"),
        ("check", "config", "prometheus.yml"),
        ("test", "rules", "icn.rules.test.yml"),
    ],
)
def test_promtool_accepts(words: tuple[str, ...]) -> None:
    done = promtool(*words)
    assert done.returncode == 0, done.stdout + done.stderr


def test_every_alert_is_seen_to_fire_and_not_to_fire() -> None:
    """Of each alert the test file has a moment when it fires. A series beside it, or a moment before, doesn't."""
    tested: dict[str, list[bool]] = {}
    for one in yaml.safe_load((DEPLOY / "prometheus/icn.rules.test.yml").read_text())["tests"]:
        for moment in one["alert_rule_test"]:
            tested.setdefault(moment["alertname"], []).append(bool(moment["exp_alerts"]))
    assert {name for name, fires in tested.items() if any(fires)} == {rule["alert"] for rule in RULES}


def test_alerts_and_panels_ask_for_metrics_that_exist() -> None:
    made = {name for name, _ in samples(lag_text() + network_text())}
    for expression in [*EXPRESSIONS, *(rule["expr"] for rule in RULES)]:
        asked = set(re.findall(r"\b(?:kafka|icn)_\w+", expression))
        assert asked and asked <= made | OWN, expression


def test_every_panel_is_of_the_cluster_that_was_chosen() -> None:
    for expression in EXPRESSIONS:
        asked = re.findall(r"\b(?:kafka|icn)_\w+(\{[^}]*\})?", expression)
        assert all('cluster_name=~"$cluster"' in labels for labels in asked), expression


def test_before_the_first_duplicate_their_share_is_0(tmp_path: Path) -> None:
    """And so while nothing comes: no figure would look like a broken panel."""
    (share,) = (panel for panel in PANELS if panel["title"] == "Share of duplicates")
    expression = re.sub(r"\$cluster", ".*", share["targets"][0]["expr"])
    series = 'icn_stage_records_total{cluster_name="c", stage="s2_dedup"}'
    outcome = 'icn_stage_outcomes_total{cluster_name="c", stage="s2_dedup", outcome="%s"}'
    told = {
        "first": ({series: "0+10x30", outcome % "unique": "0+10x30"}, 0),
        "a fifth": ({series: "0+10x30", outcome % "duplicate": "0+2x30"}, 0.2),
        "idle": ({series: "5x30"}, 0),
    }
    tests = [
        {
            "name": name,
            "interval": "1m",
            "input_series": [{"series": one, "values": values} for one, values in has.items()],
            "promql_expr_test": [
                {"expr": expression, "eval_time": "20m", "exp_samples": [{"labels": "{}", "value": wanted}]}
            ],
        }
        for name, (has, wanted) in told.items()
    ]
    file = tmp_path / "share.yml"
    file.write_text(yaml.safe_dump({"rule_files": [], "tests": tests}))
    done = promtool("test", "rules", str(file))
    assert done.returncode == 0, done.stdout + done.stderr


def test_what_to_do_names_commands_that_exist() -> None:
    for rule in RULES:
        named = re.findall(r"\bicn ([a-z]+)", rule["annotations"]["what_to_do"])
        assert set(named) <= set(COMMANDS), rule["alert"]


def test_every_panel_s_question_is_promql(tmp_path: Path) -> None:
    asked = [re.sub(r"\$(cluster|group)", ".*", expression) for expression in EXPRESSIONS]
    rules = [{"record": f"panel:{number}", "expr": expression} for number, expression in enumerate(asked)]
    file = tmp_path / "panels.yml"
    file.write_text(yaml.safe_dump({"groups": [{"name": "panels", "rules": rules}]}))
    done = promtool("check", "rules", str(file))
    assert done.returncode == 0, done.stdout + done.stderr
    assert len(asked) > 35
