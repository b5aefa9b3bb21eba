r"""Final answers of mathematical problems: found in a message, compared by value.

DAPO-Math and AIME publish answers but no comparison code, so the rule is this project's. Numbers are compared exactly.
Other expressions are left to math-verify (https://github.com/huggingface/Math-Verify), which is built on sympy and
can run for ever on an answer such as `9^{9^{9}}`. It runs in a process of its own that the kernel ends when its time is
up.
"""

import atexit
import logging
import re
import resource
import signal
from dataclasses import dataclass
from fractions import Fraction

from evals.graders.worker import WorkerEndedError, Workers

SEARCHED = 200_000
"""Characters at the end of a message in which its answer is looked for."""

MAX_ANSWER = 20_000
"""A longer answer is not compared."""

MAX_EXPRESSION = 2_000
"""A longer expression is not given to math-verify; numbers may be longer."""

MAX_RATIONAL = 1_000
"""Characters of a fraction or decimal; whole numbers may be longer."""

CPU_SECONDS = 5
WALL_SECONDS = 60
"""Limits of one comparison by math-verify. CPU time decides, so that a busy machine does not change verdicts."""

MEMORY_BYTES = 4 * 1024**3


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """Outcome of a comparison.

    Attributes:
        same: Whether the two have the same value.
        reason: Why, in a sentence that does not tell the target.
    """

    same: bool
    reason: str


# --- finding the answer ---------------------------------------------------------------------------------------------

_BRACES = re.compile(r"\\(?:boxed|fbox)\s*\{|\\[{}]|[{}]")
_DECLARED = re.compile(r"\banswer\b[*_`\s]*(?:\bis\b|\bequals\b|:|\uff1a|=)[*_`\s:]*([^\n]+)", re.IGNORECASE)
_DELIMITED = re.compile(r"(?:\$\$|\$|\\\(|\\\[)(.+?)(?:\$\$|\$|\\\)|\\\])")
_SENTENCE_END = re.compile(r"\.(?:\s|$)|;|,\s+(?=[A-Za-z])|\s(?:because|since|so|as|which)\s", re.IGNORECASE)


def extract_answer(text: str) -> str | None:
    r"""The final answer that a message declares.

    Args:
        text: The whole message; its last 200,000 characters are searched.

    Returns:
        The content of the last complete `\boxed{...}`; else what follows the last `ANSWER:` or `the answer is`; else
        the last line, if it is nothing but a number; else None.
    """
    text = text[-SEARCHED:]
    return _boxed(text) or _declared(text) or _bare_number(text)


def _boxed(text: str) -> str | None:
    """Content of the box that closes last; one pass over the braces, so that a flood of them costs no more."""
    opened: list[int | None] = []
    found: tuple[int, int] | None = None
    for match in _BRACES.finditer(text):
        token = match.group()
        if token.endswith("{") and token != r"\{":
            opened.append(match.end() if token[0] == "\\" else None)
        elif token == "}" and opened and (start := opened.pop()) is not None and text[start : match.start()].strip():
            found = start, match.start()
    return text[found[0] : found[1]].strip() if found else None


def _declared(text: str) -> str | None:
    declared = _DECLARED.findall(text)
    if not declared:
        return None
    line = declared[-1].strip().lstrip("*_` ")
    if delimited := _DELIMITED.match(line):
        return delimited.group(1).strip() or None
    return _SENTENCE_END.split(line)[0].strip(" \t*_`") or None


def _bare_number(text: str) -> str | None:
    lines = text.rstrip().rsplit("\n", 1)
    line = lines[-1].strip(" \t*_`")
    return line if len(line) <= MAX_ANSWER and _NUMBER.fullmatch(tidy(line)) else None


# --- exact comparison -----------------------------------------------------------------------------------------------

