"""A small study for the reports to tell of: logs with drawn scores, a real run folder, and foreign text throughout.

`python -m tests.trace2skill.report.study FOLDER` writes it, and its report, to look at.
"""

import json
import random
import shutil
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path

from inspect_ai.log import EvalConfig, EvalDataset, EvalLog, EvalSample, EvalSpec, EvalStats, write_eval_log
from inspect_ai.model import ModelOutput, ModelUsage
from inspect_ai.scorer import Score

from tests.trace2skill.toy import write_skill
from trace2skill.consolidation.assembly import assemble
from trace2skill.consolidation.ledger import Ledger
from trace2skill.consolidation.selection import select_edits
from trace2skill.edits.patch import Edit
from trace2skill.evolution.configuration import EvolveConfig
from trace2skill.evolution.folder import Record, write_run
from trace2skill.models.simulated import NOTICE
from trace2skill.skill.folder import load_skill
from trace2skill.study.evaluations import Evaluation, Metric

HOSTILE = "<script>alert('x')</script>"
MODELS = {"122B": "sim/large", "35B": "sim/small"}
RATES = {
    "no-skill": 0.3,
    "human-written": 0.45,
    "parametric": 0.32,
    "combined": 0.8,
    "error": 0.7,
    "error-llm": 0.55,
    "sequential-4": 0.6,
    "reasoning-bank": 0.5,
    "success": 0.35,
}
METRICS = {
    "spreadsheetbench-verified": {"accuracy": Metric(scorer="cell_comparison", key=None)},
    "wikitq": {"accuracy": Metric(scorer="denotation", key=None)},
    "docvqa": {"anls": Metric(scorer="judged", key="anls"), "accuracy": Metric(scorer="judged", key="accuracy")},
}


@dataclass(frozen=True, kw_only=True)
class Primary:
    name: str
    benchmark: str
    user: str
    condition: str
    metric: str = "accuracy"
    against: str = "human-written"
    author: str | None = None
    mode: str | None = None
    margin: float | None = None


@dataclass(frozen=True, kw_only=True)
class Declaration:
    name: str
    primary: tuple[Primary, ...]


@dataclass(kw_only=True)
class FakeStudy:
    folder: Path
    runs: Path
    rows: list[Evaluation] = field(default_factory=list)
    primary: list[Primary] = field(default_factory=list)
    simulated: bool = True
    scale: str = ""
    name: str = "a-small-study"
    samples: int = 40

    @property
    def declaration(self) -> Declaration:
        return Declaration(name=self.name, primary=tuple(self.primary))

    def evaluations(self) -> Sequence[Evaluation]:
        return self.rows

    def add(
        self,
        benchmark: str,
        condition: str,
        user: str,
        *,
        author: str | None = None,
        mode: str | None = None,
        seed: int | None = None,
        rate: float | None = None,
        missing: int = 0,
        status: str = "finished",
        why: str = "",
        artefact: Path | None = None,
    ) -> None:
        """One evaluation; a finished one with its log."""
        key = "/".join(str(part or "-") for part in (benchmark, author, mode, condition, user, seed))
        finished = status == "finished"
        chance = RATES.get(condition, 0.5) if rate is None else rate
        log = write_log(
            self.runs / "evaluations" / key, key, benchmark, MODELS[user], chance, self.samples, missing, artefact
        )
        self.rows.append(
            Evaluation(
                key=key,
                domain="spreadsheet",
                benchmark=benchmark,
                metrics=METRICS[benchmark],
                split="test",
                in_distribution=benchmark != "wikitq",
                user=user,
                author=author,
                mode=mode,
                condition=condition,
                seed=seed,
                status=status,
                why=why,
                logs=(log,) if finished else (),
                artefact=artefact,
            )
        )


def write_log(
    folder: Path,
    key: str,
    benchmark: str,
    model: str,
    rate: float,
    n: int,
    missing: int,
    artefact: Path | None,
) -> Path:
    """A log as Inspect writes it. A sample's difficulty is the same in all logs, so that arms pair."""
    [scorer] = {metric.scorer for metric in METRICS[benchmark].values()}
    samples = []
    for number in range(n):
        name = f"{HOSTILE}-{number}" if number == 0 else f"{benchmark[:3]}-{number}"
        ease = random.Random(f"{benchmark}-{number}").random()
        luck = random.Random(f"{key}-{number}").random()
        right = rate > 0 and 0.65 * ease + 0.35 * luck < rate
        value = {"anls": 0.9 if right else 0.1, "accuracy": float(right)} if scorer == "judged" else "CI"[not right]
        failed = number >= n - missing
        tokens = 3000 + 60 * number + (2500 if artefact else 0)
        samples.append(
            EvalSample(
                id=name,
                epoch=1,
                input=f"Task {name}",
                target="42",
                scores={} if failed else {scorer: Score(value=value, explanation=HOSTILE)},
                output=ModelOutput.from_content(model, "done"),
                model_usage={model: ModelUsage(input_tokens=tokens, output_tokens=500, total_tokens=tokens + 500)},
                error=_error() if failed else None,
            )
        )
    log = EvalLog(
        eval=EvalSpec(
            eval_id=key.replace("/", "-"),
            run_id="run",
            created="2026-11-20T10:00:00+00:00",
            task=benchmark,
            task_id=key,
            task_version=1,
            task_args={"skill": str(artefact)} if artefact else {},
            dataset=EvalDataset(name=benchmark, samples=n, sample_ids=[sample.id for sample in samples]),
            model=model,
            config=EvalConfig(epochs=1),
            packages={"inspect_ai": "0.3.285"},
        ),
        status="success",
        stats=EvalStats(),
        samples=samples,
    )
    file = folder / f"{benchmark}_{sha256(key.encode()).hexdigest()[:6]}.eval"
    file.parent.mkdir(parents=True, exist_ok=True)
    write_eval_log(log, str(file))
    return file


