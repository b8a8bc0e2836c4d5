import os
import signal
import threading
import time
from contextlib import suppress

import pytest

from vitlab.engine.stop import GracefulStop, stop_at_end_of
from vitlab.errors import Interrupted


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGUSR1])
def test_before_the_loop_a_signal_ends_the_run_at_once(number):
    with GracefulStop() as stop, pytest.raises(Interrupted) as caught, stop.at_once():
        os.kill(os.getpid(), number)
    assert caught.value.signum == number


@pytest.mark.parametrize("broken", [ImportError("half imported"), None])
def test_before_the_loop_a_signal_counts_also_when_the_code_it_struck_made_something_else_of_it(broken):
    def struck():
        with suppress(Interrupted):
            os.kill(os.getpid(), signal.SIGTERM)
        if broken:
            raise broken

    with GracefulStop() as stop, pytest.raises(Interrupted) as caught, stop.at_once():
        struck()
    assert caught.value.signum == signal.SIGTERM


def test_before_the_loop_an_error_without_a_signal_stays_that_error():
    with GracefulStop() as stop, pytest.raises(ImportError), stop.at_once():
        raise ImportError
    assert not stop.requested


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGUSR1])
def test_in_the_loop_a_signal_waits_until_it_is_obeyed(number):
    with GracefulStop() as stop:
        stop.obey()
        os.kill(os.getpid(), number)
        assert stop.requested
        with pytest.raises(Interrupted) as caught:
            stop.obey()
    assert caught.value.signum == number


@pytest.mark.parametrize("first", [signal.SIGINT, signal.SIGTERM])
def test_a_second_ctrl_c_never_waits(first):
    with GracefulStop():
        os.kill(os.getpid(), first)
        with pytest.raises(Interrupted) as caught:
            os.kill(os.getpid(), signal.SIGINT)
    assert caught.value.signum == signal.SIGINT


@pytest.mark.parametrize("first", [signal.SIGINT, signal.SIGTERM, signal.SIGUSR1])
@pytest.mark.parametrize("again", [signal.SIGTERM, signal.SIGUSR1])
def test_what_a_cluster_sends_again_is_the_same_request(first, again):
    with GracefulStop() as stop:
        os.kill(os.getpid(), first)
        os.kill(os.getpid(), again)
        with pytest.raises(Interrupted) as caught:
            stop.obey()
    assert caught.value.signum == first


def test_under_torchrun_which_passes_it_on_a_second_ctrl_c_is_the_same_request(monkeypatch):
    monkeypatch.setenv("TORCHELASTIC_RUN_ID", "1")
    with GracefulStop() as stop:
        os.kill(os.getpid(), signal.SIGINT)
        os.kill(os.getpid(), signal.SIGINT)
        with pytest.raises(Interrupted):
            stop.obey()


def test_the_handlers_of_before_come_back():
    before = signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)
    with GracefulStop():
        assert signal.getsignal(signal.SIGINT) != before[0]
    assert (signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)) == before


def test_outside_the_main_thread_it_does_nothing():
    seen = []

    def use():
        with GracefulStop() as stop:
            seen.append(stop.requested)

    thread = threading.Thread(target=use)
    thread.start()
    thread.join()
    assert seen == [False]


def test_the_end_of_a_pipe_is_a_request_to_stop_and_bytes_in_it_are_not():
    reader, writer = os.pipe()
    with GracefulStop() as stop:
        stop_at_end_of(reader)
        os.write(writer, b"x")
        time.sleep(0.2)
        assert not stop.requested
        os.close(writer)
        end = time.monotonic() + 10
        while not stop.requested:
            assert time.monotonic() < end
            time.sleep(0.01)
        with pytest.raises(Interrupted) as caught:
            stop.obey()
    assert caught.value.signum == signal.SIGTERM
    os.close(reader)
