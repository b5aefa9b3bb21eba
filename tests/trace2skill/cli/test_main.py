"""The command line: what it prints, and how it meets a user's mistakes."""

import errno
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from unittest import mock

import click
import pytest
from click.testing import Result
from inspect_ai.log import read_eval_log, write_eval_log

from tests.trace2skill.cli.conftest import Cli
from tests.trace2skill.toy import run_adding, write_skill
from trace2skill.cli.evolve import print_manifest
from trace2skill.cli.main import COMMANDS, main
from trace2skill.consolidation.ledger import read_ledger
from trace2skill.evolution.configuration import EvolveConfig
from trace2skill.evolution.folder import Manifest, Record
from trace2skill.logs.files import find_logs
from trace2skill.skill.folder import load_skill


@pytest.fixture
def skill(tmp_path: Path) -> Path:
    return write_skill(tmp_path)


@pytest.fixture(scope="session")
def better_logs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return run_adding(tmp_path_factory.mktemp("better"), failing="one")


def write_patches(path: Path, *edits: dict[str, str], trajectories: int = 2) -> Path:
    """A patch file in which several trajectories propose the same edits."""
    rows = [
        {"trajectory_id": name, "edits": [{"op": "append_to_section", "file": "SKILL.md", **edit} for edit in edits]}
        for name in list("abcdefgh")[:trajectories]
    ]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


GOOD = {"target": "## Reading", "content": "- Read to the last line, since a total without it is wrong."}


def evolve(cli: Cli, skill: Path, patches: Path, *options: object) -> Result:
    output = skill.parent / "run"
    return cli("evolve", "--skill", skill, "--output", output, "--patches", patches, "--merger", "lexical", *options)


def test_patches_evolve_a_skill_without_any_model(cli: Cli, skill: Path, tmp_path: Path) -> None:
    result = evolve(cli, skill, write_patches(tmp_path / "patches.jsonl", GOOD))

    assert result.exit_code == 0, result.output
    evolved = load_skill(tmp_path / "run")
    assert evolved.skill_md.count("- Read to the last line") == 1
    assert {row.id: row.fate for row in read_ledger(tmp_path / "run/ledger.jsonl")} == {
        "a.1": "applied",
        "b.1": "merged",
    }
    assert "2 proposed: 2 applied (merged into 1 change)" in result.output
    assert f"skill blame {tmp_path / 'run'}" in result.output.replace("\n", "")


@pytest.mark.parametrize("content", ["1) Read the *file* as text", "Mind this:\n\n\u2022 read the file as text"])
def test_a_run_of_edits_that_say_nothing_new_changes_nothing(
    cli: Cli, skill: Path, tmp_path: Path, content: str
) -> None:
    known = {"target": "## Writing", "content": content}
    result = evolve(cli, skill, write_patches(tmp_path / "patches.jsonl", known, trajectories=3))

    assert result.exit_code == 3, result.output
    assert load_skill(tmp_path / "run").digest == load_skill(skill).digest
    assert {row.fate for row in read_ledger(tmp_path / "run/ledger.jsonl")} == {"rejected"}


def test_a_file_that_is_there_is_not_created_again(cli: Cli, skill: Path, tmp_path: Path) -> None:
    (skill / "references").mkdir()
    (skill / "references" / "sums.md").write_text("# Sums\r\n\r\nOf integers.\r\n")
    again = {"op": "create", "file": "references/sums.md", "content": "# Sums\n\nOf integers."}
    result = evolve(cli, skill, write_patches(tmp_path / "patches.jsonl", again))

    assert result.exit_code == 3, result.output
    assert "'adding' is unchanged" in result.output
    assert "already there" in read_ledger(tmp_path / "run/ledger.jsonl")[0].reason


def test_the_same_command_again_gives_the_same(cli: Cli, skill: Path, tmp_path: Path) -> None:
    patches = write_patches(tmp_path / "patches.jsonl", GOOD)
    first = evolve(cli, skill, patches)
    before = {path: path.stat().st_mtime_ns for path in (tmp_path / "run").rglob("*")}

    assert evolve(cli, skill, patches).output == first.output
    assert {path: path.stat().st_mtime_ns for path in (tmp_path / "run").rglob("*")} == before


