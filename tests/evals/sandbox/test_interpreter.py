"""The Python that is copied for the sandbox."""

import importlib.util
import marshal
import os
import re
import time
from importlib.metadata import distribution
from pathlib import Path

import pytest

from evals.sandbox import interpreter
from evals.sandbox.copying import compile_for, place
from evals.sandbox.interpreter import PROMISED, promised_distributions, sandbox_python
from evals.sandbox.select import COMPOSE_FILE
from trace2skill.errors import Trace2SkillError


def test_docker_promises_the_same() -> None:
    text = COMPOSE_FILE.with_name("Dockerfile").read_text()
    assert sorted(re.findall(r'"([\w-]+)>=', text)) == sorted(PROMISED)


def test_requirements_come_along() -> None:
    assert {*PROMISED, "et-xmlfile", "python-dateutil", "six"} <= promised_distributions().keys()
    assert promised_distributions().keys() <= {*PROMISED, "et-xmlfile", "python-dateutil", "six", "tzdata"}


def test_a_missing_library_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(PROMISED, "no-such-library", "nothing")
    with pytest.raises(Trace2SkillError, match="no-such-library"):
        promised_distributions()


def test_a_library_without_a_record_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(type(distribution("openpyxl")), "files", None)
    with pytest.raises(Trace2SkillError, match="no record"):
        promised_distributions()


def test_everybody_can_read_the_copy() -> None:
    paths = [path for path in sandbox_python().rglob("*") if not path.is_symlink()]
    assert len(paths) > 1000
    assert [path for path in paths if path.stat().st_mode & 0o004 == 0] == []
    assert [path for path in paths if path.is_dir() and path.stat().st_mode & 0o777 != 0o755] == []


def test_the_copy_holds_no_tests_and_no_installer() -> None:
    names = {path.name for path in sandbox_python().rglob("*")}
    assert not names & {"direct_url.json", "ensurepip", "idlelib", "pip", "site-packages.pth"}
    assert not {path for path in sandbox_python().rglob("tests") if "json" in path.parts or "pandas" in path.parts}


def test_a_cache_that_cannot_be_written_is_reported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "trace2skill").write_text("a file")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    with pytest.raises(Trace2SkillError, match="XDG_CACHE_HOME"):
        interpreter.sandbox_python.__wrapped__()


def test_old_copies_go(tmp_path: Path) -> None:
    for name, days in (("old", 31), ("new", 1)):
        (tmp_path / name / "lib").mkdir(parents=True)
        os.utime(tmp_path / name, times=(time.time() - days * 86400,) * 2)
    interpreter._remove_old(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["new"]


@pytest.mark.parametrize("compiled", [True, False])
def test_compiled_files_name_the_place_in_the_sandbox(compiled: bool, tmp_path: Path) -> None:
    source = tmp_path / "host" / "module.py"
    source.parent.mkdir()
    source.write_text("def f():\n    return (lambda: 1)()\n")
    if compiled:
        cached = Path(importlib.util.cache_from_source(str(source)))
        cached.parent.mkdir()
        stamp = int(source.stat().st_mtime).to_bytes(4, "little") + source.stat().st_size.to_bytes(4, "little")
        code = compile("def f():\n    return (lambda: 2)()\n", str(source), "exec")
        cached.write_bytes(importlib.util.MAGIC_NUMBER + bytes(4) + stamp + marshal.dumps(code))
    copied = tmp_path / "copy" / "module.py"
    place(source, copied)
    compile_for(source, copied, "/opt/python/module.py")
    data = Path(importlib.util.cache_from_source(str(copied))).read_bytes()
    assert str(tmp_path).encode() not in data
    names: dict[str, object] = {}
    exec(marshal.loads(data[16:]), names)
    function = names["f"]
    assert callable(function)
    assert function() == (2 if compiled else 1)
    assert function.__code__.co_filename == "/opt/python/module.py"


def test_what_is_no_python_is_not_compiled(tmp_path: Path) -> None:
    source = tmp_path / "template.py"
    source.write_text("class {{ name }}:\n")
    compile_for(source, source, "/x.py")
    assert list(tmp_path.iterdir()) == [source]


def test_a_library_that_others_cannot_read_is_copied(tmp_path: Path) -> None:
    for name, mode in (("open.so", 0o644), ("closed.cpython-311.so", 0o600)):
        (tmp_path / name).write_text("x")
        (tmp_path / name).chmod(mode)
        place(tmp_path / name, tmp_path / "copy" / name)
        assert (tmp_path / "copy" / name).stat().st_mode & 0o777 == 0o644
    assert (tmp_path / "open.so").samefile(tmp_path / "copy" / "open.so")
    assert not (tmp_path / "closed.cpython-311.so").samefile(tmp_path / "copy" / "closed.cpython-311.so")
