"""Comparisons in processes of their own."""

import os
import signal
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from statistics import fmean

import pytest

from evals.data import check_choice
from evals.graders.worker import PROCESSES, WorkerEndedError, Workers
from trace2skill.errors import DataError


@pytest.fixture(scope="module")
def workers() -> Iterator[Workers]:
    pool = Workers()
    yield pool
    pool.stop()
    assert pool.idle == []


def test_a_function_runs_in_another_process_that_is_kept(workers: Workers) -> None:
    first = workers.call(os.getpid)

    assert first != os.getpid()
    assert workers.call(os.getpid) == first
    assert workers.call(fmean, [1.0, 2.0, 6.0]) == 3


def test_what_it_raises_arrives(workers: Workers) -> None:
    with pytest.raises(ZeroDivisionError):
        workers.call(divmod, 1, 0)
    with pytest.raises(DataError, match="skill_mode"):
        workers.call(check_choice, "skill_mode", "sometimes", ("preload", "tool"))


def test_what_it_prints_does_no_harm(workers: Workers) -> None:
    assert workers.call(print, "between the answers") is None
    assert workers.call(fmean, [2.0]) == 2


def test_a_process_that_dies_is_an_error_and_is_replaced(workers: Workers) -> None:
    with pytest.raises(WorkerEndedError, match="The process that ran _exit ended with status 3") as caught:
        workers.call(os._exit, 3)
    assert caught.value.status == 3
    first = workers.call(os.getpid)
    os.kill(first, signal.SIGKILL)
    os.waitid(os.P_PID, first, os.WEXITED | os.WNOWAIT)

    assert workers.call(os.getpid) != first


def test_a_call_is_limited_in_time_and_memory(workers: Workers) -> None:
    with pytest.raises(WorkerEndedError, match=r"ended with status -27\. It took more than 600 s of processor time"):
        workers.call(signal.raise_signal, signal.SIGPROF)
    with pytest.raises(WorkerEndedError, match=r"ended with status -14\. It took more than 1800 s"):
        workers.call(signal.raise_signal, signal.SIGALRM)
    with pytest.raises(RuntimeError, match="bytearray needs more than 8 GiB of memory"):
        workers.call(bytearray, 9 * 1024**3)
    assert workers.call(fmean, [2.0]) == 2


def test_many_threads_share_a_few_processes(workers: Workers) -> None:
    with ThreadPoolExecutor(8) as pool:
        found = set(pool.map(lambda _: workers.call(os.getpid), range(40)))

    assert 1 <= len(found) <= PROCESSES


async def test_the_event_loop_waits_without_blocking(workers: Workers) -> None:
    assert await workers.run(fmean, [1.0, 3.0]) == 2
