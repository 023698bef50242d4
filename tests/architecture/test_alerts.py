"""Every alert says what to do, and is tried with promtool on metrics as they are exported."""

import re
from functools import cache
from typing import Any

import pytest
import yaml

from carillon.services import SERVICES, ServiceKind
from shared.broker.topology import WORK_QUEUES
from tests.architecture.source import ROOT
from tools.exported import labels, series

FOLDER = ROOT / "deploy/prometheus"
PAGE = (ROOT / "docs/operations.md").read_text()
SECTION = PAGE.partition("## When an alert fires\n")[2].partition("\n## ")[0]
RULES: dict[str, dict[str, Any]] = {
    rule["alert"]: rule
    for group in yaml.safe_load((FOLDER / "alerts.yml").read_text())["groups"]
    for rule in group["rules"]
}
TESTS: list[dict[str, Any]] = [
    test
    for file in sorted((FOLDER / "tests").glob("*.yml"))
    for test in yaml.safe_load(file.read_text())["tests"]
]
ALL = pytest.mark.parametrize("alert", RULES)
ADDED_BY_PROMETHEUS = {"job", "instance"}


@cache
def fired() -> list[dict[str, str]]:
    """The labels of every alert that a test waits for."""
    samples = [
        sample["labels"]
        for test in TESTS
        for asked in test.get("promql_expr_test", [])
        for sample in asked["exp_samples"]
    ]
    return [dict(re.findall(r'(\w+)="([^"]*)"', text)) for text in samples]


def expected(alert: str) -> list[dict[str, str]]:
    """The labels with which tests see it fire."""
    return [found for found in fired() if found["alertname"] == alert and found["alertstate"] == "firing"]


def test_the_alerts_have_names_of_their_own() -> None:
    named = re.findall(r"- alert: (\w+)", (FOLDER / "alerts.yml").read_text())
    assert sorted(named) == sorted(RULES)
    assert len(named) > 15


@ALL
def test_an_alert_has_a_severity_and_says_what_it_is_and_what_to_do(alert: str) -> None:
    rule = RULES[alert]
    assert rule["labels"]["severity"] in ("critical", "warning")
    assert set(rule["annotations"]) == {"summary", "description", "runbook"}
    assert rule["annotations"]["runbook"] == f"docs/operations.md#{alert.lower()}"
    assert f'<a id="{alert.lower()}"></a>`{alert}`' in SECTION


@ALL
def test_an_alert_is_seen_to_fire_and_names_what_it_is_about(alert: str) -> None:
    assert expected(alert), "no promtool test waits for it"
    used = set(re.findall(r"\$labels\.(\w+)", "".join(RULES[alert]["annotations"].values())))
    optional = set(re.findall(r"with \$labels\.(\w+)", RULES[alert]["annotations"]["summary"]))
    for found in expected(alert):
        assert used - optional <= set(found)


@ALL
def test_an_alert_is_seen_to_be_silent_where_it_is_asked_for(alert: str) -> None:
    quiet = [
        asked["expr"]
        for test in TESTS
        for asked in test.get("promql_expr_test", [])
        if not asked["exp_samples"] and "alertname" in asked["expr"]
    ]
    patterns = [re.search(r'alertname=~?"([^"]+)"', expression) for expression in quiet]
    assert any(pattern is not None and re.fullmatch(pattern[1], alert) for pattern in patterns)


def test_the_page_explains_no_alert_that_is_not_there() -> None:
    explained = re.findall(r'<a id="\w+"></a>`(\w+)`', SECTION)
    assert sorted(explained) == sorted(RULES)


def test_tests_use_metrics_as_they_are_exported() -> None:
    given = [entry["series"] for test in TESTS for entry in test["input_series"]]
    ours = [text for text in given if text.startswith("carillon_")]
    assert len(ours) > 50
    for text in ours:
        name = text.partition("{")[0]
        assert name in series(), name
        named = set(re.findall(r'(\w+)="', text))
        assert named == set(labels(name)) | ADDED_BY_PROMETHEUS, text


def test_a_consumer_of_any_queue_is_missed() -> None:
    missed = re.findall(
        r'absent\(carillon_broker_consumer\{queue="([^"]+)"\}\)', RULES["ConsumerMissing"]["expr"]
    )
    assert sorted(missed) == sorted(WORK_QUEUES)


def test_whoever_says_how_much_waits_is_missed() -> None:
    jobs = set(re.findall(r'job="(\w+)"', RULES["GaugesMissing"]["expr"]))
    channels = {service.module for service in SERVICES if service.kind is ServiceKind.CHANNEL}
    assert jobs == channels | {"gateway_service", "rabbitmq_queues"}


def test_the_folder_that_compose_mounts_holds_what_prometheus_reads_and_its_tests() -> None:
    assert {path.name for path in FOLDER.iterdir()} == {"alerts.yml", "prometheus.yml", "tests"}
