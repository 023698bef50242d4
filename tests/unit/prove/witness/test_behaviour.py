"""Which rule decides on a message."""

import msgspec
import pytest

from carillon.prove.witness.behaviour import Behaviour, Do, Rule

MARKS = [f"mark{number:06d}" for number in range(2000)]


def decisions(behaviour: Behaviour, marks: list[str]) -> dict[str, Do]:
    return {mark: behaviour.for_message(mark, ("ann@example.com",)).do for mark in marks}


def test_without_a_rule_everything_is_accepted() -> None:
    assert Behaviour().for_message("aaaaaaaa", ("ann@example.com",)).do is Do.ACCEPT
    assert not Behaviour().refuses_connection()


def test_the_first_rule_that_fits_decides() -> None:
    rules = (Rule(do=Do.HANG, match="other"), Rule(do=Do.REFUSE), Rule(do=Do.RESET))
    assert Behaviour(rules).for_message("aaaaaaaa", ()).do is Do.REFUSE


@pytest.mark.parametrize(
    ("rule", "mark", "recipients", "fits"),
    [
        (Rule(do=Do.REFUSE, match="bad"), "abadmark", ("ann@x",), True),
        (Rule(do=Do.REFUSE, match="bad"), "goodmark", ("bad@x",), False),
        (Rule(do=Do.REFUSE, recipient="ann"), "goodmark", ("bob@x", "ann@x"), True),
        (Rule(do=Do.REFUSE, recipient="ann"), "annannan", ("bob@x",), False),
        (Rule(do=Do.REFUSE, match="bad", recipient="ann"), "abadmark", ("bob@x",), False),
        (Rule(do=Do.REFUSE, share=0), "goodmark", ("ann@x",), False),
    ],
)
def test_a_rule_fits_by_mark_and_recipient(
    rule: Rule, mark: str, recipients: tuple[str, ...], fits: bool
) -> None:
    assert (Behaviour((rule,)).for_message(mark, recipients) == rule) is fits


def test_first_is_counted_for_each_mark_of_its_own() -> None:
    behaviour = Behaviour((Rule(do=Do.TROUBLE, first=2),))
    calls = [behaviour.for_message(mark, ()).do for mark in ("a" * 8, "b" * 8, "a" * 8, "a" * 8, "b" * 8)]
    assert calls == [Do.TROUBLE, Do.TROUBLE, Do.TROUBLE, Do.ACCEPT, Do.TROUBLE]


def test_same_seed_decides_the_same_in_whatever_order_the_marks_come() -> None:
    rules = (Rule(do=Do.HANG, share=0.2), Rule(do=Do.RESET, share=0.5))
    once = decisions(Behaviour(rules, seed=7), MARKS)
    assert decisions(Behaviour(rules, seed=7), MARKS[::-1]) == once
    assert decisions(Behaviour(rules, seed=8), MARKS) != once


def test_a_share_is_of_what_earlier_rules_left() -> None:
    rules = (Rule(do=Do.HANG, share=0.2), Rule(do=Do.RESET, share=0.5))
    done = list(decisions(Behaviour(rules, seed=7), MARKS).values())
    assert done.count(Do.HANG) == pytest.approx(400, abs=100)
    assert done.count(Do.RESET) == pytest.approx(800, abs=120)


def test_each_call_of_a_mark_has_its_own_chance() -> None:
    behaviour = Behaviour((Rule(do=Do.RESET, share=0.5),), seed=1)
    done = [behaviour.for_message("aaaaaaaa", ()).do for _ in range(100)]
    assert 20 < done.count(Do.RESET) < 80


def test_greetings_are_refused_by_their_own_rules_only() -> None:
    behaviour = Behaviour((Rule(do=Do.HANG), Rule(do=Do.REFUSE_GREETING, first=2)))
    assert [behaviour.refuses_connection() for _ in range(3)] == [True, True, False]
    greeting = Behaviour((Rule(do=Do.REFUSE_GREETING),))
    assert greeting.for_message("aaaaaaaa", ()).do is Do.ACCEPT


@pytest.mark.parametrize(
    "wrong", ['{"do":"vanish"}', '{"do":"hang","share":2}', '{"do":"hang","first":0}', '{"do":"hang","x":1}']
)
def test_a_rule_that_means_nothing_is_refused(wrong: str) -> None:
    with pytest.raises(msgspec.ValidationError):
        msgspec.json.decode(wrong, type=Rule)
