"""What makes a verdict red: each rule alone, with its own sentence, and its innocent neighbour."""

import io
from collections.abc import Callable, Mapping
from dataclasses import replace

import msgspec
import pytest
from rich.console import Console

from carillon.machine import Machine
from carillon.prove.report import ProofReport, ScenarioReport, common_complaints, timed_out
from carillon.prove.scenario import Scenario
from carillon.prove.tables import markdown, print_table
from carillon.prove.witness.verdict import Recovery, Verdict
from tests.unit.prove.witness.handmade import WHOLE

SCENARIO = Scenario(number=7, name="kill", says="a service is killed", play=lambda _experiment: None)
PARKING = replace(SCENARIO, parks=True)
ENDING = replace(SCENARIO, recovers=False)


def verdict(**changes: object) -> Verdict:
    """One mark, accepted and sent once, after a fault from which the system recovered, but for `changes`."""
    recovered = msgspec.structs.replace(WHOLE.verdict(), recoveries=[Recovery("kill", 1.5)], recovery_s=1.5)
    return msgspec.structs.replace(recovered, **changes)


def scenario_report(**changes: object) -> ScenarioReport:
    """A scenario that was played, with nothing to complain of, but for `changes`."""
    green = ScenarioReport(
        number=7, name="kill", says="a service is killed", seconds=20.0, complaints=[], verdict=verdict()
    )
    return msgspec.structs.replace(green, **changes)


def proof_report(*scenarios: ScenarioReport, complaints: list[str] | None = None) -> ProofReport:
    return ProofReport(
        command="carillon prove",
        broker="rabbitmq",
        size="small",
        seed=1,
        started_at="2026-01-01T00:00:00+00:00",
        seconds=60.0,
        machine=Machine(
            cores=2, processor="a", memory_gb=4.0, system="b", python="3.11", versions={}, busy=0.0
        ),
        scenarios=list(scenarios),
        afterwards=[verdict()],
        complaints=complaints or [],
    )


NOBODY_ASKED = "suppressed, expired, cancelled or discarded, which nobody asked for"

ALWAYS_WRONG: dict[str, tuple[Mapping[str, object], str]] = {
    "lost": ({"lost": 1}, "1 lost"),
    "silent duplicates": ({"silent_duplicates": 2}, "2 silent duplicates"),
    "stuck": ({"stuck": 1}, "1 stuck longer than a minute"),
    "unaccepted": ({"unaccepted": 3}, "3 sent without having been accepted"),
    "contradictions": ({"contradictions": 1}, "1 said to have failed, and sent"),
    "undecided": ({"undecided": 1}, "1 undecided"),
    "unmarked": ({"unmarked": 1}, "1 mails without a mark"),
    "suppressed": ({"suppressed": 1}, f"1 {NOBODY_ASKED}"),
    "expired": ({"expired": 1}, f"1 {NOBODY_ASKED}"),
    "cancelled": ({"cancelled": 1}, f"1 {NOBODY_ASKED}"),
    "discarded": ({"discarded": 1}, f"1 {NOBODY_ASKED}"),
    "all ends that nobody asked for": (
        {"suppressed": 1, "expired": 2, "cancelled": 3, "discarded": 4},
        f"10 {NOBODY_ASKED}",
    ),
    "server errors": ({"server_errors": 1, "status_5xx": 1}, "1 answers that were 5xx, and not 503"),
    "not read whole": ({"read_whole": False}, "the API could not be read to its end"),
    "not settled": ({"settled": False}, "the providers did not come to rest"),
    "nothing accepted": ({"accepted": 0}, "nothing was accepted"),
}

WRONG_IN_A_SCENARIO: dict[str, tuple[Mapping[str, object], str]] = {
    "parked": ({"parked": 2}, "2 failed and wait for an operator"),
    "unknown above the ceiling": (
        {"unknown": 1},
        "1 unknown and 0 possible duplicates, where 0 calls can have been in doubt",
    ),
    "no fault": ({"recoveries": []}, "no fault struck while there was a load"),
    "a fault without recovery": (
        {"recoveries": [Recovery("kill", None), Recovery("freeze", 2.0), Recovery("cut", None)]},
        "nothing went on after: kill, cut",
    ),
    "refused": ({"refused": 4}, "4 were refused for good"),
}

