"""The garbage collector rests while a process imports, and works again afterwards."""

import gc

import pytest

from shared.process.importing import without_collecting


def test_it_rests_meanwhile_and_works_again_but_for_what_was_imported() -> None:
    frozen = gc.get_freeze_count()
    with without_collecting():
        assert not gc.isenabled()
        lasting: list[list[int]] = [[] for _ in range(100)]
    assert gc.isenabled()
    assert gc.get_freeze_count() >= frozen + len(lasting)


def test_it_works_again_after_an_error() -> None:
    with pytest.raises(ImportError), without_collecting():
        raise ImportError("nowhere")
    assert gc.isenabled()


def test_who_had_switched_it_off_finds_it_off() -> None:
    gc.disable()
    try:
        with without_collecting():
            assert not gc.isenabled()
        assert not gc.isenabled()
    finally:
        gc.enable()
