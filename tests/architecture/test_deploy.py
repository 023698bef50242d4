"""The image, the proxy, Prometheus and Grafana know the services as they are."""

import json
import os
import re
import shutil
import subprocess
from typing import Any

import pytest
import yaml

from carillon.services import SERVICES, ServiceKind
from shared.process.correlation import HEADER
from shared.web.body import MAX_BODY_BYTES
from shared.web.problems import KINDS, TYPE_PREFIX
from tests.architecture.compose import parsed
from tests.architecture.source import PACKAGES, ROOT
from tools.exported import series, series_in

BLOCKS: dict[str, dict[str, Any]] = parsed("docker-compose.yml")["services"]
DOCKERFILE = re.sub(r"\\\n", " ", (ROOT / "Dockerfile").read_text())
PROXY = (ROOT / "deploy/proxy/haproxy.cfg").read_text()
DASHBOARD = json.loads((ROOT / "deploy/grafana/dashboards/carillon.json").read_text())
ALERTS = yaml.safe_load((ROOT / "deploy/prometheus/alerts.yml").read_text())
JOBS = yaml.safe_load((ROOT / "deploy/prometheus/prometheus.yml").read_text())["scrape_configs"]
GATEWAY = next(service for service in SERVICES if service.kind is ServiceKind.GATEWAY)


def instructions(name: str) -> list[str]:
    """The arguments of each instruction of that name in the Dockerfile."""
    return re.findall(rf"^{name} +(.+)$", DOCKERFILE, re.MULTILINE)


# ---------------------------------------------------------------- image


def test_whatever_is_copied_is_there_and_every_package_is_copied() -> None:
    copied = [source for line in instructions("COPY") if "--from" not in line for source in line.split()[:-1]]
    assert [source for source in copied if not (ROOT / source).exists()] == []
    assert set(PACKAGES) <= set(copied)


def test_nothing_else_of_the_checkout_reaches_the_build() -> None:
    lines = (ROOT / ".dockerignore").read_text().splitlines()
    rules = [line for line in lines if line and not line.startswith("#")]
    admitted = {rule.removeprefix("!") for rule in rules if rule.startswith("!")}
    copied = {source for line in instructions("COPY") if "--from" not in line for source in line.split()[:-1]}
    assert rules[0] == "*"
    assert admitted == copied


def test_the_image_runs_as_the_user_that_compose_names() -> None:
    (user,) = instructions("USER")
    assert user == BLOCKS["gateway_service"]["user"]
    assert user.partition(":")[0] not in ("0", "root")
    assert f"--uid {user.partition(':')[0]} " in DOCKERFILE


def test_dependencies_come_with_the_hashes_of_the_lock() -> None:
    installs = re.findall(r"(?:uv pip install|pip install) [^&\n]+", DOCKERFILE)
    assert len(installs) == 3
    for install in installs:
        assert "--require-hashes" in install or "--build-constraint requirements.lock" in install, install
    assert instructions("ADD") == []


def test_the_image_exposes_the_ports_that_services_listen_on() -> None:
    (exposed,) = instructions("EXPOSE")
    assert sorted(exposed.split()) == sorted(str(service.port) for service in SERVICES)


# ---------------------------------------------------------------- proxy


def test_the_proxy_follows_the_gateways() -> None:
    (template,) = re.findall(r"server-template gateway 1-\d+ (\S+)", PROXY)
    assert template == f"{GATEWAY.module}:{GATEWAY.port}"


def test_what_the_proxy_itself_answers_is_a_problem_as_the_gateway_would_tell_it() -> None:
    answers = re.findall(r"status (\d+) content-type \"(\S+)\" lf-string '(.*?)'", PROXY)
    assert {int(status) for status, _, _ in answers} == {404, 413, 502, 503, 504}
    for status, media_type, text in answers:
        problem = json.loads(text)
        kind, title = KINDS[int(status)] if int(status) in KINDS else KINDS[503]
        assert media_type == "application/problem+json"
        assert (problem["type"], problem["title"]) == (TYPE_PREFIX + kind, title)
        assert problem["status"] == int(status)
        assert "correlation_id" in problem
    assert PROXY.count(f"hdr {HEADER} ") == len(answers)


def test_the_proxy_leaves_it_to_the_gateway_to_refuse_a_body_that_is_a_little_too_large() -> None:
    (limit,) = re.findall(r"req\.hdr_val\(Content-Length\) gt (\d+)", PROXY)
    assert int(limit) > MAX_BODY_BYTES


