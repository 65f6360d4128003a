"""2,000 damaged and forged files: each is read right or refused in one line, at little cost.

``python benchmarks/fuzz.py`` tries 100,000 in the same way; ``benchmarks/fuzzing`` says what they
are and by which other readers they are judged.
"""
import sys
from dataclasses import replace

import pytest
from fuzzing.targets import targets
from fuzzing.trial import FAULTS, ROOM, peak, trial

MUTANTS = 2000


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("fuzz")


@pytest.fixture(scope="module")
def kinds(folder):
    return targets(folder)


@pytest.mark.parametrize("part", range(4))
def test_no_mutant_is_at_fault(folder, kinds, part):
    """A fault is a wrong answer, an error that is not npvae's, a second, or memory by the bomb."""
    faults = []
    for number in range(part, MUTANTS, 4):
        verdict = trial(kinds[number // 4 % len(kinds)], folder, 1, number)
        if verdict.outcome in FAULTS:
            faults.append((number, verdict))
    assert not faults


def test_the_files_that_mutants_are_made_of_are_read(folder, kinds):
    for target in kinds:
        path = folder / target.file
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(target.content)
        assert target.wrong(path, target.read(path)) is None


def test_most_kinds_are_both_refused_and_read(folder, kinds):
    """Mutants that were all refused at once would show nothing."""
    for target in kinds:
        outcomes = {trial(target, folder, 2, number).outcome for number in range(60)}
        assert {"refused", "legal"} <= outcomes or target.name == "idx, published"


@pytest.mark.skipif(sys.platform != "linux", reason="Linux alone says what memory is resident")
def test_memory_is_measured():
    before = peak(reset=True)
    held = b"x" * int(ROOM)
    assert 0.9 * ROOM < peak() - before < 1.1 * ROOM
    del held
    assert peak(reset=True) < before + 0.1 * ROOM


@pytest.mark.parametrize("fault", ["wrong", "foreign"])
def test_a_fault_is_found(folder, kinds, fault):
    """A reader that believes everything, and one that trips, are told from npvae's."""
    good = next(target for target in kinds if target.name == "npz")
    copy = folder / "good.npz"
    copy.write_bytes(good.content)
    answer = good.read(copy)
    readers = {"wrong": lambda path: answer, "foreign": lambda path: 1 / 0}
    bad = replace(good, read=readers[fault])
    outcomes = {trial(bad, folder, 0, number).outcome for number in range(20)}
    assert fault in outcomes
