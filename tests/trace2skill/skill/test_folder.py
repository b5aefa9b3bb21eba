import hashlib
import json
import os
import shutil
from pathlib import Path

import pytest

from trace2skill.errors import SkillError
from trace2skill.skill.folder import Skill, check_skill, find_skill_folder, linked_paths, load_skill, save_skill

MAIN = b"---\nname: demo\ndescription: What it does.\n---\n# Demo\n\nText.\n"
CORPUS = Path(__file__).parents[3] / "../shared/data/skills-corpus"


def write(folder: Path, **files: bytes) -> Path:
    for name, data in {"SKILL.md": MAIN, **files}.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    return folder


def test_load_reads_every_file(tmp_path: Path) -> None:
    folder = write(tmp_path / "demo", **{"scripts/run.py": b"#!\n", "references/a.md": b"a\r\nb", "x.bin": b"\xff\0"})
    (folder / "scripts/run.py").chmod(0o755)
    (folder / "scripts/__pycache__").mkdir()
    (folder / "scripts/__pycache__/run.pyc").write_bytes(b"x")
    skill = load_skill(folder)
    assert (skill.name, skill.description) == ("demo", "What it does.")
    assert list(skill.files) == ["SKILL.md", "references/a.md", "scripts/run.py", "x.bin"]
    assert skill.executable == {"scripts/run.py"}
    assert skill.lines("references/a.md") == ("a", "b")
    assert skill.text("references/a.md") == "a\r\nb"
    assert not skill.is_text("x.bin")
    assert check_skill(skill) == []


def test_load_accepts_skill_md_and_run_folder(tmp_path: Path) -> None:
    write(tmp_path / "run/skills/demo")
    (tmp_path / "run/manifest.json").write_text(json.dumps({"skill": "skills/demo"}))
    direct = load_skill(tmp_path / "run/skills/demo")
    assert load_skill(tmp_path / "run/skills/demo/SKILL.md") == direct
    assert load_skill(str(tmp_path / "run")) == direct


def test_load_relative_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(write(tmp_path / "demo", **{"references/a.md": b""}))
    assert load_skill(".").name == "demo"
    assert load_skill("references/..").name == "demo"


@pytest.mark.parametrize(
    ("files", "message"),
    [
        ({"SKILL.md": b""}, "must start with YAML frontmatter"),
        ({"SKILL.md": b"# No frontmatter\n"}, "must start with YAML frontmatter"),
        ({"SKILL.md": b"../other/SKILL.md"}, "target of a link"),
        ({"SKILL.md": b"---\nname: demo\n"}, "must start with YAML frontmatter"),
        ({"SKILL.md": b"---\nname: [\n---\n"}, "must start with YAML frontmatter"),
        ({"SKILL.md": b"---\nname: " + b"[" * 5000 + b"\n---\n"}, "must start with YAML frontmatter"),
        ({"SKILL.md": b"---\nname: demo\n---\n"}, "`description:`"),
        ({"SKILL.md": b"---\ndescription: x\n---\n"}, "`name:`"),
        ({"SKILL.md": b"---\nname: [a]\ndescription: x\n---\n"}, "`name:`"),
        ({"SKILL.md": b"---\nname: demo\ndescription: \xff\n---\n"}, "must be UTF-8"),
        ({"SKILL.md": MAIN.replace(b"demo", b"other")}, "must be named like its skill"),
    ],
)
def test_load_refuses_a_malformed_skill_md(tmp_path: Path, files: dict[str, bytes], message: str) -> None:
    with pytest.raises(SkillError, match=message):
        load_skill(write(tmp_path / "demo", **files))


def test_load_refuses_what_is_no_skill(tmp_path: Path) -> None:
    with pytest.raises(SkillError, match="does not exist"):
        load_skill(tmp_path / "gone")
    (tmp_path / "empty").mkdir()
    with pytest.raises(SkillError, match=r"has no SKILL\.md"):
        load_skill(tmp_path / "empty")
    (tmp_path / "empty/skill.md").write_bytes(MAIN)
    with pytest.raises(SkillError, match=r"Rename skill\.md"):
        load_skill(tmp_path / "empty")
    with pytest.raises(SkillError, match="it is a file"):
        load_skill(tmp_path / "empty/skill.md")


