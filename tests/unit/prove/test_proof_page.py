"""docs/proof.md says what `carillon prove` does."""

from carillon.prove.installation import QUICKER
from carillon.prove.scenario import Size
from carillon.prove.scenarios.all import SCENARIOS
from tests.architecture.source import ROOT

PAGE = (ROOT / "docs" / "proof.md").read_text()


def test_every_scenario_is_on_the_page_as_the_command_tells_it() -> None:
    missing = [
        line
        for scenario in SCENARIOS
        if (line := f"| {scenario.number} | **{scenario.name}**: {scenario.says} |") not in PAGE
    ]
    assert missing == []


def test_numbers_and_names_are_each_scenarios_own() -> None:
    assert len({scenario.number for scenario in SCENARIOS}) == len(SCENARIOS)
    assert len({scenario.name for scenario in SCENARIOS}) == len(SCENARIOS)


def test_all_but_the_mix_are_part_of_what_make_prove_plays() -> None:
    left_out = [scenario.name for scenario in SCENARIOS if Size.USUAL not in scenario.sizes]
    assert left_out == ["random mix"]


def test_every_setting_that_is_shorter_than_usual_is_on_the_page() -> None:
    assert [name for name, value in QUICKER.items() if f"`{name}={value}`" not in PAGE] == []
