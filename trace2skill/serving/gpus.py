"""What there is to serve on."""

import os
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from typing import NamedTuple

_TOLERANCE = 0.92
# A data sheet's 80 GB are 81,559 MiB to the driver. Where memory corrects its errors (ECC) and the driver keeps some,
# 48 GB are 46,068 MiB and 24 GB 22,731 MiB.
_MIB = 1024
_SECONDS = 30
_VISIBLE = "CUDA_VISIBLE_DEVICES"


class Gpus(NamedTuple):
    """GPUs of one kind."""

    number: int
    """How many."""
    memory: float
    """Gigabytes of each."""
    indices: tuple[int, ...] = ()
    """The driver's numbers of them, where others are left out."""
    beside: str = ""
    """What there is besides."""
    problem: str = ""
    """Why the driver does not show all that there is."""

    def hold(self, count: int, memory: float) -> bool:
        """Whether they are at least so many of at least so much."""
        return self.number >= count and (not count or self.memory >= _TOLERANCE * memory)

    @property
    def environment(self) -> Mapping[str, str]:
        """Environment variables with which a program uses these and not the others."""
        if not self.indices:
            return {}
        return {"CUDA_DEVICE_ORDER": "PCI_BUS_ID", _VISIBLE: ",".join(map(str, self.indices))}

    def __str__(self) -> str:
        number = f"{self.number} x {self.memory:.0f} GB" if self.number else "no GPU"
        notes = "; ".join(filter(None, (self.beside, self.problem)))
        return f"{number} ({notes})" if notes else number


NONE = Gpus(0, 0)


class _Card(NamedTuple):
    number: int
    uuid: str
    memory: float


def find_gpus() -> Gpus:
    """The GPUs that NVIDIA's driver shows and `CUDA_VISIBLE_DEVICES` allows; of unequal ones the strongest group."""
    program = shutil.which("nvidia-smi")
    if program is None:
        return NONE
    query = [program, "--query-gpu=index,uuid,memory.total", "--format=csv,noheader,nounits"]
    try:
        result = subprocess.run(query, capture_output=True, text=True, errors="replace", timeout=_SECONDS, check=False)
    except (OSError, subprocess.SubprocessError) as error:
        return NONE._replace(problem=f"nvidia-smi fails: {error}")
    if result.returncode:
        said = " ".join(f"{result.stdout} {result.stderr}".split())
        return NONE._replace(problem=f"nvidia-smi fails with exit code {result.returncode}: {said or 'no word'}")
    cards, unread = _read(result.stdout)
    allowed = os.environ.get(_VISIBLE)
    visible = cards if allowed is None else _visible(cards, allowed)
    groups = [[card for card in visible if _TOLERANCE * most.memory <= card.memory <= most.memory] for most in visible]
    used = max(groups, key=lambda group: sum(card.memory for card in group), default=[])
    others = [card for card in visible if card not in used]
    hidden = len(cards) - len(visible)
    beside = [f"{hidden} hidden by {_VISIBLE}={allowed}"] if hidden else []
    beside += [f"left out: GPU {card.number} with {card.memory:.0f} GB" for card in others]
    return Gpus(
        number=len(used),
        memory=min((card.memory for card in used), default=0),
        indices=tuple(card.number for card in used) if others else (),
        beside=", ".join(beside),
        problem=f"nvidia-smi does not tell the memory of {'; '.join(unread)}" if unread else "",
    )


def _read(shown: str) -> tuple[list[_Card], list[str]]:
    """The cards that nvidia-smi lists, and its lines that list none."""
    cards, unread = [], []
    for line in filter(str.strip, shown.splitlines()):
        try:
            number, uuid, mib = (part.strip() for part in line.split(","))
            cards.append(_Card(int(number), uuid, float(mib) / _MIB))
        except ValueError:
            unread.append(line.strip())
    return cards, unread


def _visible(cards: Sequence[_Card], allowed: str) -> list[_Card]:
    """Cards by their numbers or the beginnings of their UUIDs; as for CUDA, the first name of none ends the list."""
    visible: list[_Card] = []
    for name in map(str.strip, allowed.split(",")):
        found = [card for card in cards if name == str(card.number) or (name and card.uuid.startswith(name))]
        if len(found) != 1 or found[0] in visible:
            break
        visible += found
    return visible
