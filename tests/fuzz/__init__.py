"""Fuzzing of the readers of foreign bytes: `python -m tests.fuzz log --minutes 10`."""