def test_edits_that_do_not_fit_are_rejected_in_the_ledger(cli: Cli, skill: Path, tmp_path: Path) -> None:
    unfit = [
        {"op": "delete_file", "file": "SKILL.md"},
        {"op": "create", "file": "extra.md", "content": "x"},
        {"op": "execute", "content": "rm -rf /"},
        {"op": "insert_after", "target": "- No such line.", "content": "x"},
    ]
    result = evolve(cli, skill, write_patches(tmp_path / "patches.jsonl", *unfit, GOOD))

    assert result.exit_code == 0, result.output
    rows = {row.id: row for row in read_ledger(tmp_path / "run/ledger.jsonl")}
    assert [name for name in sorted(rows) if rows[name].fate == "rejected"] == [
        f"{who}.{n}" for who in "ab" for n in range(1, 5)
    ]
    assert all(row.reason for row in rows.values() if row.fate == "rejected")
    assert "10 proposed: 2 applied (merged into 1 change), 8 rejected" in result.output
    assert set(load_skill(tmp_path / "run").files) == {"SKILL.md"}


@pytest.mark.parametrize(
    ("file", "part"),
    [
        ("../escape.md", "unsafe path"),
        ("references/../../escape.md", "unsafe path"),
        ("/tmp/escape.md", "unsafe path"),
        ("scripts/run.md", "protected file"),
        ("LICENSE.md", "protected file"),
        ("references/run.py", "protected file"),
    ],
)
@pytest.mark.parametrize("op", ["create", "append_to_section", "delete_file"])
def test_a_patch_file_that_reaches_for_what_is_off_limits_is_refused_as_a_whole(
    cli: Cli, skill: Path, tmp_path: Path, op: str, file: str, part: str
) -> None:
    before = load_skill(skill).digest
    hostile = {"op": op, "file": file, "target": "# Run", "content": "x"}

    refused(evolve(cli, skill, write_patches(tmp_path / "patches.jsonl", GOOD, hostile)), "edit a.2", part, file)
    assert {path.name for path in tmp_path.iterdir()} == {"adding", "patches.jsonl"}
    assert load_skill(skill).digest == before


def refused(result: Result, *parts: str) -> None:
    """The command failed with one message that says all of these."""
    assert result.exit_code == 1, result.output
    assert result.output.startswith("trace2skill: ")
    assert [part for part in parts if part not in result.output] == []


@pytest.mark.parametrize(
    ("content", "part"),
    [
        ("", "is empty"),
        ('{"trajectory_id": "a", "edits": [', "is not JSON"),
        ('{"trajectory_id": "a", "edits": []}\n{"traj', "line 2 cannot be read: it is not JSON"),
        ('["x"]', "a patch must be a JSON object"),
        ('{"a": 1}', 'must have a list "edits"'),
        ('{"trajectory": "a", "edits": [{"id": "a.1"}]}', "not a patch of this project"),
    ],
)
def test_a_broken_patch_file_is_refused(cli: Cli, skill: Path, tmp_path: Path, content: str, part: str) -> None:
    patches = tmp_path / "patches.json"
    patches.write_text(content)

    refused(evolve(cli, skill, patches), "patches.json", part)
    assert not (tmp_path / "run").exists()


def test_a_missing_patch_file_is_refused(cli: Cli, skill: Path, tmp_path: Path) -> None:
    refused(evolve(cli, skill, tmp_path / "gone.jsonl"), "Cannot read the patch file", "gone.jsonl: No such file")
    assert not (tmp_path / "run").exists()


def test_merging_without_logs_needs_a_model(cli: Cli, skill: Path, tmp_path: Path) -> None:
    patches = write_patches(tmp_path / "patches.jsonl", GOOD)

    refused(cli("evolve", "--skill", skill, "--output", tmp_path / "run", "--patches", patches), "--model", "lexical")
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(("place", "part"), [("gone.eval", "no such log"), ("empty", "no Inspect logs in this folder")])
def test_missing_and_empty_logs_are_refused(cli: Cli, skill: Path, tmp_path: Path, place: str, part: str) -> None:
    (tmp_path / "empty").mkdir()

    refused(cli("evolve", tmp_path / place, "--skill", skill, "--output", tmp_path / "run"), place, part)
    assert not (tmp_path / "run").exists()


def test_no_log_at_all_is_refused(cli: Cli, skill: Path, tmp_path: Path) -> None:
    refused(cli("evolve", "--skill", skill, "--output", tmp_path / "run"), "No log was given")