_WHOLE = r"(?:[0-9]{1,3}(?:[ ,][0-9]{3})++(?![0-9])|[0-9]++)"
_SIGNED = rf"[+-]?{_WHOLE}"
_NUMBER = re.compile(
    rf"(?P<sign>[+-]?)(?:"
    rf"\\frac\s*(?:\{{\s*(?P<top>{_SIGNED})\s*\}}|(?P<top_digit>[0-9]))"
    rf"\s*(?:\{{\s*(?P<bottom>{_SIGNED})\s*\}}|(?P<bottom_digit>[0-9]))"
    rf"|(?P<over>{_WHOLE})\s*/\s*(?P<under>{_WHOLE})"
    rf"|(?P<whole>{_WHOLE})(?P<decimals>\.[0-9]*+)?"
    rf"|(?P<point>\.[0-9]++))"
)
_WORD = r"[A-Za-zµ]++(?:\s*\^?\s*(?:[23²³](?![0-9])|\{[23]\}))?"
_UNITS = re.compile(rf"(?:[\s/%°]*+{_WORD})*+[\s%°.]*+")
# fmt: off
_SHORT_UNITS = frozenset(
    {"cm", "mm", "km", "m", "in", "ft", "yd", "mi", "kg", "g", "mg", "lb", "oz", "s", "ms", "h", "hr", "kmh",
     "mph", "l", "ml", "L", "mL", "rad", "sq", "of", "per"}
)
_NOT_UNITS = frozenset(
    {"hundred", "thousand", "million", "billion", "trillion", "dozen", "half", "factorial", "squared", "cubed",
     "times", "plus", "minus", "divided", "over", "choose", "and", "mod", "modulo", "not", "pi", "sqrt", "sin",
     "cos", "tan", "log", "exp"}
)
# fmt: on
MAX_UNIT = 60

_SPELLINGS = (
    (re.compile(r"[−–]"), "-"),  # noqa: RUF001 - typographic minus signs
    (re.compile(r"\\[dtc]frac(?![A-Za-z])"), r"\\frac"),
    (re.compile(r"\^\s*(?:\{\s*\\circ\s*\}|\\circ(?![A-Za-z]))|\\degree(?![A-Za-z])"), "°"),
    (re.compile(r"\{,\}"), ","),
    (re.compile(r"\\(?:!|negthinspace(?![A-Za-z]))"), ""),
    (re.compile(r"\\%"), "%"),
    (re.compile(r"\\?\$|\\[()\[\]]|[€£]"), ""),
    # What only sets type: environments, spaces, colours, and the size and shape of letters and brackets.
    (re.compile(r"\\begin\s*\{array\}\s*\{[clr|\s]*\}|\\end\s*\{array\}"), " "),
    (re.compile(r"\\(?:begin|end)\s*\{(?:align|aligned|center|equation|gather|gathered|math|split)\*?\}"), " "),
    (re.compile(r"\\(?:[hv]space|tag|label)\*?\s*\{[^{}]*\}"), " "),
    (re.compile(r"\\(?:hskip|kern|mkern|mskip)\s*-?[0-9.]+\s*(?:pt|em|ex|mu|cm|mm|in)"), " "),
    (re.compile(r"\\(?:textcolor|colorbox)\s*(?:\[[^\[\]]*\])?\s*\{[^{}]*\}\s*(?=\{)"), r"\\text"),
    (re.compile(r"\\fcolorbox\s*\{[^{}]*\}\s*\{[^{}]*\}\s*(?=\{)"), r"\\text"),
    (re.compile(r"\\color\s*(?:\[[^\[\]]*\])?\s*\{[^{}]*\}"), " "),
    (re.compile(r"\\(?:left|right|[bB]igg?[lrm]?|(?:display|text|script|scriptscript)style)(?![A-Za-z])"), ""),
    (
        re.compile(
            r"\\(?:tiny|scriptsize|footnotesize|small|normalsize|[lL]arge|LARGE|[hH]uge|bf|rm|it|sf|tt|sc|sl|em|"
            r"(?:bf|md)series|(?:it|sl|sc|up)shape|(?:rm|sf|tt)family|(?:un)?boldmath|centering|noindent|"
            r"(?:negmed|thin|med|thick)space|enspace|enskip|strut|mathstrut|relax|limits|nonumber|notag)(?![A-Za-z])"
        ),
        " ",
    ),
    (re.compile(r"\\(?:[,;:> ]|q?quad(?![A-Za-z]))|[~\s]|[\u00a0\u2000-\u200a\u202f]"), " "),
)
_WRAPPER = re.compile(
    r"\\(?:boxed|fbox|framebox|[hm]box|makebox|bm|boldsymbol|pmb|emph|underline|uline|ensuremath|"
    r"text(?:bf|it|md|rm|sc|sf|sl|tt|up|normal)?|math(?:rm|bf|it|sf|tt|normal|ord)|sym(?:bf|rm|it))"
    r"\s*\{([^{}]*)\}"
    r"|\\operatorname\*?\s*\{([^{}A-Za-z]*)\}"
)
_RESIDUE = re.compile(r"\s*\\pmod\s*(?:\{[^{}]*\}|[0-9a-z])\s*$|\s*\(mod [^()]*\)\s*$")
_ORDINAL = re.compile(r"(?<=[0-9])\s*\^?\s*(?:\{\s*(?:st|nd|rd|th)\s*\}|(?:st|nd|rd|th)(?![A-Za-z]))\s*$")
_TEMPERATURE = re.compile(r"°\s*[CFK]\s*$")
_IN_WORDS = re.compile(r"\s+\(\s*([A-Za-z]{3,}(?:[ -][A-Za-z]{2,})*)\s*\)\s*$")
_LABEL = re.compile(r"^(?:the\s+)?(?:final\s+)?answer\s*(?:is\b|[:=])+\s*[:=]?\s*", re.IGNORECASE)
_GROUP = re.compile(r"(^|=)\s*\{([^{}]*)\}\s*$")
_SIDES = re.compile(r"(?<![!<>:])=|\\equiv(?![A-Za-z])")
_SEVERAL = re.compile(r"[,;]|\b(?:or|and)\b|\\not|\\pm")


