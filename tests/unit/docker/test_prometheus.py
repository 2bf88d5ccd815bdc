"""What watches a line, checked by the tools that will read it."""

import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML

from tests.support.watchers import DOCKER, require_watchers
from tools.dashboards.all import rendered

RULES = DOCKER / "prometheus/rules.yml"
TESTS = DOCKER / "prometheus/rules_test.yml"


def run(*command: str | Path) -> str:
    require_watchers()
    done = subprocess.run(
        list(map(str, command)), capture_output=True, text=True, check=False, timeout=60
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


def alerts() -> list[dict[str, Any]]:
    content = YAML(typ="safe").load(RULES)
    return [rule for group in content["groups"] for rule in group["rules"] if "alert" in rule]


def test_promtool_takes_the_configuration_and_the_rules() -> None:
    run("promtool", "check", "config", DOCKER / "prometheus/prometheus.yml")
    assert "SUCCESS" in run("promtool", "check", "rules", RULES)


def test_amtool_takes_alertmanagers_configuration() -> None:
    run("amtool", "check-config", DOCKER / "alertmanager/alertmanager.yml")


def test_the_rules_do_what_their_tests_say() -> None:
    run("promtool", "test", "rules", TESTS)


def test_a_rule_that_is_broken_is_found_by_its_tests(tmp_path: Path) -> None:
    require_watchers()
    text = RULES.read_text()
    shutil.copy(TESTS, tmp_path)
    (tmp_path / RULES.name).write_text(text.replace('{state="down"} == 1', '{state="ok"} == 1'))
    done = subprocess.run(
        ["promtool", "test", "rules", str(tmp_path / TESTS.name)],
        capture_output=True,
        check=False,
        timeout=60,
    )
    assert done.returncode != 0


def test_every_alert_is_seen_to_fire_in_a_test() -> None:
    text = TESTS.read_text()
    assert {alert["alert"] for alert in alerts()} <= set(re.findall(r'alertname="(\w+)"', text))


def test_every_alert_says_what_it_means_and_what_to_do() -> None:
    for alert in alerts():
        assert alert["alert"].startswith("Streamline")
        assert alert["annotations"].keys() == {"summary", "meaning", "action"}
        assert alert["labels"]["severity"] in {"critical", "warning"}


def test_every_recorded_series_is_used_by_an_alert_or_a_dashboard() -> None:
    content = YAML(typ="safe").load(RULES)
    recorded = {
        rule["record"] for group in content["groups"] for rule in group["rules"] if "record" in rule
    }
    used = json.dumps(alerts()) + json.dumps(rendered())
    assert {name for name in recorded if name not in used} == set()