@pytest.mark.parametrize("command", ["evolve", "compare"])
def test_an_unreadable_log_is_refused(cli: Cli, skill: Path, tmp_path: Path, adding_logs: Path, command: str) -> None:
    log = tmp_path / "torn.eval"
    log.write_bytes(b"PK\x03\x04 and no more")
    options = {"evolve": ["--skill", skill, "--output", tmp_path / "run"], "compare": ["--vs", adding_logs]}

    refused(cli(command, log, *options[command]), "torn.eval", "cannot be read as an Inspect log")
    assert not (tmp_path / "run").exists()


def test_a_log_without_scores_is_refused(cli: Cli, skill: Path, tmp_path: Path, adding_logs: Path) -> None:
    log = read_eval_log(find_logs([adding_logs])[0])
    for sample in log.samples or []:
        sample.scores = None
    write_eval_log(log, tmp_path / "unscored.eval")

    result = cli("evolve", tmp_path / "unscored.eval", "--skill", skill, "--output", tmp_path / "run")

    refused(result, "unscored.eval", "inspect score")
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("content", "part"),
    [
        (None, "it has no SKILL.md"),
        ("# No frontmatter\n", "must start with YAML frontmatter"),
        ("---\nname: other\ndescription: d\n---\n", "must be named like its skill"),
        ("---\nname: adding\ndescription: d\nextra: field\n---\n", "fails the format check"),
    ],
)
def test_a_malformed_skill_is_refused(
    cli: Cli, tmp_path: Path, adding_logs: Path, content: str | None, part: str
) -> None:
    folder = tmp_path / "adding"
    folder.mkdir()
    if content is not None:
        (folder / "SKILL.md").write_text(content)

    refused(cli("evolve", adding_logs, "--skill", folder, "--output", tmp_path / "run"), "adding", part)
    assert not (tmp_path / "run").exists()


def test_an_output_that_holds_something_else_is_left_alone(cli: Cli, skill: Path, tmp_path: Path) -> None:
    patches = write_patches(tmp_path / "patches.jsonl", GOOD)
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "thesis.txt").write_text("mine")

    refused(evolve(cli, skill, patches), "is not empty", "--output")
    assert [path.name for path in (tmp_path / "run").iterdir()] == ["thesis.txt"]


def test_an_output_that_is_a_file_is_left_alone(cli: Cli, skill: Path, tmp_path: Path) -> None:
    patches = write_patches(tmp_path / "patches.jsonl", GOOD)
    (tmp_path / "run").write_text("mine")

    refused(evolve(cli, skill, patches), "is a file", "--output")


@pytest.mark.parametrize(
    "option",
    [("--merge-batch", 1), ("--min-support", 0), ("--merger", "magic"), ("--analysts", "none"), ("--seed", "x")],
)
def test_settings_out_of_range_are_usage_errors(
    cli: Cli, skill: Path, tmp_path: Path, option: tuple[str, object]
) -> None:
    result = evolve(cli, skill, write_patches(tmp_path / "patches.jsonl", GOOD), *option)

    assert result.exit_code == 2
    assert f"Invalid value for '{option[0]}'" in result.output
    assert not (tmp_path / "run").exists()


def test_check_of_nothing_is_refused(cli: Cli, tmp_path: Path) -> None:
    refused(cli("skill", "check", tmp_path / "gone"), "it does not exist")


def test_compare_prints_a_table_and_writes_json(cli: Cli, adding_logs: Path, better_logs: Path, tmp_path: Path) -> None:
    result = cli("compare", adding_logs, "--vs", better_logs, "--json", tmp_path / "new" / "comparison.json")

    assert result.exit_code == 0, result.output
    assert adding_logs.name in result.output
    written = json.loads((tmp_path / "new" / "comparison.json").read_text())
    assert written["schema_version"] == 2
    assert [len(comparison["pairs"]) for comparison in written["comparisons"]] == [4]


def test_compare_of_folders_with_one_name_tells_them_apart(
    cli: Cli, adding_logs: Path, better_logs: Path, tmp_path: Path
) -> None:
    for parent, source in (("x", adding_logs), ("y", better_logs)):
        (tmp_path / parent / "logs").mkdir(parents=True)
        [log] = find_logs([source])
        (tmp_path / parent / "logs" / log.name).write_bytes(log.read_bytes())

    result = cli("compare", tmp_path / "x/logs", "--vs", tmp_path / "y/logs", "--json", tmp_path / "comparison.json")

    assert result.exit_code == 0, result.output
    assert len(json.loads((tmp_path / "comparison.json").read_text())["comparisons"]) == 1