@pytest.mark.parametrize(
    ("manifest", "message"),
    [
        ("{", "cannot be read"),
        ("[]", "no manifest"),
        ('{"skill": 1}', "no manifest"),
        ('{"skill": "../out"}', "folder of the run"),
        ('{"skill": "gone"}', "does not exist"),
    ],
)
def test_load_refuses_a_bad_run(tmp_path: Path, manifest: str, message: str) -> None:
    (tmp_path / "run").mkdir()
    (tmp_path / "run/manifest.json").write_text(manifest)
    with pytest.raises(SkillError, match=message):
        load_skill(tmp_path / "run")


def test_load_follows_no_links(tmp_path: Path) -> None:
    (tmp_path / "secret").write_bytes(b"x")
    for link in ("SKILL.md", "references"):
        folder = write(tmp_path / link / "demo")
        (folder / link).unlink(missing_ok=True)
        (folder / link).symlink_to(tmp_path / "secret")
        with pytest.raises(SkillError, match="is a link"):
            load_skill(folder)


def test_load_refuses_special_files(tmp_path: Path) -> None:
    os.mkfifo(write(tmp_path / "demo") / "pipe")
    with pytest.raises(SkillError, match="no plain file"):
        load_skill(tmp_path / "demo")


@pytest.mark.parametrize("path", ["../x", "/x", "a/../x", "a//b", "", ".", "a\\b", "a\0b", "\udcff", "SKILL.md/x"])
def test_unsafe_paths_make_no_skill(path: str) -> None:
    with pytest.raises(SkillError):
        Skill.from_files({"SKILL.md": MAIN, path: b""})


def test_digest_is_of_paths_and_bytes() -> None:
    skill = Skill.from_files({"a": b"bc", "SKILL.md": MAIN})
    expected = hashlib.sha256(b"8:%d:SKILL.md" % len(MAIN) + MAIN + b"1:2:abc").hexdigest()
    assert skill.digest == expected
    assert skill.digest == Skill.from_files({"SKILL.md": MAIN, "a": b"bc"}).digest
    assert skill.digest != Skill.from_files({"SKILL.md": MAIN, "ab": b"c"}).digest
    assert skill.digest != Skill.from_files({"SKILL.md": MAIN.replace(b"\n", b"\r\n"), "a": b"bc"}).digest
    assert hash(skill) == hash(Skill.from_files({"SKILL.md": MAIN, "a": b"bc"}))


def test_files_are_read_only() -> None:
    skill = Skill.from_files({"SKILL.md": MAIN})
    with pytest.raises(TypeError):
        skill.files["SKILL.md"] = b""  # type: ignore[index]
    with pytest.raises(SkillError, match="has no file"):
        skill.text("gone.md")


def test_save_round_trip(tmp_path: Path) -> None:
    files = {"SKILL.md": b"\xef\xbb\xbf" + MAIN.replace(b"\n", b"\r\n"), "scripts/run.py": b"x", "b.bin": b"\xff"}
    skill = Skill.from_files(files, frozenset({"scripts/run.py"}))
    folder = save_skill(skill, tmp_path / "new")
    assert folder == tmp_path / "new/demo"
    assert load_skill(folder) == skill
    assert {path.name for path in folder.parent.iterdir()} == {"demo"}


def test_save_overwrites_only_when_told(tmp_path: Path) -> None:
    folder = write(tmp_path / "demo", **{"old.md": b"old"})
    skill = Skill.from_files({"SKILL.md": MAIN, "new.md": b"new"})
    with pytest.raises(SkillError, match="exists already"):
        save_skill(skill, tmp_path)
    assert "old.md" in load_skill(folder).files
    save_skill(skill, tmp_path, overwrite=True)
    assert load_skill(folder) == skill
    assert {path.name for path in tmp_path.iterdir()} == {"demo"}


def test_save_clears_what_a_killed_run_left(tmp_path: Path) -> None:
    write(tmp_path / ".demo.saving", **{"half.md": b""})
    save_skill(Skill.from_files({"SKILL.md": MAIN}), tmp_path)
    assert {path.name for path in tmp_path.iterdir()} == {"demo"}


def test_save_does_not_replace_files_or_links(tmp_path: Path) -> None:
    skill = Skill.from_files({"SKILL.md": MAIN})
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "demo").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(SkillError, match="exists already"):
        save_skill(skill, tmp_path, overwrite=True)
    with pytest.raises(SkillError, match="cannot name one"):
        save_skill(Skill.from_files({"SKILL.md": MAIN.replace(b"demo", b"../demo")}), tmp_path)


