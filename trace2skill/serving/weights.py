"""A folder with weights, looked at before a server spends minutes on it."""

import json
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from trace2skill.errors import Trace2SkillError

_WEIGHTS = ("*.safetensors", "pytorch_model*.bin")
_TOKENIZERS = ("tokenizer.json", "tokenizer.model", "vocab.json", "tekken.json")
_INDICES = ("*.safetensors.index.json", "pytorch_model*.bin.index.json")
_LFS = b"version https://git-lfs"
# The format's own limit.
_HEADER_BYTES = 100_000_000
_SHOWN = 3
_FOLDER = (
    "A weights folder is what `hf download` writes: config.json, *.safetensors, and a tokenizer (tokenizer.json or "
    "the like). Files of the GGUF format must be converted first."
)


def check_weights(folder: Path) -> None:
    """Sees to it that a folder holds a whole model as the hub publishes them.

    Raises:
        Trace2SkillError: It does not; the message says what is missing or broken.
    """
    if folder.suffix == ".gguf":
        raise Trace2SkillError(f"--model {folder} is a GGUF file. {_FOLDER}")
    if not folder.is_dir():
        raise Trace2SkillError(f"--model {folder} is no folder. {_FOLDER}")
    lacking = [] if (folder / "config.json").is_file() else ["config.json"]
    for what, patterns in (("weights", _WEIGHTS), ("a tokenizer", _TOKENIZERS)):
        if not _files(folder, patterns):
            lacking.append(f"{what} ({', '.join(patterns)})")
    if lacking:
        raise Trace2SkillError(f"--model {folder} lacks {' and '.join(lacking)}. {_FOLDER}")
    if broken := list(_broken(folder)):
        more = f", and {len(broken) - _SHOWN} more" if len(broken) > _SHOWN else ""
        raise Trace2SkillError(
            f"--model {folder} is not whole: {'; '.join(broken[:_SHOWN])}{more}. Download it again: `hf download` goes "
            "on where it stopped, and `git lfs pull` fetches what pointers stand for."
        )


def _files(folder: Path, patterns: tuple[str, ...]) -> list[Path]:
    return sorted(path for pattern in patterns for path in folder.glob(pattern))


def _broken(folder: Path) -> Iterator[str]:
    """What is wrong with which file."""
    for path in _files(folder, ("config.json", *_INDICES, *_WEIGHTS, *_TOKENIZERS)):
        try:
            problem = _problem(path)
        except (OSError, ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
            problem = f"cannot be read ({error})"
        if problem:
            yield f"{path.name} {problem}"


def _problem(path: Path) -> str:
    with path.open("rb") as file:
        start = file.read(len(_LFS))
    if not start:
        return "is empty"
    if start == _LFS:
        return "is a pointer of git-lfs instead of the file"
    if path.suffix == ".safetensors":
        return _cut(path)
    if path.suffix != ".json":
        return ""
    content: dict[str, Any] = json.loads(path.read_bytes())
    if path.name == "config.json":
        return "" if isinstance(content.get("model_type"), str) else "names no model_type"
    if path.name.endswith(".index.json"):
        missing = sorted({str(name) for name in content["weight_map"].values() if not (path.parent / name).is_file()})
        return (
            f"names {', '.join(missing[:_SHOWN])}, which {'is' if len(missing) == 1 else 'are'} missing"
            if missing
            else ""
        )
    return ""


def _cut(path: Path) -> str:
    """Whether a file of the safetensors format ends where its header says."""
    size = path.stat().st_size
    with path.open("rb") as file:
        first = file.read(8)
        length = struct.unpack("<Q", first)[0] if len(first) == 8 else size
        if 8 + length > size or length > _HEADER_BYTES:
            return "ends within its header"
        header: dict[str, Any] = json.loads(file.read(length))
    ends = [tensor["data_offsets"][1] for name, tensor in header.items() if name != "__metadata__"]
    whole = 8 + length + max(ends, default=0)
    return "" if size == whole else f"has {size:,} bytes instead of {whole:,}"