def tidy(answer: str) -> str:
    r"""An answer in one spelling: without LaTeX's spacing, delimiters and `\text`, all fractions as `\frac`."""
    for pattern, replacement in _SPELLINGS:
        answer = pattern.sub(replacement, answer)
    for _ in range(5):
        answer, changed = _WRAPPER.subn(r" \1\2 ", answer)
        if not changed:
            break
    answer = " ".join(answer.split()).strip(" *`'\"")
    answer = _GROUP.sub(r"\1 \2", _LABEL.sub("", answer.removesuffix(".").rstrip())).strip()
    if re.fullmatch(r"\{[^{}]*\}|\([^(),]*\)", answer):
        answer = answer[1:-1].strip()
    return re.sub(r"^([+-]) ", r"\1", answer)


def compare_answers(prediction: str, target: str) -> Verdict:
    """Judge an answer against the reference, by value.

    Blocks while math-verify works: call it from a thread.

    Args:
        prediction: The answer as the model wrote it, LaTeX or plain.
        target: The reference.

    Raises:
        RuntimeError: math-verify cannot be run on this machine.
    """
    if (size := len(prediction)) > MAX_ANSWER:
        return Verdict(same=False, reason=f"An answer of {size:,} characters is too long; {MAX_ANSWER:,} are compared.")
    given, wanted = tidy(prediction), tidy(target)
    if given == wanted and given:
        return Verdict(same=True, reason="The answer equals the target.")
    number, reference = number_of(given), number_of(wanted)
    if number is not None and number == reference:
        return Verdict(same=True, reason="The answer has the target's value.")
    if number is not None and reference is not None and "%" not in given + wanted:
        return Verdict(same=False, reason="The answer has another value than the target.")
    if reference is not None and not re.search(r"[0-9\\π]", given):
        return Verdict(same=False, reason=f"A number was expected, but the answer is {shortened(prediction)!r}.")
    if (size := len(given)) > MAX_EXPRESSION:
        return Verdict(
            same=False, reason=f"An expression of {size:,} characters; only {MAX_EXPRESSION:,} are compared."
        )
    return compare_expressions(given, wanted)


def same_value(prediction: str, target: str) -> bool:
    """Whether an answer has the reference's value; see `compare_answers`."""
    return compare_answers(prediction, target).same


def shortened(text: str, limit: int = 100) -> str:
    """The beginning of a text that may be very long."""
    return text if len(text) <= limit else f"{text[:limit]}..."


def number_of(answer: str) -> str | None:
    """The value of a tidied answer in one spelling, without unit, or None if it is not a plain number."""
    answer = _without_remarks(answer)
    *left, answer = _SIDES.split(answer)
    if any(_SEVERAL.search(side) for side in left):
        return None
    answer = re.sub(r"^([+-]) ", r"\1", answer.strip())
    match = _NUMBER.match(answer)
    if match is None or not _is_unit(answer[match.end() :]):
        return None
    return _value(match)