INNOCENT: dict[str, tuple[Scenario | None, Mapping[str, object]]] = {
    "nothing happened": (SCENARIO, {}),
    "nothing happened, all together": (None, {}),
    "nobody knows, and nothing came of it": (SCENARIO, {"in_doubt_nought": 3}),
    "accepted without a 202": (SCENARIO, {"in_doubt_accepted": 1}),
    "only one accepted": (SCENARIO, {"intended": 5, "accepted": 1}),
    "unavailable": (SCENARIO, {"status_5xx": 9, "server_errors": 0, "answers": {"202": 1, "503": 9}}),
    "no answer": (SCENARIO, {"silences": {"reset": 3, "refused": 2, "timeout": 1}}),
    "delivered and bounced": (SCENARIO, {"statuses": {"delivered": 3, "bounced": 1}}),
    "parked, where that is a good end": (PARKING, {"parked": 2}),
    "no fault, where the load ends before": (ENDING, {"recoveries": []}),
    "no recovery, where the load ends before": (ENDING, {"recoveries": [Recovery("kill", None)]}),
    "refused, where the load ends before": (ENDING, {"refused": 4}),
    "recovered at once": (SCENARIO, {"recoveries": [Recovery("kill", 0.0)]}),
}


@pytest.mark.parametrize("scenario", [SCENARIO, PARKING, ENDING, None], ids=["usual", "parks", "ends", "all"])
@pytest.mark.parametrize("name", ALWAYS_WRONG)
def test_what_must_never_be_is_a_complaint_in_every_scenario(name: str, scenario: Scenario | None) -> None:
    changes, sentence = ALWAYS_WRONG[name]
    assert common_complaints(verdict(**changes), scenario=scenario, doubts_ceiling=9) == [sentence]


@pytest.mark.parametrize("name", WRONG_IN_A_SCENARIO)
def test_what_depends_on_the_scenario_is_a_complaint_in_a_usual_one(name: str) -> None:
    changes, sentence = WRONG_IN_A_SCENARIO[name]
    assert common_complaints(verdict(**changes), scenario=SCENARIO, doubts_ceiling=0) == [sentence]


@pytest.mark.parametrize("name", WRONG_IN_A_SCENARIO)
def test_what_depends_on_the_scenario_is_no_complaint_of_all_together(name: str) -> None:
    changes, _ = WRONG_IN_A_SCENARIO[name]
    assert common_complaints(verdict(**changes), scenario=None, doubts_ceiling=0) == []


@pytest.mark.parametrize("name", INNOCENT)
def test_the_innocent_neighbour_is_no_complaint(name: str) -> None:
    scenario, changes = INNOCENT[name]
    assert common_complaints(verdict(**changes), scenario=scenario, doubts_ceiling=0) == []


@pytest.mark.parametrize(("name", "scenario"), [("parked", ENDING), ("refused", PARKING)])
def test_a_scenario_excuses_only_what_it_says(name: str, scenario: Scenario) -> None:
    changes, sentence = WRONG_IN_A_SCENARIO[name]
    assert common_complaints(verdict(**changes), scenario=scenario, doubts_ceiling=0) == [sentence]


@pytest.mark.parametrize("scenario", [SCENARIO, PARKING, ENDING], ids=["usual", "parks", "ends"])
@pytest.mark.parametrize(
    ("unknown", "flagged", "possible_duplicates", "doubts"),
    [(3, 0, 0, 3), (0, 3, 0, 3), (0, 0, 3, 3), (1, 2, 1, 3), (1, 1, 2, 3), (2, 2, 2, 4), (1, 0, 0, 1)],
)
def test_as_many_are_in_doubt_as_calls_were_in_flight_and_not_one_more(
    unknown: int, flagged: int, possible_duplicates: int, doubts: int, scenario: Scenario
) -> None:
    found = verdict(unknown=unknown, flagged=flagged, possible_duplicates=possible_duplicates)
    assert common_complaints(found, scenario=scenario, doubts_ceiling=doubts) == []
    assert common_complaints(found, scenario=scenario, doubts_ceiling=doubts - 1) == [
        f"{unknown} unknown and {doubts - unknown} possible duplicates, where {doubts - 1} "
        "calls can have been in doubt"
    ]


