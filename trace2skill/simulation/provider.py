"""Inspect model provider of the stand-in models `sim/small` and `sim/large`.

    inspect eval evals/spreadsheet.py --model sim/small -T dataset=sample

They need no weights, no network and no key. What they produce is stamped `[SIMULATED]`: it shows how the
harness behaves, and says nothing about any real model. Model arguments: `seed`, and `data`: dataset folders, or files
of questions on documents (FILE.json), separated by commas.
"""

from collections.abc import Sequence
from pathlib import Path

from inspect_ai.model import (
    ChatCompletionChoice,
    ChatMessage,
    ChatMessageAssistant,
    GenerateConfig,
    ModelAPI,
    ModelOutput,
    modelapi,
)
from inspect_ai.tool import ToolChoice, ToolInfo

from trace2skill.simulation.roles import reply
from trace2skill.simulation.scales import Scale, get_scale
from trace2skill.simulation.tokens import CHARACTERS_PER_TOKEN, usage
from trace2skill.simulation.world import known_folders

SIMULATED = "SIMULATED"
"""Stands beside the model's name in everything that it says."""

DEFAULT_SEED = 16
"""Of those tried, the one whose outcomes in the quickstart lie nearest their means: decision 6, and its benchmark."""


class SimulatedModel(ModelAPI):
    """A behavioural simulation of agent, analysts and merger."""

    def __init__(
        self,
        model_name: str,
        base_url: str | None = None,
        api_key: str | None = None,
        config: GenerateConfig | None = None,
        seed: int = DEFAULT_SEED,
        data: str | Sequence[str] = (),
    ) -> None:
        super().__init__(model_name, base_url, api_key, [], config or GenerateConfig())
        self.scale = get_scale(model_name)
        self.seed = seed
        self.folders = known_folders(data.split(",") if isinstance(data, str) else data)

    async def generate(
        self, input: list[ChatMessage], tools: list[ToolInfo], tool_choice: ToolChoice, config: GenerateConfig
    ) -> ModelOutput:
        """The next message of whatever role the input makes it."""
        message = await next_message(input, tools, config, self.scale, self.seed, self.folders)
        return ModelOutput(
            model=f"sim/{self.scale.name} ({SIMULATED})",
            choices=[ChatCompletionChoice(message=message, stop_reason="tool_calls" if message.tool_calls else "stop")],
            usage=usage(input, tools, message),
        )

    async def count_text_tokens(self, text: str) -> int:
        """An estimate that needs no tokenizer."""
        return len(text) // CHARACTERS_PER_TOKEN


@modelapi(name="sim")
def sim() -> type[ModelAPI]:
    """The stand-in models."""
    return SimulatedModel


async def next_message(
    messages: Sequence[ChatMessage],
    tools: Sequence[ToolInfo],
    config: GenerateConfig,
    scale: Scale,
    seed: int,
    folders: tuple[Path, ...],
) -> ChatMessageAssistant:
    """What the stand-in says next, in this process or behind a server."""
    message = await reply(messages, tools, config, scale, f"{seed}/{config.seed}", folders)
    message.source = "generate"
    for number, call in enumerate(message.tool_calls or []):
        call.id = f"sim-{len(messages)}-{number}-{call.id}"
    return message
