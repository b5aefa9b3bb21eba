"""A folder with weights: whole, or what is missing or broken."""

import json
import struct
from pathlib import Path

import pytest

from trace2skill.errors import Trace2SkillError
from trace2skill.serving.weights import check_weights

LFS = b"version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 538090408\n"


def safetensors(*, missing: int = 0) -> bytes:
    """One tensor of eight bytes, of which some may be missing."""
    header = json.dumps({"__metadata__": {}, "w": {"dtype": "F32", "shape": [2], "data_offsets": [0, 8]}}).encode()
    return struct.pack("<Q", len(header)) + header + bytes(8 - missing)


def write_weights(folder: Path) -> None:
    """A small whole model in two shards."""
    shards = ["model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors"]
    for shard in shards:
        (folder / shard).write_bytes(safetensors())
    index = {"metadata": {}, "weight_map": dict(zip("ab", shards, strict=True))}
    (folder / "model.safetensors.index.json").write_text(json.dumps(index))
    (folder / "config.json").write_text('{"model_type": "llama"}')
    (folder / "tokenizer.json").write_text("{}")


def test_a_whole_model_passes(tmp_path: Path) -> None:
    write_weights(tmp_path)
    check_weights(tmp_path)


def test_a_folder_without_weights_says_what_is_missing(tmp_path: Path) -> None:
    (tmp_path / "config.json").touch()
    for folder, said in {
        tmp_path: "lacks weights (*.safetensors, pytorch_model*.bin) and a tokenizer",
        tmp_path / "config.json": "is no folder",
        tmp_path / "model.gguf": "is a GGUF file",
    }.items():
        with pytest.raises(Trace2SkillError, match="A weights folder is what") as raised:
            check_weights(folder)
        assert said in str(raised.value)


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("config.json", b"{}", "config.json names no model_type"),
        ("config.json", b"<html>", "config.json cannot be read"),
        ("config.json", b"[]", "config.json cannot be read"),
        ("model-00001-of-00002.safetensors", None, "names model-00001-of-00002.safetensors, which is missing"),
        ("model-00001-of-00002.safetensors", LFS, "model-00001-of-00002.safetensors is a pointer of git-lfs"),
        ("model-00001-of-00002.safetensors", b"", "model-00001-of-00002.safetensors is empty"),
        ("model-00001-of-00002.safetensors", b"\x10\0", "ends within its header"),
        ("model-00002-of-00002.safetensors", safetensors()[:30], "ends within its header"),
        ("model-00002-of-00002.safetensors", safetensors(missing=3), r"has \d+ bytes instead of \d+"),
        ("model-00002-of-00002.safetensors", b"<!DOCTYPE html><html></html>", "ends within its header"),
        ("model.safetensors.index.json", b"{}", "model.safetensors.index.json cannot be read"),
        ("tokenizer.json", LFS, "tokenizer.json is a pointer of git-lfs"),
        ("tokenizer.json", b'{"model', "tokenizer.json cannot be read"),
        ("pytorch_model.bin", LFS, "pytorch_model.bin is a pointer of git-lfs"),
    ],
)
def test_a_broken_download_is_named(tmp_path: Path, name: str, content: bytes | None, said: str) -> None:
    write_weights(tmp_path)
    if content is None:
        (tmp_path / name).unlink()
    else:
        (tmp_path / name).write_bytes(content)

    with pytest.raises(Trace2SkillError, match=rf"is not whole: .*{said}.*Download it again"):
        check_weights(tmp_path)


def test_a_link_to_nothing_is_a_missing_file(tmp_path: Path) -> None:
    write_weights(tmp_path)
    shard = tmp_path / "model-00002-of-00002.safetensors"
    shard.unlink()
    shard.symlink_to("../../blobs/0123")

    with pytest.raises(Trace2SkillError, match="which is missing"):
        check_weights(tmp_path)
