"""A profile as the command that serves it on given GPUs."""

import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from trace2skill.errors import Trace2SkillError
from trace2skill.models.sampling import ModelProfile, bundled_profiles, load_model_profile, profiles_folder
from trace2skill.models.serving import Argument, Layout, Serving, Weights
from trace2skill.serving.gpus import Gpus
from trace2skill.serving.weights import check_weights

HOST, PORT = "127.0.0.1", 8000
"""Where a server listens unless told otherwise."""

_CONTEXT = "--max-model-len"
_RESERVED = {
    "--host": "say it to `serve` itself: --host",
    "--port": "say it to `serve` itself: --port",
    "--model": "say it to `serve` itself: --model FOLDER, or `hub` of a profile of your own",
    "--served-model-name": "it is `hub` of the profile; another one takes a profile of your own, and --model FOLDER",
    "--api-key": "export VLLM_API_KEY=..., which vLLM reads too, and `ps` does not show",
    "--uds": "it is asked at --host and --port",
    "--ssl-certfile": "it is asked over plain HTTP; put a proxy with the certificate in front of it",
    "--ssl-keyfile": "it is asked over plain HTTP; put a proxy with the certificate in front of it",
}
"""Arguments of vLLM without which `serve` would not find its server, and what to say instead."""


@dataclass(frozen=True, kw_only=True)
class Launch:
    """One way to serve a profile."""

    profile: ModelProfile
    """What is served."""
    serving: Serving
    """How."""
    weights: Weights
    """Which of its weights."""
    layout: Layout
    """On which GPUs."""
    arguments: tuple[str, ...]
    """Arguments of vLLM's program."""
    missing: tuple[Argument, ...] = ()
    """Arguments that name a file which is not in the working folder."""
    folder: Path | None = None
    """Where the weights lie, if not on the hub."""
    images: bool = False
    """Whether images can be sent to it."""
    host: str = HOST
    """Address that it listens at."""
    port: int = PORT
    """Port that it listens at."""
    environment: Mapping[str, str] = field(default_factory=dict)
    """Environment variables that it needs."""

    @property
    def url(self) -> str:
        """Its address, for clients on this machine."""
        host = "127.0.0.1" if self.host in ("0.0.0.0", "::") else self.host
        return f"http://{f'[{host}]' if ':' in host else host}:{self.port}/v1"

    @property
    def model(self) -> str:
        """Name that it serves under."""
        return self.weights.hub

    def shell(self, vllm: str = "vllm") -> str:
        """The command, as a shell takes it."""
        variables = [f"{name}={shlex.quote(value)}" for name, value in self.environment.items()]
        return " ".join([*variables, shlex.join([vllm, *self.arguments])])


def plan_launch(
    name: str,
    gpus: Gpus,
    *,
    weights: str | None = None,
    folder: Path | None = None,
    images: bool = False,
    host: str = HOST,
    port: int = PORT,
    extra: Sequence[str] = (),
) -> Launch:
    """The command for a profile on these GPUs.

    Args:
        name: Bundled profile, or path of a YAML file.
        gpus: What there is.
        weights: Precision of the weights, by default the first of the profile that fits.
        folder: Weights that lie here already, instead of those of the hub.
        images: Whether images will be sent.
        host: Address to listen at.
        port: Port to listen at.
        extra: Further arguments for vLLM; they come last, and so win.

    Raises:
        Trace2SkillError: There is no such profile or form of its weights, it does not fit on these GPUs, or the
            folder holds no weights.
    """
    profile = load_model_profile(name, "")
    serving = profile.serving
    if serving is None or not serving.weights:
        raise Trace2SkillError(
            f"The profile {name} says how a model is sampled, not which weights are served. Those that do: "
            f"{', '.join(served_profiles())}."
        )
    form, layout = _fitting(name, serving, gpus, weights)
    if folder is not None:
        check_weights(folder)
    host = host.removeprefix("[").removesuffix("]")
    if images and not serving.abilities.images:
        raise Trace2SkillError(f"{name} reads no images, its profile says. Leave out --images.")
    common = [*serving.arguments, *([serving.text_only] if serving.text_only and not images else [])]
    words = [word.replace("{profiles}", str(profiles_folder())) for argument in common for word in argument.split()]
    words += [*shlex.split(layout.flags), *extra]
    named = _options(words)
    for option, instead in _RESERVED.items():
        if any(option.startswith(name) for name in named):  # the parser takes an option by its beginning, too
            raise Trace2SkillError(f"{option} cannot stand after -- or in a profile: {instead}.")
    model = [str(folder)] if folder else [form.hub, "--revision", form.revision]
    return Launch(
        profile=profile,
        serving=serving,
        weights=form,
        layout=layout,
        arguments=(
            *("serve", *model, "--served-model-name", form.hub, "--host", host, "--port", str(port)),
            *([] if _CONTEXT in named else [_CONTEXT, str(layout.context or serving.limits.context.tokens)]),
            *words,
        ),
        missing=tuple(argument for argument in common if argument.file and not Path(argument.file).is_file()),
        folder=folder,
        images=images,
        host=host,
        port=port,
        environment={
            **serving.environment,
            **(gpus.environment if layout.gpus else {}),
            **({"HF_HUB_OFFLINE": "1"} if folder else {}),
        },
    )


def served_profiles() -> list[str]:
    """Names of the bundled profiles that name weights."""
    loaded = {name: load_model_profile(name).serving for name in bundled_profiles()}
    return [name for name, serving in loaded.items() if serving and serving.weights]


def every_launch() -> list[Launch]:
    """Every command that the bundled profiles can give, one for each form of weights and each layout."""
    return [
        plan_launch(name, Gpus(layout.gpus, layout.memory), weights=form.name)
        for name in served_profiles()
        for serving in [load_model_profile(name).serving]
        if serving
        for form in serving.weights
        for layout in form.layouts
    ]


def _fitting(name: str, serving: Serving, gpus: Gpus, wanted: str | None) -> tuple[Weights, Layout]:
    forms = [form for form in serving.weights if wanted in (None, form.name)]
    if not forms:
        known = ", ".join(form.name for form in serving.weights)
        raise Trace2SkillError(f"--weights {wanted}: {name} has no such weights. It has {known}.")
    for form in forms:
        fitting = [layout for layout in form.layouts if gpus.hold(layout.gpus, layout.memory)]
        if fitting:
            return form, max(fitting, key=lambda layout: (layout.gpus, layout.memory))
    needs = "; ".join(f"{form.name} on {_either(form.layouts)}" for form in serving.weights)
    raise Trace2SkillError(
        f"{name}{f' as {wanted}' if wanted else ''} does not fit: there is {gpus}. It fits as {needs}. For "
        "another machine, say what it has: --gpus 4 --gpu-memory 80."
    )


def _options(words: Sequence[str]) -> set[str]:
    """Names of the options among arguments of vLLM, which takes `--a-b 1`, `--a_b 1` and `--a-b=1` alike."""
    return {word.partition("=")[0].replace("_", "-") for word in words if word.startswith("--") and word != "--"}


def _either(layouts: Sequence[Layout]) -> str:
    return " or ".join(str(layout) for layout in layouts)
