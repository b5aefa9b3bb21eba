"""Faults at the wire: which request fails, and how.

A fault is drawn from the seed, the request's body and how often that body has come before, and from nothing else: the
same run meets the same faults in whatever order its requests arrive, and a request that is sent again draws anew.
"""

import hashlib
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

from trace2skill.errors import Trace2SkillError

NONE = "none"

FAULTS = {
    NONE: "all is well, after a fault that lasted",
    "429": "refused: too many requests",
    "429-retry-after": "refused likewise, with the header Retry-After",
    "500": "an internal error",
    "reset": "the connection is reset in the middle of the body",
    "slow": "the first byte comes late",
    "hang": "accepted, and never answered",
    "truncated": "a whole HTTP answer whose JSON breaks off",
    "text-call": "a tool call that stays text, as where no tool parser fits the model",
    "empty-choices": "an answer without choices",
    "unknown-model": "404: the model is not served",
    "overflow": "400: the prompt exceeds the context",
    "overflow-engine": "400 likewise, in the words of vLLM's engine",
    "refused": "400: the server has no tool parser",
    "error-body": "200, with an error in place of the answer",
    "no-message": "200, with a choice that holds no message",
    "length": "the reply is cut off at half, with finish_reason length",
    "gone": "the server is no longer there",
}
"""The kinds of faults, and what each is."""

FOR_GOOD = "gone"
"""The fault that no later request can survive."""


@dataclass(kw_only=True)
class Faults:
    """What goes wrong.

    Attributes:
        rates: Share of requests that meet a fault, by kind.
        onwards: A kind of fault, by the number of the request, from 1, from which on all meet it.
        seed: Another seed draws other requests.
    """

    rates: dict[str, float] = field(default_factory=dict)
    onwards: dict[int, str] = field(default_factory=dict)
    seed: int = 0
    met: Counter[str] = field(default_factory=Counter)
    """Faults so far, by kind."""
    requests: int = 0
    """Requests so far."""
    _seen: Counter[bytes] = field(default_factory=Counter)

    def __post_init__(self) -> None:
        strange = sorted({*self.rates, *self.onwards.values()} - FAULTS.keys())
        if strange:
            raise Trace2SkillError(f"There is no fault '{strange[0]}'; there are {', '.join(FAULTS)}.")
        if FOR_GOOD in self.rates:
            raise Trace2SkillError(f"A server is {FOR_GOOD} from some request on: {FOR_GOOD}@N.")
        if any(rate < 0 for rate in self.rates.values()) or sum(self.rates.values()) > 1:
            raise Trace2SkillError("Rates of faults are shares of all requests: 0 or more, and 1 together at most.")

    def meet(self, body: bytes) -> str:
        """The fault that a request meets; empty if it meets none."""
        self.requests += 1
        digest = hashlib.blake2b(body, digest_size=16).digest()
        self._seen[digest] += 1
        kind = self.lasting or self._drawn(digest, self._seen[digest])
        if kind:
            self.met[kind] += 1
        return kind

    @property
    def lasting(self) -> str:
        """The fault that the server has for good by now."""
        begun = [number for number in self.onwards if number <= self.requests]
        kind = self.onwards[max(begun)] if begun else NONE
        return "" if kind == NONE else kind

    def _drawn(self, digest: bytes, attempt: int) -> str:
        text = f"{self.seed}/{attempt}/".encode() + digest
        drawn = int.from_bytes(hashlib.blake2b(text, digest_size=8).digest()) / 2**64
        for kind, rate in self.rates.items():
            if drawn < rate:
                return kind
            drawn -= rate
        return ""


def read_faults(options: Sequence[str], seed: int = 0) -> Faults:
    """Faults as a command line says them: `429=0.1` is a rate, `hang@40` is from the 40th request on.

    Raises:
        Trace2SkillError: An option has another form, or names no fault.
    """
    faults = Faults(seed=seed)
    for option in options:
        try:
            if "@" in option:
                kind, number = option.split("@")
                faults.onwards[int(number)] = kind
            else:
                kind, rate = option.split("=")
                faults.rates[kind] = float(rate)
        except ValueError as error:
            raise Trace2SkillError(f"--fault {option}: say KIND=RATE or KIND@NUMBER, such as 429=0.1.") from error
    return Faults(rates=faults.rates, onwards=faults.onwards, seed=seed)
