"""Requests to end: what raises what, what is held back, and what is left as it was."""
import os
import signal

import pytest

from npvae.interrupts import Terminated, interrupts, terminable

pytestmark = pytest.mark.skipif(os.name != "posix", reason="signals as POSIX has them")
SIGNALS = [signal.SIGTERM, signal.SIGHUP]


@pytest.mark.parametrize("number", SIGNALS)
def test_a_request_to_end_is_a_keyboard_interrupt(number):
    with pytest.raises(KeyboardInterrupt) as caught, terminable():
        signal.raise_signal(number)
    assert isinstance(caught.value, Terminated) and caught.value.number == number
    assert signal.getsignal(number) is signal.SIG_DFL


@pytest.mark.parametrize("number", SIGNALS)
@pytest.mark.parametrize("handler", [signal.SIG_IGN, lambda *_: None])
def test_what_a_user_said_of_a_signal_stays(handler, number):
    """nohup ignores SIGHUP; a program may have a handler of its own."""
    before = signal.signal(number, handler)
    try:
        with terminable(), interrupts() as interrupted:
            signal.raise_signal(number)
            assert not interrupted() and signal.getsignal(number) is handler
        assert signal.getsignal(number) is handler
    finally:
        signal.signal(number, before)


def test_ctrl_c_that_is_ignored_stays_ignored():
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        with interrupts() as interrupted:
            signal.raise_signal(signal.SIGINT)
            assert not interrupted()
    finally:
        signal.signal(signal.SIGINT, before)


@pytest.mark.parametrize("number", [signal.SIGINT, *SIGNALS])
@pytest.mark.parametrize("second", [signal.SIGINT, *SIGNALS])
def test_the_first_is_held_back_and_a_second_is_not(number, second):
    with terminable():
        with pytest.raises(KeyboardInterrupt), interrupts() as interrupted:
            signal.raise_signal(number)
            assert interrupted()
        reached = []
        with pytest.raises(KeyboardInterrupt), interrupts():
            signal.raise_signal(number)
            reached.append(1)
            signal.raise_signal(second)
            reached.append(2)
        assert reached == [1]