def test_every_complaint_is_told_and_not_only_the_first() -> None:
    everything = [*ALWAYS_WRONG.values(), *WRONG_IN_A_SCENARIO.values()]
    changes = {name: value for changes, _ in everything for name, value in changes.items()}
    told = common_complaints(verdict(**changes), scenario=SCENARIO, doubts_ceiling=0)
    # One sentence stands for all four ends that nobody asked for, and no recovery is not no fault.
    ours = {sentence for changes, sentence in everything if changes != {"recoveries": []}}
    assert {*told} == {sentence for sentence in ours if sentence != f"1 {NOBODY_ASKED}"}
    assert len(told) == len({*told})


@pytest.mark.parametrize(
    ("silences", "complaints"),
    [
        ({}, []),
        ({"reset": 3, "refused": 2}, []),
        ({"timeout": 0}, []),
        ({"timeout": 2, "reset": 3}, ["2 requests were not answered in time"]),
    ],
)
def test_only_silence_until_the_time_out_counts_as_hung(
    silences: dict[str, int], complaints: list[str]
) -> None:
    assert timed_out(verdict(silences=silences)) == complaints


def test_a_scenario_that_was_not_played_is_neither_green_nor_red() -> None:
    report = ScenarioReport.not_played(SCENARIO, reason="it needs root")
    assert (report.number, report.name, report.says) == (7, "kill", "a service is killed")
    assert (report.seconds, report.complaints, report.verdict) == (0.0, [], None)
    assert report.skipped == "it needs root"
    assert not report.is_green


def test_a_scenario_is_green_until_there_is_a_complaint() -> None:
    assert scenario_report().is_green
    assert not scenario_report(complaints=["1 lost"]).is_green


NOT_PLAYED = ScenarioReport.not_played(SCENARIO, reason="it needs root")


@pytest.mark.parametrize(
    ("report", "green"),
    [
        (proof_report(scenario_report(), scenario_report()), True),
        (proof_report(scenario_report(), NOT_PLAYED), True),
        (proof_report(scenario_report(), scenario_report(complaints=["1 lost"])), False),
        (proof_report(scenario_report(complaints=["1 lost"]), NOT_PLAYED), False),
        (proof_report(scenario_report(), complaints=["afterwards: 1 lost"]), False),
        (proof_report(NOT_PLAYED), False),
    ],
    ids=[
        "all green",
        "one not played",
        "one red",
        "one red, one not played",
        "red afterwards",
        "none played",
    ],
)
def test_a_proof_is_green_where_what_was_played_is(report: ProofReport, *, green: bool) -> None:
    assert report.is_green == green


def test_a_report_can_be_read_back() -> None:
    report = proof_report(scenario_report(), NOT_PLAYED)
    assert msgspec.json.decode(msgspec.json.encode(report), type=ProofReport) == report


def shown(report: ProofReport) -> str:
    """In a terminal."""
    with io.StringIO() as file:
        print_table(report, Console(file=file, width=150))
        return file.getvalue()


@pytest.mark.parametrize("form", [markdown, shown])
def test_the_table_tells_figures_complaints_and_what_was_not_played(
    form: Callable[[ProofReport], str],
) -> None:
    figures = {"sent_per_s": 271.5, "asked_per_s": 2100.0}
    red = scenario_report(complaints=["1 lost"], verdict=verdict(accepted=4711), figures=figures)

    text = form(proof_report(red, NOT_PLAYED, complaints=["afterwards: 2 stuck"]))

    assert "4711" in text
    for line in (
        "7 kill: sent per s 271.5, asked per s 2100",
        "7 kill: 1 lost",
        "7 kill: not played. it needs root",
        "afterwards: 2 stuck",
    ):
        assert line in text
    assert "sent per s" not in form(proof_report(scenario_report()))
