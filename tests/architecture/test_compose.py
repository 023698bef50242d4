"""docker-compose.yml agrees with the specification, with the code's settings, and with what it promises."""

import importlib
import json
import re
from datetime import timedelta
from importlib.resources import files
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from jsonschema import ValidationError
from jsonschema.protocols import Validator
from jsonschema.validators import validator_for
from pydantic import ValidationError as WrongSettings

from carillon.deployment import ENTRIES, ENVIRONMENT_FILE, prepare_deployment
from carillon.push_standin.settings import PushStandinSettings
from carillon.services import SERVICES, Service
from carillon.settings import NamedInstallation, UpSettings
from shared.delivery.settings import ChannelSettings
from shared.process.settings import ProcessSettings
from shared.web.server import GRACE_S
from tests.architecture.compose import VariableMissing, environment, filled_in, parsed, read_env, variables
from tests.architecture.source import ROOT

COMPOSE = parsed("docker-compose.yml")
BLOCKS: dict[str, dict[str, Any]] = COMPOSE["services"]
OURS = {name for name, block in BLOCKS.items() if "build" in block}
ONE_SHOTS = {"migrate", "carillon"}
SERVICE_BLOCKS = {service.module: service for service in SERVICES}
SECRETS = [entry.name for entry in ENTRIES if entry.name.endswith(("SECRET", "PASSWORD"))]
ENTRY_POINTS_AS_ROOT = {"postgres", "rabbitmq"}
STEPPING_DOWN = ["CHOWN", "DAC_OVERRIDE", "FOWNER", "SETGID", "SETUID"]
SET_BY_NOBODY = {
    "port": "each service has its own, and only the proxy's is published",
    "crash_at": "production refuses it",
}


