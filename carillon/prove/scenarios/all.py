"""The list of all scenarios."""

from carillon.prove.scenario import Scenario
from carillon.prove.scenarios import deaths, operators, pressure, providers, servers

SCENARIOS: tuple[Scenario, ...] = tuple(
    sorted(
        (
            *deaths.SCENARIOS,
            *servers.SCENARIOS,
            *providers.SCENARIOS,
            *operators.SCENARIOS,
            *pressure.SCENARIOS,
        ),
        key=lambda scenario: scenario.number,
    )
)
"""By number."""