def test_check_reports_format_sizes_and_links() -> None:
    body = b"See [a](references/a.md#x), [b](gone.md), `references/c.md`, [w](https://e.org), [f](references).\n"
    code = b"```\nreferences/in-code.md\n```\n"
    files = {
        "SKILL.md": b"\xef\xbb\xbf---\nname: Demo_\ndescription: d\nextra: x\n---\n" + body + code + b"x\n" * 490,
        "references/a.md": b"x\n" * 300,
        "references/b.md": b"x\n" * 299,
    }
    assert check_skill(Skill.from_files(files)) == [
        "SKILL.md: starts with a byte-order mark, which skill readers reject",
        "SKILL.md: Unexpected fields in frontmatter: extra. "
        "Only ['allowed-tools', 'compatibility', 'description', 'license', 'metadata', 'name'] are allowed.",
        "SKILL.md: Skill name 'Demo_' must be lowercase",
        "SKILL.md: Skill name 'Demo_' contains invalid characters. Only letters, digits, and hyphens are allowed.",
        "references/a.md: 300 lines, must stay under 300; move details to references/",
        "SKILL.md: links to gone.md, which does not exist in the skill",
        "SKILL.md: links to references/c.md, which does not exist in the skill",
    ]


def test_linked_paths() -> None:
    text = (
        b"[a](./references/a%20b.md?x) ![i](assets/i.png) see references/c.md.\n[m](mailto:x@y) [p](#top) [r](/root)\n"
    )
    assert linked_paths(Skill.from_files({"SKILL.md": MAIN + text})) == {
        "references/a b.md",
        "assets/i.png",
        "references/c.md",
    }


@pytest.mark.shared_data
@pytest.mark.skipif(not CORPUS.is_dir(), reason="needs ../shared/data/skills-corpus")
def test_real_skills_load_or_say_why_not(tmp_path: Path) -> None:
    refused, findings = 0, 0
    for number, entry in enumerate(json.loads((CORPUS / "manifest.json").read_bytes())):
        folder = tmp_path / str(number) / entry["dir_name"]
        folder.mkdir(parents=True)
        shutil.copy(CORPUS / entry["file"], folder / "SKILL.md")
        broken = {"symlink", "no-frontmatter", "name-missing", "name!=dir"} & set(entry["issues"])
        if broken:
            refused += 1
            with pytest.raises(SkillError):
                load_skill(folder)
            continue
        found = [text for text in check_skill(load_skill(folder)) if "links to" not in text]
        # The reference validator reads every scalar and list as text, so it does not mind those of other types.
        known = set(entry["issues"]) - {"cjk", "metadata-nonstring-values", "allowed-tools-type:list"}
        assert bool(found) == bool(known), (entry["file"], found)
        findings += bool(found)
        assert save_skill(load_skill(folder), tmp_path / "saved" / str(number)).is_dir()
    assert (refused, findings) == (16, 20)


def write_selection(folder: Path, chosen: str, skill: str = "seed-2/demo") -> Path:
    rows = [{"name": "seed-1", "skill": "seed-1/other"}, {"name": "seed-2", "skill": skill}]
    folder.mkdir()
    (folder / "selection.json").write_text(json.dumps({"chosen": chosen, "candidates": rows}))
    return folder


def test_the_folder_of_a_selection_names_the_skill_that_was_chosen(tmp_path: Path) -> None:
    folder = write_selection(tmp_path / "out", "seed-2")
    with pytest.raises(SkillError, match=r"names the skill 'seed-2/demo', but .* does not exist"):
        find_skill_folder(folder)
    (folder / "demo").mkdir()
    (folder / "demo" / "SKILL.md").write_text("x")

    assert find_skill_folder(folder) == folder / "demo"


@pytest.mark.parametrize(
    ("chosen", "skill", "problem"),
    [
        ("", "seed-2/demo", "has chosen no skill.*Name the run folder of one of its seeds"),
        ("seed-9", "seed-2/demo", "has chosen no skill"),
        ("seed-2", "../..", "does not exist"),
        ("seed-2", "", "does not exist"),
    ],
)
def test_a_selection_without_a_skill_is_refused(tmp_path: Path, chosen: str, skill: str, problem: str) -> None:
    (tmp_path / "SKILL.md").write_text("outside")
    with pytest.raises(SkillError, match=problem):
        find_skill_folder(write_selection(tmp_path / "out", chosen, skill))
