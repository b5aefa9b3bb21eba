"""What there is to serve on."""

import shutil
import subprocess
from typing import NamedTuple

_TOLERANCE = 0.95
# A data sheet's 80 GB are 81,559 MiB to the driver, its 141 GB 143,771 MiB.
_MIB = 1024


class Gpus(NamedTuple):
    """GPUs of one kind."""

    number: int
    """How many."""
    memory: float
    """Gigabytes of each."""

    def hold(self, count: int, memory: float) -> bool:
        """Whether they are at least so many of at least so much."""
        return self.number >= count and (not count or self.memory >= _TOLERANCE * memory)

    def __str__(self) -> str:
        return f"{self.number} x {self.memory:g} GB" if self.number else "no GPU"


NONE = Gpus(0, 0)


def find_gpus() -> Gpus:
    """The GPUs that NVIDIA's driver shows; of unequal ones, all count as the smallest."""
    program = shutil.which("nvidia-smi")
    if program is None:
        return NONE
    query = [program, "--query-gpu=memory.total", "--format=csv,noheader,nounits"]
    try:
        shown = subprocess.run(query, capture_output=True, text=True, timeout=30, check=True).stdout
        memories = [float(line) for line in shown.splitlines() if line.strip()]
    except (OSError, subprocess.SubprocessError, ValueError):  # a driver that does not answer shows no GPU
        return NONE
    return Gpus(len(memories), round(min(memories) / _MIB)) if memories else NONE
