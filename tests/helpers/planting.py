"""A pytest plugin: a test that a mistake of the zoo names fails with the mistake planted.

``pytest -p planting TEST ...`` first runs each test with the methods of the wrong class in the
right one, for every mistake that names it, and then as it is.
"""
from contextlib import contextmanager

import pytest

from npvae.testing.zoo import ZOO


@contextmanager
def planted(mistake):
    """The methods of the wrong class in the place of those of the class that it derives from."""
    wrong = mistake.wrong
    with pytest.MonkeyPatch.context() as patch:
        for name, own in vars(wrong).items():
            if name == "__call__" or not name.startswith("_"):
                patch.setattr(wrong.__base__, name, own, raising=False)
        yield


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item):
    mine = [name for name, mistake in ZOO.items() if mistake.seen_by.endswith(item.nodeid)]
    assert mine, f"{item.nodeid} is named by no mistake"
    for name in mine:
        with planted(ZOO[name]):
            try:
                item.runtest()
            except AssertionError:
                continue
        pytest.fail(f"{item.nodeid} does not see {name}")
    return (yield)