def test_compare_of_a_missing_log_is_refused_and_writes_nothing(cli: Cli, adding_logs: Path, tmp_path: Path) -> None:
    target = tmp_path / "comparison.json"

    refused(cli("compare", adding_logs, "--vs", tmp_path / "gone", "--json", target), "gone: no such log")
    assert not target.exists()


def test_what_a_model_wrote_is_printed_as_it_is(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    record = Record(
        config=EvolveConfig(),
        models={},
        agent_models=(),
        initial_skill="adding",
        initial_digest="",
        inputs=(),
        prompts={},
        versions={},
    )
    values: dict[str, Any] = {"skill": "adding", "digest": "", "simulated": "", "record": record, "stages": ()}
    manifest = Manifest(
        **values, trajectories={"successes": 1}, edits={"proposed": 0}, analyses={"the fix [red] says '[/x]'": 1}
    )
    print_manifest(manifest, tmp_path / "[bold]run")

    printed = capsys.readouterr().out.replace("\n", "")
    assert "the fix [red] says '[/x]'" in printed
    assert str(tmp_path / "[bold]run" / "adding") in printed


def test_help_and_version_need_no_logs(cli: Cli) -> None:
    assert "Usage: " in cli("-h").output
    assert cli("--version").exit_code == 0
    for command in ("evolve", "compare", "skill"):
        assert cli(command, "--help").exit_code == 0


def test_json_on_standard_output_stands_there_alone(cli: Cli, adding_logs: Path, better_logs: Path) -> None:
    result = cli("compare", adding_logs, "--vs", better_logs, "--json", "-")

    assert json.loads(result.stdout)["schema_version"] == 2
    assert not Path("-").exists()


def commands(group: click.Group, *path: str) -> Iterator[tuple[str, click.Command]]:
    for name in group.list_commands(click.Context(group)):
        command = group.get_command(click.Context(group), name)
        if isinstance(command, click.Group):
            yield from commands(command, *path, name)
        elif command is not None:
            yield " ".join([*path, name]), command


def test_every_option_and_argument_has_a_help_text() -> None:
    found = dict(commands(main))
    silent = [
        f"{name} {parameter.name}"
        for name, command in found.items()
        for parameter in command.params
        if not (parameter.to_info_dict().get("help") or "").strip()
    ]

    assert len(found) == 17
    assert silent == []


def test_the_list_of_commands_says_what_the_commands_say() -> None:
    said = {name: main.get_command(click.Context(main), name) for name in COMMANDS}

    assert {name: command.get_short_help_str(200) for name, command in said.items()} == COMMANDS


def test_help_loads_no_inspect() -> None:
    program = (
        "import sys; from click.testing import CliRunner; from trace2skill.cli.main import main; "
        "assert CliRunner().invoke(main, ['--help']).exit_code == 0; "
        "print(len(sys.modules), *{name.split('.')[0] for name in sys.modules} & {'inspect_ai', 'scipy', 'rich'})"
    )
    ran = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    count, *loaded = ran.stdout.split()

    assert loaded == []
    assert int(count) < 400


@pytest.mark.parametrize("kept", [[], ["run.json"]], ids=["nothing fits", "the record of the run fits"])
def test_a_full_disk_is_told_once_with_the_way_on(
    cli: Cli, skill: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kept: list[str]
) -> None:
    patches = write_patches(tmp_path / "patches.jsonl", GOOD)
    sync, full = os.fsync, OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    with monkeypatch.context() as patched:
        answers = iter([sync] * len(kept))
        patched.setattr(os, "fsync", lambda file: next(answers, mock.Mock(side_effect=full))(file))
        result = evolve(cli, skill, patches)

    assert result.exit_code == 1
    assert result.stderr == (
        f"trace2skill: No space left on the disk of {tmp_path / 'run'}. What is finished is kept there: free some "
        "space and run the same command again to go on.\n"
    )
    assert [path.name for path in (tmp_path / "run").iterdir()] == kept
    assert evolve(cli, skill, patches).exit_code == 0


def test_what_cannot_be_written_is_named(cli: Cli, adding_logs: Path, better_logs: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    refused(
        cli("compare", adding_logs, "--vs", better_logs, "--json", tmp_path / "file" / "x.json"), str(tmp_path / "file")
    )


def test_what_others_called_their_things_is_printed_as_it_is(cli: Cli, skill: Path, tmp_path: Path) -> None:
    wicked = "[red]x[/red][/]\x1b[2J"
    row = {"trajectory_id": wicked, "edits": [{"op": "append_to_section", "file": "SKILL.md", **GOOD}]}
    (tmp_path / "patches.jsonl").write_text(json.dumps(row) + "\n")
    ran = evolve(cli, skill, tmp_path / "patches.jsonl", "--min-support", 1)
    printed = [ran.output, cli("skill", "blame", tmp_path / "run").output, cli("evolve", "/[/]\x1b[2J").output]

    assert ran.exit_code == 0, ran.output
    assert r"[red]x[/red][/]\x1b[2J" in printed[1]
    assert not any("\x1b" in text for text in printed)


@pytest.mark.parametrize(
    ("options", "part"),
    [
        (("--verify", "replay"), "is not replay:K"),
        (("--verify", "replay:0"), "is not replay:K"),
        (("--seeds", "1,x"), "is no list of numbers"),
        (("--seeds", "1,1"), "names a seed twice"),
        (("--analysts", "errors"), "'errors' is not one of"),
        (("--threshold", "nan"), "threshold: Input should be a finite number"),
        (("--batch", "1"), "--batch belongs to --method sequential; --method parallel has no use for it"),
        (("--no-final-consolidation",), "--no-final-consolidation belongs to --method sequential"),
        (("--method", "sequential", "--min-support", "2"), "--min-support belongs to --method parallel"),
        (("--method", "sequential", "--batch", "0"), "0 is not in the range x>=1"),
    ],
)
def test_options_that_make_no_sense_are_usage_errors(
    cli: Cli, adding_logs: Path, skill: Path, tmp_path: Path, options: tuple[str, ...], part: str
) -> None:
    result = cli("evolve", adding_logs, "--skill", skill, "--output", tmp_path / "run", *options)

    assert result.exit_code == 2
    assert part in result.output
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("options", "part"),
    [
        (("--profile", "gpt"), "no such profile. Name one of gemma-4, gemma-4-26b-a4b"),
        (("--prompts", "nowhere"), "no such folder"),
        (("--analyst-model", "sim/tiny"), "there is no sim/tiny"),
        (("--success", "total ="), "is no expression"),
        (("--success", "total == 1"), "'total' is no scorer here; there are total_is_right."),
        (("--success", "total_is_right[/x] == 1"), "is no expression"),
        (("--threshold", "3", "--analysts", "success"), "hold no trajectory for --analysts success"),
        (("--success", "total_is_right == 1", "--scorer", "total_is_right"), "Leave one out"),
        (("--verify", "replay:2"), "need a logged task with the argument `skill`"),
    ],
)
def test_settings_that_do_not_fit_are_refused_before_anything_is_run(
    cli: Cli, adding_logs: Path, skill: Path, tmp_path: Path, options: tuple[str, ...], part: str
) -> None:
    refused(cli("evolve", adding_logs, "--skill", skill, "--output", tmp_path / "run", *options), part)

    assert not (tmp_path / "run").exists()


def test_a_plan_needs_no_output_and_runs_nothing(cli: Cli, adding_logs: Path, skill: Path) -> None:
    result = cli("evolve", adding_logs, "--skill", skill, "--plan")

    assert result.exit_code == 0, result.output
    assert "nothing was run" in result.output
    assert cli("evolve", adding_logs, "--skill", skill).exit_code == 2


def test_what_was_withheld_is_listed_with_its_reason(cli: Cli, skill: Path, tmp_path: Path) -> None:
    shared = write_patches(tmp_path / "patches.jsonl", GOOD)
    single = {"op": "append_to_section", "file": "SKILL.md", "target": "## Writing", "content": "- Count digits."}
    with shared.open("a") as file:
        file.write(json.dumps({"trajectory_id": "z", "edits": [single]}) + "\n")
    evolve(cli, skill, shared)

    result = cli("evolve", "--show-withheld", tmp_path / "run")

    assert result.exit_code == 0, result.output
    first, second = result.output.splitlines()
    assert first == "1 x support 1 is below 2, the least for SKILL.md"
    assert second.split() == ["1", "z.1", "append_to_section", "SKILL.md:", "-", "Count", "digits."]
    refused(cli("evolve", "--show-withheld", tmp_path), "no ledger.jsonl here")
