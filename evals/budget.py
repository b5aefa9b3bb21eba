"""Equal tokens: an agent that may spend on checking its own work what another arm spent on the same sample.

Whatever makes an agent's prompt longer, or has it take more turns, also buys it more computation. An agent without a
skill that may spend as much is the control for that: arXiv 2606.15017 finds that several memory methods do not beat it.
"""

import math
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from inspect_ai.dataset import Sample
from inspect_ai.model import ChatMessageAssistant
from inspect_ai.solver import TaskState

from evals.answer_line import answer_lines, last_line
from trace2skill.data import resolve_path
from trace2skill.errors import DataError, LogError
from trace2skill.logs import Header, LoadedLog, load_logs

BUDGET, SPENT, CHECKS, ENDED = "tokens_budget", "tokens_spent", "token_checks", "tokens_ended"
"""Keys of the sample's metadata: tokens that it might spend and spent, how often it was asked to check, why no more."""

CHECK = """\
Check your work. Nobody has judged it. Read the task again, go over what you did step by step, and look for what is
wrong or missing. Correct it where you find something. {answer}"""

SUBMIT_AGAIN = "Then call submit again, with your answer in full and in the form that the task asks for."
ANSWER_AGAIN = "Then answer again, in full and in the form that the task asks for."

CONFIRMED = 3
"""After so many answers in a row that are the same, there is nothing more to ask."""

_ARM = ("skill", "skill_mode", "memory", "memory_k", "match_tokens")


@dataclass(frozen=True, kw_only=True)
class Budget:
    """Tokens that an agent may spend on a sample, by sample id; or the same number for all."""

    by_sample: Mapping[str, int] | int
    said: str
    """As the user named it."""

    def open(self, state: TaskState) -> None:
        """Note a sample's budget before anything is spent.

        Raises:
            LogError: The logs do not say what the other arm spent on it.
        """
        found = self.by_sample if isinstance(self.by_sample, int) else self.by_sample.get(str(state.sample_id))
        if found is None:
            raise LogError(
                f"match_tokens: {self.said} does not say what sample {state.sample_id} took: it is not there, has not "
                "finished, or has no tokens. Play the other arm on the same samples, or give one number for all."
            )
        state.metadata |= {BUDGET: found, SPENT: state.token_usage, CHECKS: 0}

    def note(self, state: TaskState) -> None:
        """Note what has been spent so far."""
        state.metadata[SPENT] = state.token_usage

    def allows(self, state: TaskState, standstill: str) -> bool:
        """Whether the agent is asked to check once more; what it has spent so far is noted.

        Args:
            state: The sample.
            standstill: Why asking on would lead nowhere; empty if it may.
        """
        self.note(state)
        used = "the budget is used" if state.token_usage >= state.metadata[BUDGET] else ""
        if ended := used or standstill:
            state.metadata[ENDED] = ended
            return False
        state.metadata[CHECKS] += 1
        return True


def settled(answers: Sequence[ChatMessageAssistant]) -> str:
    """Why a model that answers in one message need not be asked again; empty if it may be."""
    if len(answers) > 1 and answers[-1].text.strip() == answers[-2].text.strip():
        return "the same message twice"
    if len(answers) >= CONFIRMED and len({_answer(each.text) for each in answers[-CONFIRMED:]}) == 1:
        return f"the same answer {CONFIRMED} times in a row"
    return ""


def _answer(text: str) -> tuple[str, ...]:
    found = answer_lines(text)
    return found.plain if found else (last_line(text),)


def open_budget(
    match_tokens: str | int | None, *, task: str, samples: Iterable[Sample], form: Mapping[str, object]
) -> Budget | None:
    """What each sample may take, from the logs of the arm to be matched.

    Args:
        match_tokens: A log or a folder of logs of one arm, or a number of tokens for every sample; None for no budget.
        task: Name of this task.
        samples: Its samples.
        form: Arguments that make another task of it.

    Raises:
        DataError: It is neither a path nor a positive number.
        LogError: The logs cannot be read, are of another task or of several arms, or tell no tokens of its samples.
    """
    if match_tokens is None:
        return None
    if isinstance(match_tokens, int) and not isinstance(match_tokens, bool) and match_tokens > 0:
        return Budget(by_sample=match_tokens, said=str(match_tokens))
    if not isinstance(match_tokens, str) or not match_tokens:
        raise DataError(f"match_tokens is a log, a folder of logs or a number of tokens, not {match_tokens!r}.")
    logs = load_logs([resolve_path(match_tokens)]).evaluations
    for log in logs:
        _check_task(log.header, task, form)
    arms = {(log.header.model.model, *(str(log.header.arguments.get(name)) for name in _ARM)) for log in logs}
    if len(arms) > 1:
        raise LogError(
            f"match_tokens: the logs in {match_tokens} are of {len(arms)} arms, with other models, skills or memories. "
            "Name the logs of one."
        )
    spent = _spent(logs)
    if not spent:
        raise LogError(f"match_tokens: no sample in {match_tokens} says what tokens it took. Give a number instead.")
    if not any(str(sample.id) in spent for sample in samples):
        raise LogError(f"match_tokens: the logs in {match_tokens} are of other samples, such as {min(spent)}.")
    means = {name: math.ceil(sum(tokens) / len(tokens)) for name, tokens in spent.items()}
    return Budget(by_sample=means, said=match_tokens)


def _spent(logs: Iterable[LoadedLog]) -> dict[str, list[int]]:
    """Tokens of each finished run, by sample: input, cached input and output, as Inspect and its limits count them."""
    spent: dict[str, list[int]] = defaultdict(list)
    for run in (run for log in logs for run in log.runs if not run.summary.error):
        if tokens := sum(used.total_tokens for used in run.summary.model_usage.values()):
            spent[str(run.summary.id)].append(tokens)
    return spent


def _check_task(header: Header, task: str, form: Mapping[str, object]) -> None:
    logged = header.task.rsplit("/", 1)[-1]
    if logged != task:
        raise LogError(f"match_tokens: {header.file} is a log of the task {logged}, not of {task}.")
    for name, value in form.items():
        if name in header.arguments and header.arguments[name] != value:
            raise LogError(
                f"match_tokens: {header.file} was made with {name}={header.arguments[name]}, and this task has "
                f"{name}={value}. Name logs of the same, or give the same."
            )