def test_the_proxy_gets_what_its_configuration_reads() -> None:
    read = set(re.findall(r"\$\{?(CARILLON_\w+)", PROXY))
    given = set(BLOCKS["proxy"]["environment"]) | set(
        parsed("deploy/tls.yml")["services"]["proxy"]["environment"]
    )
    assert read == given


def rules() -> list[str]:
    """The `http-request` rules that every request passes, in their order."""
    public = PROXY.partition("frontend public")[2].partition("\nbackend ")[0]
    return re.findall(r"^ +http-request (.+)$", public, re.MULTILINE)


def test_the_gateway_hears_the_address_that_the_proxy_saw_and_none_that_a_client_wrote() -> None:
    assert "set-header X-Forwarded-For %[src]" in rules()
    assert "del-header Forwarded" in rules()
    (set_src,) = (rule for rule in rules() if rule.startswith("set-src "))
    assert " if from_front_proxy " in set_src
    assert rules().index(set_src) < rules().index("set-header X-Forwarded-For %[src]")


def test_nothing_asks_who_the_front_proxy_is_once_its_address_has_been_replaced() -> None:
    asking = [number for number, rule in enumerate(rules()) if "from_front_proxy" in rule]
    assert len(asking) == 2
    assert rules()[asking[-1]].startswith("set-src ")
    assert rules()[asking[0]] == "del-header X-Forwarded-Proto if ! from_front_proxy"


def test_what_is_for_the_inside_is_closed_at_the_proxy() -> None:
    (closed,) = (rule for rule in rules() if rule.startswith("return status 404"))
    assert closed.endswith(" if { path,url_dec -m beg /metrics /internal }")


def test_haproxy_takes_the_configuration() -> None:
    program = shutil.which("haproxy")
    if program is None:
        assert os.environ.get("GITHUB_ACTIONS") != "true", "ci.yml installs haproxy"
        pytest.skip("haproxy is not installed")
    checked = subprocess.run(
        [program, "-c", "-f", str(ROOT / "deploy/proxy/haproxy.cfg")],
        env={"CARILLON_PROXY_DNS": "127.0.0.11:53", "CARILLON_FRONT_PROXIES": "10.0.0.0/8 192.0.2.1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert checked.returncode == 0, checked.stderr


# ---------------------------------------------------------------- Prometheus and Grafana


def test_prometheus_asks_every_replica_of_every_service() -> None:
    found = {
        (job["job_name"], names["names"][0], names["port"])
        for job in JOBS
        for names in job.get("dns_sd_configs", [])
    }
    assert found == {(service.module, service.module, service.port) for service in SERVICES}


def test_whatever_is_asked_is_missed_when_it_is_gone() -> None:
    (alert,) = (
        rule["expr"]
        for group in ALERTS["groups"]
        for rule in group["rules"]
        if rule["alert"] == "ServiceDown"
    )
    (panel,) = (expression for expression in expressions() if expression.startswith("count(absent(up"))
    for expression in (alert, panel):
        down = [
            f'absent(up{{job="{job["job_name"]}"}}) or up{{job="{job["job_name"]}"}} == 0'
            for job in JOBS
            if "metrics_path" not in job  # another page of whoever is asked anyway
        ]
        assert expression in (" or ".join(down), f"count({' or '.join(down)}) or vector(0)")


def expressions() -> list[str]:
    """Every expression of the dashboard and of the alerts."""
    panels = [target["expr"] for panel in DASHBOARD["panels"] for target in panel.get("targets", [])]
    return panels + [rule["expr"] for group in ALERTS["groups"] for rule in group["rules"]]


def test_dashboard_and_alerts_ask_for_metrics_that_exist() -> None:
    asked = {name for expression in expressions() for name in series_in(expression)}
    assert asked - series() == set()
    assert len(asked) > 15


def test_every_panel_reads_the_datasource_that_is_provisioned() -> None:
    provisioned = yaml.safe_load(
        (ROOT / "deploy/grafana/provisioning/datasources/prometheus.yml").read_text()
    )["datasources"]
    sources = {panel["datasource"]["uid"] for panel in DASHBOARD["panels"] if panel["type"] != "row"}
    assert sources == {source["uid"] for source in provisioned}
    assert "prometheus" in BLOCKS