@pytest.fixture(scope="module")
def env(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """What `make env` gives to a new installation."""
    folder = tmp_path_factory.mktemp("deployment")
    prepare_deployment(folder)
    return read_env(folder / ENVIRONMENT_FILE)


def settings_class(service: Service) -> type[ProcessSettings]:
    """The one that the service's process makes at its start."""
    module = importlib.import_module(f"{service.module}.settings")
    (found,) = (
        member
        for member in vars(module).values()
        if isinstance(member, type)
        and issubclass(member, ProcessSettings)
        and member.__module__ == module.__name__
    )
    return found


READERS: dict[str, set[str]] = {
    **{service.module: set(settings_class(service).model_fields) for service in SERVICES},
    "push_standin": set(PushStandinSettings.model_fields),
    "migrate": set(UpSettings.model_fields),
    "carillon": set(NamedInstallation.model_fields),
}


def specification() -> Validator:
    """The Compose specification's schema."""
    vendored = files("check_jsonschema") / "builtin_schemas" / "vendor" / "compose-spec.json"
    schema = json.loads(vendored.read_text())
    return validator_for(schema)(schema)


@pytest.mark.parametrize("name", ["docker-compose.yml", "deploy/tls.yml"])
def test_the_files_are_valid_against_the_compose_specification(name: str) -> None:
    assert [error.message for error in specification().iter_errors(parsed(name))] == []


def test_the_specification_would_find_a_slip() -> None:
    with pytest.raises(ValidationError):
        specification().validate({"services": {"one": {"image": "x", "helthcheck": {}}}})


# ---------------------------------------------------------------- settings


@pytest.mark.parametrize("name", sorted(OURS))
def test_a_container_gets_what_its_process_reads_and_nothing_else(name: str) -> None:
    given = {variable for variable in BLOCKS[name]["environment"] if variable.startswith("CARILLON_")}
    unread = given - {f"CARILLON_{field.upper()}" for field in READERS[name]}
    assert unread == set(), "nothing reads these"


@pytest.mark.parametrize("service", SERVICES, ids=lambda service: service.module)
def test_whatever_a_service_reads_can_be_set(service: Service) -> None:
    given = set(BLOCKS[service.module]["environment"])
    fields = set(settings_class(service).model_fields) - SET_BY_NOBODY.keys()
    assert {f"CARILLON_{field.upper()}" for field in fields} - given == set(), "nobody can set these"


@pytest.mark.parametrize("service", SERVICES, ids=lambda service: service.module)
def test_what_make_env_gives_is_enough_for_production(
    monkeypatch: pytest.MonkeyPatch, env: dict[str, str], service: Service
) -> None:
    for name, value in environment(BLOCKS[service.module], env).items():
        monkeypatch.setenv(name, value)
    settings = settings_class(service)()
    assert settings.environment == "production"
    assert settings.host == "0.0.0.0"


@pytest.mark.parametrize("service", SERVICES, ids=lambda service: service.module)
def test_production_refuses_the_secret_of_development(
    monkeypatch: pytest.MonkeyPatch, env: dict[str, str], service: Service
) -> None:
    default = settings_class(service).model_fields["service_secret"].default.get_secret_value()
    for name, value in environment(BLOCKS[service.module], env).items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("CARILLON_SERVICE_SECRET", default)
    with pytest.raises(WrongSettings, match="CARILLON_SERVICE_SECRET"):
        settings_class(service)()


def test_each_variable_of_env_has_an_effect_and_a_needed_one_is_in_it(env: dict[str, str]) -> None:
    text = (ROOT / "docker-compose.yml").read_text()
    handed_through = {
        name
        for block in BLOCKS.values()
        for name, value in block.get("environment", {}).items()
        if value is None
    }
    read_by_compose_itself = {"COMPOSE_PROFILES"}
    assert set(env) == {entry.name for entry in ENTRIES}
    assert set(env) - variables(text) - handed_through == read_by_compose_itself
    needed = set(re.findall(r"\$\{(\w+):\?", text))
    assert needed == {entry.name for entry in ENTRIES if not entry.may_be_empty}


@pytest.mark.parametrize("entry", SECRETS)
def test_without_a_secret_nothing_starts(env: dict[str, str], entry: str) -> None:
    for lacking in ({**env, entry: ""}, {name: value for name, value in env.items() if name != entry}):
        with pytest.raises(VariableMissing, match=entry):
            filled_in(BLOCKS, lacking)


def test_the_secret_files_are_where_compose_looks_for_them(tmp_path: Path) -> None:
    prepare_deployment(tmp_path)
    for secret in COMPOSE["secrets"].values():
        assert (tmp_path / filled_in(secret["file"], {})).is_file()
    for name, block in BLOCKS.items():
        for secret in block.get("secrets", []):
            assert f"/run/secrets/{secret}" in block["environment"].values(), name


# ---------------------------------------------------------------- start, stop, health


def test_every_container_that_stays_has_a_health_check() -> None:
    without = {name for name, block in BLOCKS.items() if "test" not in block.get("healthcheck", {})}
    assert without == ONE_SHOTS


@pytest.mark.parametrize("service", SERVICES, ids=lambda service: service.module)
def test_the_health_check_asks_the_port_that_the_service_listens_on(service: Service) -> None:
    port = settings_class(service).model_fields["port"].default
    assert BLOCKS[service.module]["healthcheck"]["test"][-2:] == ["shared.web.probe", str(port)]
    assert port == service.port


def test_a_start_waits_for_health_and_the_migration_for_its_end() -> None:
    for name, block in BLOCKS.items():
        for needed, how in block.get("depends_on", {}).items():
            wanted = "service_completed_successfully" if needed in ONE_SHOTS else "service_healthy"
            assert how == {"condition": wanted}, (name, needed)
            assert set(BLOCKS[needed].get("profiles", [])) <= set(block.get("profiles", [])), (name, needed)
    for service in SERVICES:
        assert "migrate" in BLOCKS[service.module]["depends_on"]


def test_a_service_that_reads_the_address_of_a_server_waits_for_it(env: dict[str, str]) -> None:
    for service in SERVICES:
        block = BLOCKS[service.module]
        hosts = {
            str(urlsplit(value).hostname)
            for name, value in environment(block, env).items()
            if name.endswith(("BROKER_URL", "REDIS_URL", "SERVICE_URL"))
        }
        assert hosts - {service.module} <= set(block["depends_on"]), service.module


def test_a_stop_leaves_the_time_that_a_service_takes() -> None:
    longest = GRACE_S + ChannelSettings.model_fields["stop_grace_s"].default
    for service in SERVICES:
        grace = BLOCKS[service.module]["stop_grace_period"]
        assert timedelta(seconds=int(grace.removesuffix("s"))) > timedelta(seconds=longest)


# ---------------------------------------------------------------- services and channels


@pytest.mark.parametrize("service", SERVICES, ids=lambda service: service.module)
def test_each_service_has_its_block(env: dict[str, str], service: Service) -> None:
    block = BLOCKS[service.module]
    assert block["command"] == ["python", "-m", service.module]
    assert importlib.util.find_spec(f"{service.module}.__main__") is not None
    database_url = urlsplit(environment(block, env)["CARILLON_DATABASE_URL"])
    assert (database_url.hostname, database_url.path) == ("postgres", f"/{service.database}")
    # What has a fixed port or name on the host cannot be scaled.
    assert not {"ports", "container_name"} & set(block)


def test_the_gateway_knows_each_channel() -> None:
    urls = json.loads(BLOCKS["gateway_service"]["environment"]["CARILLON_CHANNEL_URLS"])
    assert urls == {
        service.channel: f"http://{service.module}:{service.port}" for service in SERVICES if service.channel
    }


@pytest.mark.parametrize("service", SERVICES, ids=lambda service: service.module)
def test_how_often_a_service_runs_can_stand_in_env(service: Service) -> None:
    deploy = BLOCKS[service.module]["deploy"]
    name = f"CARILLON_{service.module.removesuffix('_service').upper()}_REPLICAS"
    assert filled_in(deploy["replicas"], {}) == "1"
    assert filled_in(deploy["replicas"], {name: "3"}) == "3"


def test_only_the_proxy_is_open_to_others() -> None:
    open_to_all = {
        name
        for name, block in BLOCKS.items()
        if any(not str(port).startswith("127.0.0.1:") for port in block.get("ports", []))
    }
    assert open_to_all == {"proxy"}
    assert filled_in(BLOCKS["proxy"]["ports"], {}) == ["8000:8000"]


def test_services_live_on_the_inner_network_and_only_channels_have_a_way_out() -> None:
    assert COMPOSE["networks"]["back"]["internal"] is True
    for service in SERVICES:
        expected = ["back", "outside"] if service.channel else ["back"]
        assert BLOCKS[service.module]["networks"] == expected
    assert BLOCKS["postgres"]["networks"] == BLOCKS["redis"]["networks"] == ["back"]


def test_no_address_gets_into_the_log_of_postgresql() -> None:
    # tests/unit/deployment/test_postgres_log.py tries what the setting does.
    assert "log_error_verbosity=terse" in BLOCKS["postgres"]["command"]


def test_the_gateway_believes_its_proxy(env: dict[str, str]) -> None:
    subnet = filled_in(COMPOSE["networks"]["back"]["ipam"]["config"][0]["subnet"], env)
    trusted = environment(BLOCKS["gateway_service"], env)["CARILLON_TRUSTED_PROXIES"]
    assert json.loads(trusted) == [subnet]


# ---------------------------------------------------------------- hardening


@pytest.mark.parametrize("name", sorted(BLOCKS))
def test_no_container_has_more_rights_than_it_needs(name: str) -> None:
    block = BLOCKS[name]
    assert block["cap_drop"] == ["ALL"]
    assert block["security_opt"] == ["no-new-privileges:true"]
    assert "privileged" not in block
    if name in OURS:
        assert (block["user"], block["read_only"]) == ("10001:10001", True)
    assert block.get("read_only", False) is (name not in ENTRY_POINTS_AS_ROOT)
    assert block.get("cap_add", []) == (STEPPING_DOWN if name in ENTRY_POINTS_AS_ROOT else [])


@pytest.mark.parametrize("name", sorted(BLOCKS))
def test_a_container_is_bounded(name: str) -> None:
    block = BLOCKS[name]
    assert set(block["logging"]["options"]) == {"max-size", "max-file"}
    if name not in ONE_SHOTS:
        assert block["deploy"]["resources"]["limits"]["memory"]
        assert block["restart"] == "unless-stopped"


@pytest.mark.parametrize("name", sorted(set(BLOCKS) - OURS))
def test_an_image_of_others_is_pinned_to_a_version(name: str) -> None:
    _, _, tag = BLOCKS[name]["image"].partition(":")
    assert re.fullmatch(r"v?\d+(\.\d+)*(-[a-z]+)?", tag), BLOCKS[name]["image"]
