"""Limits as options."""

import pytest
from pydantic import ValidationError

from evals.sandbox.limits import BubblewrapLimits, is_root, limit_options


def test_limits_are_options_of_prlimit() -> None:
    options = limit_options(BubblewrapLimits(memory_mib=1, processes=7))
    assert "--data=1048576" in options
    assert "--core=0" in options
    assert ("--nproc=7" in options) or not is_root()


def test_a_full_sample_writes_no_byte() -> None:
    assert "--fsize=0" in limit_options(BubblewrapLimits(), full=True)
    assert "--fsize=0" not in limit_options(BubblewrapLimits())


def test_limits_are_positive() -> None:
    with pytest.raises(ValidationError):
        BubblewrapLimits(memory_mib=0)
