"""Which part of a prompt a server's prefix cache holds: whole blocks, from the first one on, of all prompts before."""

import hashlib
from collections.abc import Iterator


class PrefixCache:
    """A prefix cache without a limit: the bound of what a server of the same block size can hit."""

    def __init__(self, block: int) -> None:
        """Block length in characters."""
        self.block = block
        self._known: set[bytes] = set()

    def read(self, prompt: str) -> int:
        """Characters of a prompt that are in the cache; all of its blocks are from then on."""
        names = list(self._names(prompt))
        found = next((number for number, name in enumerate(names) if name not in self._known), len(names))
        self._known.update(names[found:])
        return found * self.block

    def _names(self, prompt: str) -> Iterator[bytes]:
        """A name for each whole block, which stands for it and for all blocks before it."""
        state = hashlib.blake2b(digest_size=16)
        for start in range(0, len(prompt) - self.block + 1, self.block):
            state.update(prompt[start : start + self.block].encode("utf-8", "surrogatepass"))
            yield state.digest()
