"""Tools of an agent: calls that cannot be carried out are told to the model instead of failing the sample."""

import base64
import functools
from typing import Any

from inspect_ai.model import ContentImage
from inspect_ai.tool import Tool, ToolDef, ToolError, tool
from inspect_ai.util import sandbox

from evals.produced import is_agents_doing

IMAGE_TYPES = {b"\x89PNG": "image/png", b"\xff\xd8\xff": "image/jpeg"}
"""What an agent may look at, by its first bytes."""

MAX_IMAGE_BYTES = 4 * 1024**2


def forgiving(offered: Tool) -> Tool:
    """The same tool, which tells the model what is wrong with a call where Inspect would fail the sample.

    Inspect tells of most such errors itself. Left are a command that is too long for the system to start, and a working
    folder that the agent has closed.
    """
    known = ToolDef(offered)

    @functools.wraps(known.tool)
    async def execute(**arguments: Any) -> Any:
        try:
            return await known.tool(**arguments)
        except (TimeoutError, FileNotFoundError, IsADirectoryError, PermissionError):
            raise  # which Inspect tells in its own words
        except OSError as error:
            if await is_agents_doing(error):
                raise ToolError(f"This call cannot be carried out: {error}") from error
            raise

    return ToolDef(
        execute,
        name=known.name,
        description=known.description,
        parameters=known.parameters,
        parallel=known.parallel,
        viewer=known.viewer,
        model_input=known.model_input,
        max_output=known.max_output,
        options=known.options,
    ).as_tool()


@tool
def view_image() -> Tool:
    """Tool with which an agent looks at an image in its sandbox, such as a part of the page that it enlarged."""

    async def execute(path: str) -> ContentImage:
        """Look at an image file.

        Args:
            path: Path of a PNG or JPEG file of at most 4 MiB.
        """
        try:
            data = await sandbox().read_file(path, text=False)
        except FileNotFoundError as error:
            raise ToolError(f"There is no file {path}.") from error
        kind = next((kind for start, kind in IMAGE_TYPES.items() if data.startswith(start)), None)
        if kind is None or len(data) > MAX_IMAGE_BYTES:
            raise ToolError(f"{path} has {len(data)} bytes; a PNG or JPEG image of at most 4 MiB can be shown.")
        return ContentImage(image=f"data:{kind};base64,{base64.b64encode(data).decode()}")

    return execute