def _without_remarks(answer: str) -> str:
    """An answer without what may follow a number and leaves its value: a modulus, `^{th}`, a `C` after °, words."""
    answer = _RESIDUE.sub("", answer)
    words = _IN_WORDS.search(answer)
    if words and _NOT_UNITS.isdisjoint(re.findall(r"[a-z]+", words[1].lower())):
        answer = answer[: words.start()]
    return _TEMPERATURE.sub("°", _ORDINAL.sub("", answer))


def _is_unit(tail: str) -> bool:
    if len(tail) > MAX_UNIT or not _UNITS.fullmatch(tail):
        return False
    words = re.findall(r"[A-Za-zµ]+", tail)
    separate = not tail[:1].isalpha() or (len(words[0]) > 1 and words[0] in _SHORT_UNITS)
    return separate and all(w in _SHORT_UNITS or (len(w) > 2 and w.lower() not in _NOT_UNITS) for w in words)


def _value(match: re.Match[str]) -> str | None:
    """A whole number as its digits, which may be too many for `int`; other numbers as a reduced fraction."""
    parts = {name: re.sub("[ ,]", "", text) for name, text in match.groupdict().items() if text}
    sign = "-" if parts.get("sign") == "-" else ""
    if "whole" in parts and not parts.get("decimals", "").strip(".0"):
        digits = parts["whole"].lstrip("0") or "0"
        return digits if digits == "0" else sign + digits
    if len(match.group()) > MAX_RATIONAL:
        return None
    top = parts.get("top") or parts.get("top_digit") or parts.get("over")
    bottom = parts.get("bottom") or parts.get("bottom_digit") or parts.get("under")
    if top and bottom:
        value = Fraction(int(top), int(bottom)) if int(bottom) else None
    else:
        value = Fraction(f"{parts.get('whole', '0')}{parts.get('decimals') or parts['point']}")
    return None if value is None else str(-value if sign else value)


# --- math-verify in a process of its own ----------------------------------------------------------------------------

WORKERS = Workers()

atexit.register(WORKERS.stop)


def compare_expressions(prediction: str, target: str, seconds: float = CPU_SECONDS) -> Verdict:
    """Let math-verify judge two expressions, within limits of time and memory.

    Args:
        prediction: The answer, at most a few thousand characters.
        target: The reference.
        seconds: CPU time it may take.

    Raises:
        RuntimeError: math-verify cannot be imported, or something other than the answer ended the comparing process.
    """
    try:
        return WORKERS.call(limited_comparison, prediction, target, seconds)
    except WorkerEndedError as error:
        if error.status == -signal.SIGPROF:
            return Verdict(same=False, reason=f"Comparing {shortened(prediction)!r} took more than {seconds:g} s.")
        if error.status in (-signal.SIGSEGV, -signal.SIGABRT):
            return Verdict(same=False, reason=f"Comparing {shortened(prediction)!r} crashed math-verify.")
        raise
    except ImportError as error:
        raise RuntimeError("math-verify cannot be imported. Install it: pip install math-verify") from error


def limited_comparison(prediction: str, target: str, seconds: float) -> Verdict:
    """What `compare_expressions` has a process do: past its limits, the kernel ends that process."""
    logging.disable()
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES, MEMORY_BYTES))
    from math_verify import LatexExtractionConfig, parse, verify

    def read(answer: str) -> list[object]:
        # Only the LaTeX grammar: math-verify's other one hands text to sympy's parse_expr, which evaluates code.
        # Its own time limits need the main thread and are off, since the kernel's hold anyway.
        config = [LatexExtractionConfig()]
        found = parse(rf"\boxed{{{answer}}}", config, "no_fallback", parsing_timeout=None, raise_on_error=True)
        return list(found)

    signal.setitimer(signal.ITIMER_PROF, seconds)
    signal.alarm(WALL_SECONDS)
    try:
        given, wanted = read(prediction), read(target)
        if not given:
            return Verdict(same=False, reason=f"{shortened(prediction)!r} cannot be read as mathematics.")
        same = bool(verify(wanted, given, timeout_seconds=None, raise_on_error=True))
    except Exception as error:  # of sympy's making, and so an answer without a value
        return Verdict(same=False, reason=f"Comparing {shortened(prediction)!r} failed: {type(error).__name__}.")
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        signal.alarm(0)
    return Verdict(same=same, reason=f"The answer {'equals' if same else 'differs from'} the target (math-verify).")