def _error():
    from inspect_ai._util.error import EvalError

    return EvalError(message="the server went away", traceback="", traceback_ansi="")


def evolution_run(folder: Path, names: Sequence[str] = ("a.1", "b.1")) -> Path:
    """A run folder whose evolved skill holds what must not run in a page, with an edit of each name."""
    initial = write_skill(folder.parent / "initial")
    text = initial / "SKILL.md"
    text.write_text(f"{text.read_text()}\n{HOSTILE} <img src=x onerror=alert(1)>\n")
    skill = load_skill(initial)
    edits = [
        Edit(
            id=name,
            file="SKILL.md",
            op="append_to_section",
            target="## Reading",
            content=f"- Of {name}: a < b && c > d, {{{{ 7 * 7 }}}}",
            support=(f"{HOSTILE}-evolve", name),
        )
        for name in names
    ]
    record = Record(
        config=EvolveConfig(),
        models={"model": "sim/large"},
        agent_models=("sim/large",),
        initial_skill="adding",
        initial_digest="sha256:0",
        inputs=((f"{HOSTILE}.eval", "0"),),
        prompts={"merger": "0"},
        versions={"trace2skill": "0"},
    )
    ledger = Ledger()
    ledger.analysis("x", HOSTILE)
    assembled = assemble(select_edits(edits, skill, 1), skill, ledger, edits, NOTICE)
    write_run(folder, record, assembled, ledger.rows(), (), {"successes": 1, "failures": 4})
    return folder


def small_study(folder: Path, evolution: Path | None = None, n: int = 40) -> FakeStudy:
    """Two models, three benchmarks, several conditions; some failed, some blocked, some were never run."""
    study = FakeStudy(folder=folder / "results" / "small", runs=folder / "runs" / "small", samples=n)
    artefact = study.runs / "evolution" / "122B-combined"
    if evolution:
        shutil.copytree(evolution, artefact)
    else:
        evolution_run(artefact)
    for user in MODELS:
        for benchmark in METRICS:
            if (benchmark, user) == ("docvqa", "35B"):
                continue
            for condition in ("no-skill", "human-written", "parametric")[: 1 if benchmark == "docvqa" else 3]:
                author = user if condition == "parametric" else None
                mode = "creation" if condition == "parametric" else None
                study.add(benchmark, condition, user, author=author, mode=mode)
            for author in list(MODELS)[: 1 if benchmark == "docvqa" else 2]:
                worse = {"rate": 0.25} if (author, user) == ("35B", "35B") else {}
                for seed in (41, 42):
                    study.add(
                        benchmark,
                        "combined",
                        user,
                        author=author,
                        mode="deepening",
                        seed=seed,
                        missing=seed == 42,
                        artefact=artefact if author == "122B" else None,
                        **worse,
                    )
    for condition in ("error", "error-llm", "sequential-4", "reasoning-bank"):
        study.add("spreadsheetbench-verified", condition, "122B", author="122B", mode="deepening", seed=41)
    study.add("wikitq", "error", "122B", author="35B", mode="creation", seed=41, status="failed", why=f"OOM {HOSTILE}")
    study.add(
        "wikitq", "error", "35B", author="35B", mode="creation", seed=41, status="blocked", why="wikitq/error/122B"
    )
    study.add("wikitq", "success", "35B", author="35B", mode="creation", seed=41, status="not evaluated")
    study.add("spreadsheetbench-verified", "success", "35B", author="122B", mode="deepening", seed=41, rate=0.0)
    verified, own = "spreadsheetbench-verified", {"author": "122B", "mode": "deepening", "condition": "combined"}
    wikitq = {**own, "benchmark": "wikitq"}
    scratch = {"author": "35B", "mode": "creation", "condition": "error"}
    study.primary = [
        Primary(name="deepening helps", benchmark=verified, user="122B", margin=0.05, **own),
        Primary(name="it transfers to 35B", benchmark=verified, user="35B", **own),
        Primary(name="it holds out of distribution", user="122B", **wikitq),
        Primary(name="35B helps itself", benchmark=verified, user="35B", **{**own, "author": "35B"}),
        Primary(name="from scratch", benchmark="wikitq", user="122B", against="parametric", **scratch),
    ]
    return study


if __name__ == "__main__":
    from trace2skill.report.writing import write_report

    place = Path(sys.argv[1])
    shutil.rmtree(place, ignore_errors=True)
    made = Path(sys.argv[2]) if len(sys.argv) > 2 else None
    print(json.dumps([str(path) for path in write_report(small_study(place, made)).files], indent=1))
