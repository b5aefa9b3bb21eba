"""Folders of any shape are measured and removed."""

import os
from pathlib import Path
from typing import Any

import pytest

from evals.sandbox.trees import MAX_DEPTH, measure, remove_tree


def nest(path: Path, depth: int) -> None:
    home = Path.cwd()
    os.chdir(path)
    for _ in range(depth):
        Path("a-name-of-some-length").mkdir()
        os.chdir("a-name-of-some-length")
    Path("file").write_text("x")
    os.chdir(home)


def test_a_tree_deeper_than_a_path_can_be_long_is_removed(tmp_path: Path) -> None:
    folder = tmp_path / "folder"
    for name in ("one", "two"):
        (folder / name).mkdir(parents=True)
        nest(folder / name, 3000)
    remove_tree(folder)
    assert list(tmp_path.iterdir()) == []


def test_links_are_removed_and_not_followed(tmp_path: Path) -> None:
    kept = tmp_path / "kept"
    kept.mkdir(mode=0o750)
    (kept / "file").write_text("x")
    folder = tmp_path / "folder"
    (folder / "inner").mkdir(parents=True)
    for place in (folder, folder / "inner"):
        (place / "link").symlink_to(kept)
        (place / "file link").symlink_to(kept / "file")
        (place / "broken").symlink_to("nowhere")
        os.mkfifo(place / "pipe")
    assert measure([folder, folder / "link"], 1000).files == 9
    remove_tree(folder)
    assert [path.name for path in tmp_path.iterdir()] == ["kept"]
    assert (kept / "file").read_text() == "x"
    assert kept.stat().st_mode & 0o777 == 0o750


def test_a_link_in_place_of_the_folder_is_refused(tmp_path: Path) -> None:
    (tmp_path / "kept").mkdir()
    (tmp_path / "link").symlink_to("kept")
    with pytest.raises(NotADirectoryError):
        remove_tree(tmp_path / "link")
    assert (tmp_path / "kept").exists()


def test_closed_folders_are_measured_and_removed(tmp_path: Path) -> None:
    folder = tmp_path / "folder"
    (folder / "a" / "b").mkdir(parents=True)
    (folder / "a" / "b" / "file").write_bytes(b"x" * 10_000)
    for path in (folder / "a" / "b", folder / "a", folder):
        path.chmod(0)
    usage = measure([folder], 1000)
    assert usage.files == 3
    assert usage.size >= 10_000
    (folder / "a").chmod(0)
    remove_tree(folder)
    assert list(tmp_path.iterdir()) == []


def test_a_file_with_two_names_counts_once(tmp_path: Path) -> None:
    (tmp_path / "one").write_bytes(b"x" * 100_000)
    (tmp_path / "two").hardlink_to(tmp_path / "one")
    usage = measure([tmp_path], 1000)
    assert 100_000 <= usage.size < 200_000
    assert usage.files == 2


def test_what_vanishes_hides_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("a", "b", "c"):
        (tmp_path / name).write_bytes(b"x" * 10_000)
    look = os.stat
    gone = iter([True, False, False])

    def stat(*arguments: Any, **options: Any) -> os.stat_result:
        if options.get("dir_fd") is not None and next(gone):
            raise FileNotFoundError
        return look(*arguments, **options)

    monkeypatch.setattr(os, "stat", stat)
    assert measure([tmp_path], 1000).size >= 20_000


def test_counting_ends_above_the_limit(tmp_path: Path) -> None:
    for number in range(20):
        (tmp_path / str(number)).touch()
    assert measure([tmp_path], 5).files == 6
    nest(tmp_path, MAX_DEPTH + 2)
    assert measure([tmp_path], 1000).too_deep
    assert measure([tmp_path / "missing"], 1000).files == 0
