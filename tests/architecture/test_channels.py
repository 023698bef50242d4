"""A channel is one folder, one content type, one process and one compose block; nothing else knows which
channels there are."""

import ast

from carillon.services import SERVICES, ServiceKind
from shared.broker import topology
from shared.contracts.channels import CONTENT_FORMATS, Channel
from tests.architecture.compose import parsed
from tests.architecture.source import PACKAGES, ROOT, SERVICE_FOLDERS, Module, modules

CHANNEL_FOLDERS = {folder for folder in SERVICE_FOLDERS if (ROOT / folder / "channel.py").exists()}
CHANNEL_NAMES = {channel.value for channel in Channel}


def test_folder_member_content_process_and_compose_block_agree() -> None:
    assert {folder.removesuffix("_service") for folder in CHANNEL_FOLDERS} == CHANNEL_NAMES
    assert set(CONTENT_FORMATS) == set(Channel)
    processes = {service.module: service.channel for service in SERVICES if service.channel is not None}
    assert processes == {f"{name}_service": name for name in CHANNEL_NAMES}
    # What such a block has to hold is in test_compose.py.
    blocks = {name for name in parsed("docker-compose.yml")["services"] if name.endswith("_service")}
    assert blocks == {service.module for service in SERVICES}


def test_every_service_folder_is_one_process() -> None:
    assert sorted(service.module for service in SERVICES) == list(SERVICE_FOLDERS)
    channels = {service.module for service in SERVICES if service.kind is ServiceKind.CHANNEL}
    assert channels == CHANNEL_FOLDERS
    for unique in ("name", "module", "port", "database"):
        values = [getattr(service, unique) for service in SERVICES]
        assert len(set(values)) == len(values), unique


def decisions_by_channel(module: Module) -> list[str]:
    """Comparisons with one channel: what belongs into its folder or its ContentFormat."""
    found = []
    for node in ast.walk(module.tree):
        if isinstance(node, ast.Compare):
            compared = [node.left, *node.comparators]
        elif isinstance(node, ast.MatchValue):
            compared = [node.value]
        else:
            continue
        if any(names_a_channel(operand) for operand in compared):
            found.append(f"{module.name}:{node.lineno}")
    return found


def names_a_channel(operand: ast.expr) -> bool:
    """`Channel.EMAIL`."""
    return (
        isinstance(operand, ast.Attribute)
        and isinstance(operand.value, ast.Name)
        and operand.value.id == "Channel"
        and operand.attr in Channel.__members__
    )


def test_no_decision_is_made_by_the_name_of_a_channel() -> None:
    assert [place for module in modules(*PACKAGES) for place in decisions_by_channel(module)] == []


def test_names_in_the_broker_are_spelled_in_one_file() -> None:
    spelled_there = {
        topology.EXCHANGE,
        topology.BROADCAST_EXCHANGE,
        topology.FAILED_QUEUE,
        topology.REPORTS_QUEUE,
        topology.SENTINEL_QUEUE,
        *topology.LANE_QUEUES,
        *(topology.retry_queue(step) for step in topology.RETRY_DELAYS_S),
    }
    elsewhere = [
        f"{module.name}: {text}"
        for module in modules(*PACKAGES)
        if module.name != "shared/broker/topology.py"
        for text in module.strings()
        if text in spelled_there or text.endswith(".queue")
    ]
    assert elsewhere == []
