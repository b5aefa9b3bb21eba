"""Parametric skills: what a model knows of a domain before it has seen any trajectory. The start of creation mode."""

from hashlib import sha256
from pathlib import Path

import yaml
from inspect_ai import Task
from inspect_ai.dataset import Sample
from inspect_ai.model import ChatMessageUser, GenerateConfig, get_model
from inspect_ai.solver import Generate, Solver, TaskState, solver
from inspect_ai.util import DisplayType, store
from pydantic import Field

from trace2skill.errors import ModelOutputError, SkillError, Trace2SkillError
from trace2skill.evolution.stages import finished_samples, run_stage
from trace2skill.models.cast import DEFAULTS, Provider, open_model
from trace2skill.models.sampling import Settings, load_profile
from trace2skill.models.simulated import NOTICE, TAG, is_simulated
from trace2skill.models.structured import Output, generate_structured
from trace2skill.prompts import load_prompts
from trace2skill.skill.folder import SKILL_MD, Skill, check_skill, save_skill

MAX_LINES = 60
"""Lines that a draft may have; those of this project are shorter."""

DRAFT = "draft"
"""Store key of a finished draft."""


class SkillDraft(Output):
    """A skill that a model writes from what it knows."""

    description: str = Field(min_length=1, max_length=1024, description="What the skill is for and when to use it.")
    title: str = Field(min_length=1, description="A few words.")
    body: str = Field(min_length=1, description="Markdown sections, without title and frontmatter.")


def draft_skill(
    domain: str,
    output: str | Path,
    model: str,
    *,
    profile: str | None = None,
    prompts: str | Path | None = None,
    seed: int = 42,
    provider: Provider = DEFAULTS,
    display: DisplayType | None = None,
) -> Path:
    """Have a model draft a skill from its own knowledge.

    Args:
        domain: The domain, in a sentence.
        output: The skill's folder; its name is the skill's name. It must not exist. The log of the call goes to
            a folder in `<output>.logs`.
        model: The model.
        profile: Sampling profile; the draft is a single call, so its thinking mode is used.
        prompts: Folder with prompts of the user's own.
        seed: Seed of the call.
        provider: Address of the model and arguments of its provider.
        display: Inspect's progress display.

    Returns:
        The folder.

    Raises:
        Trace2SkillError: The folder exists, the model is unknown, or its draft stayed invalid.
    """
    folder = Path(output)
    if folder.exists():
        raise Trace2SkillError(f"{folder} exists already. Choose another --output, or delete it.")
    if not domain.strip():
        raise Trace2SkillError("--domain is empty. Say in a sentence what the skill is for.")
    probe = SkillDraft(description="What it is for.", title="Title", body="## Section")
    if problems := _problems(folder.name, probe):
        raise SkillError(f"--output {folder}: its last part names the skill, and {problems[0]}")
    wording = load_prompts(Path(prompts) if prompts else None)
    sampling = Settings.of(load_profile(profile) if profile else None).single
    prompt = wording.render("draft", domain=domain.strip(), max_lines=MAX_LINES)
    task = Task(name="draft", dataset=[Sample(id=folder.name, input=prompt)], solver=_draft(folder.name, sampling))
    simulated = NOTICE if is_simulated([model]) else ""
    asked = sha256(f"{model}\n{seed}\n{sampling.model_dump_json()}\n{prompt}".encode()).hexdigest()
    (log,) = run_stage(
        [task],
        folder.with_name(f"{folder.name}.logs") / asked[:16],
        open_model(model, GenerateConfig(seed=seed), "--model", provider),
        display=display,
        tags=(TAG,) if simulated else (),
    )
    (sample,) = finished_samples(log)
    found = sample.store.get(DRAFT)
    if not isinstance(found, str):
        raise ModelOutputError(f"{sample.store.get('problem')} The transcript is in {log.location}.")
    text = found if not simulated else f"{found}\n<!-- {simulated} -->\n"
    return save_skill(Skill.from_files({SKILL_MD: text.encode()}), folder.parent)


def _draft(name: str, sampling: GenerateConfig) -> Solver:
    @solver(name="draft")
    def build(name: str) -> Solver:
        async def solve(state: TaskState, generate: Generate) -> TaskState:
            state.messages = [ChatMessageUser(content=state.input_text)]
            try:
                draft = await generate_structured(
                    get_model(),
                    state.messages,
                    SkillDraft,
                    "skill_draft",
                    lambda text: _problems(name, text),
                    config=sampling,
                )
            except ModelOutputError as error:
                store().set("problem", str(error))
                return state
            store().set(DRAFT, skill_text(name, draft))
            return state

        return solve

    return build(name)


def skill_text(name: str, draft: SkillDraft) -> str:
    """A draft as SKILL.md."""
    front = yaml.safe_dump({"name": name, "description": " ".join(draft.description.split())}, width=10_000)
    return f"---\n{front}---\n\n# {draft.title.lstrip('# ').strip()}\n\n{draft.body.strip()}\n"


def _problems(name: str, draft: SkillDraft) -> list[str]:
    text = skill_text(name, draft)
    lines = len(draft.body.strip().splitlines())
    problems = [f"body: it has {lines} lines, and {MAX_LINES} are allowed"] if lines > MAX_LINES else []
    try:
        return problems + check_skill(Skill.from_files({SKILL_MD: text.encode()}))
    except Trace2SkillError as error:
        return [*problems, str(error)]
