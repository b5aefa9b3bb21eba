r"""Backslashes in a model's JSON: what it wrote is not what a JSON parser reads.

Models write LaTeX, Windows paths and regular expressions into JSON strings without doubling the backslash. Most of
that is invalid JSON (`\alpha`, `\d`); some of it is valid and means a control character: `\times` decodes to a tab
and `imes`, `\neq` to a newline and `eq`, `\boxed` to a backspace. `decode` makes the first kind parsable, `restore`
finds the second kind in text that is decoded already, as arguments of tool calls are.
"""

import json
import re
from functools import partial
from typing import Any

__all__ = ["decode", "restore", "restored"]

_ESCAPE = re.compile(r"\\(u[0-9a-fA-F]{4}|.)", re.DOTALL)
_STRING = re.compile(r'"(?:[^"\\]|\\.)*"', re.DOTALL)
_BACK = r"\\(?!\\|u[0-9a-fA-F]{4})"
_DRIVE = re.compile(rf"(?<![A-Za-z])[C-Z]:{_BACK}[^\s\"*?<>|]*")
# Paths without a drive: of a host, from here or above, from a variable, and of files with a usual extension.
_ROOTED = re.compile(
    rf"(?<![\\\w.%~])(?:\\\\(?=\w)|\.{{1,2}}{_BACK}|~{_BACK}|%\w+%{_BACK})(?:[\w.%~-]+{_BACK})*[\w.%~-]+"
)
_RELATIVE = re.compile(
    rf"(?<![\\\w.])(?:[\w.-]{{2,80}}{_BACK})+[\w.-]{{1,80}}\.(?:xls[xmb]?|[ct]sv|txt|jsonl?|py|md|pdf|png|jpe?g|docx?|html?|xml|"
    r"ya?ml|log|parquet|ini|cfg|exe|bat|ps1|zip)\b"
)
_RAW = re.compile(r"(?<![A-Za-z0-9])[rR]'[^'\n]*'|(?<![A-Za-z0-9])[rR]\\\"(?:[^\"\\\n]|\\[^\"])*\\\"")
_ROWS = re.compile(r"(?<!\\)\\begin\{(\w{1,20}\*?)\}.{0,4000}?(?<!\\)\\end\{\1\}", re.DOTALL)
_SEPARATOR = re.compile(r"(?<!\\)\\(?![\\\"])")
_EXTENSION = re.compile(r"\.[A-Za-z]\w{1,4}$")
_FENCE = re.compile(r"```(?:json)?[ \t]*\n(.*?)\n[ \t]*```", re.DOTALL)

# Commands of LaTeX (base and amsmath) that begin with the letter of a JSON escape, without that letter.
_AFTER_T = """abular ag an anh au ext extbf extit extrm exttt extsf extstyle extcolor frac heta herefore hickapprox
hicksim ilde imes inyint itle o op opsep riangle riangleleft riangleq riangleright woheadrightarrow"""
_AFTER_N = """abla earrow e eg eq ewcommand ewline exists geq gtr i leq le less leqslant geqslant mid olimits onumber
ormalsize ot otag otin parallel prec rightarrow Rightarrow leftarrow Leftarrow leftrightarrow Leftrightarrow cong
subset supset subseteq supseteq sim u vdash vDash warrow"""
# These letters may be a word of their own: they need other LaTeX, or a brace, beside them.
_DOUBTFUL = """ag an au e exists ext i itle le less mid o op ot parallel prec sim u"""
_SIGNS = """frac sqrt sum prod int cdot alpha beta gamma delta Delta epsilon lambda mu sigma omega phi pi infty le
leq ge geq boxed left right mathrm mathbb mathbf mathcal ldots cdots dots pm div quad qquad to rightarrow Rightarrow
implies iff forall exists in notin subset cup cap emptyset vec hat bar overline angle circ partial approx sim mid perp
sin cos log ln lim binom equiv pmod begin text times"""
_LATEX = re.compile(rf"\$[^$]{{1,200}}\$|\\[([]|\\(?:{'|'.join(_SIGNS.split())})\b|[\x08\x0c][a-z]+|\r[a-z]+")
_CONTROL = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]")
_LETTERS = {"\x07": "a", "\x08": "b", "\x0b": "v", "\x0c": "f"}


def decode(text: str) -> Any:
    """The JSON value in a model's text: in a code fence, between other words, with single backslashes.

    Returns:
        The value, as the parser sees it: `restored` is yet to be applied.

    Raises:
        ValueError: There is none.
    """
    problem: ValueError | None = None
    for candidate in _candidates(text):
        try:
            # Models also leave line breaks in strings as they are; `strict` would refuse them.
            value, _ = json.JSONDecoder(strict=False).raw_decode(_doubled(candidate.strip()))
        except ValueError as error:
            problem = problem or error
        except RecursionError:
            problem = problem or ValueError("it is nested too deeply")
        else:
            return value
    raise problem or ValueError("it holds no JSON object")


def _candidates(text: str) -> list[str]:
    """Where the value may begin, most likely first: with the text, in its last fence, at its first brace."""
    found = [text.strip()] if text.strip().startswith(("{", "[")) else []
    found += [block for block in reversed(_FENCE.findall(text)) if block.strip().startswith(("{", "["))]
    brace = text.find("{")
    return found + ([text[brace:]] if brace >= 0 else [])


def _doubled(text: str) -> str:
    """JSON text in which every backslash that cannot be an escape, or stands in a Windows path, is doubled."""
    return _STRING.sub(lambda match: _doubled_string(match.group()), text)


def _doubled_string(text: str) -> str:
    text = _ROWS.sub(lambda rows: re.sub(r"(?<!\\)\\\\(?!\\)", r"\\\\\\\\", rows.group()), text)
    text = _RAW.sub(lambda raw: _SEPARATOR.sub(r"\\\\", raw.group()), text)
    text = _RELATIVE.sub(
        partial(_doubled_path, ambiguous="nt"), _DRIVE.sub(_doubled_path, _ROOTED.sub(_doubled_rooted, text))
    )
    return _ESCAPE.sub(_doubled_escape, text)


def _doubled_rooted(match: re.Match[str]) -> str:
    """A path from a host, a folder or a variable; two backslashes before a name alone are a doubled one."""
    path = match.group()
    if path.startswith("\\\\"):
        return "\\\\" + _SEPARATOR.sub(r"\\\\", path) if _SEPARATOR.search(path, 2) else path
    return _doubled_path(match)


def _doubled_path(match: re.Match[str], ambiguous: str = "n") -> str:
    """A Windows path with its separators doubled; names on lines or in columns of their own are none."""
    path = match.group()
    *folders, file = _SEPARATOR.split(path)
    letters = [path[separator.end()] for separator in _SEPARATOR.finditer(path) if separator.end() < len(path)]
    like_a_file = len(letters) > 1 and _EXTENSION.search(file) and not any(map(_EXTENSION.search, folders))
    is_path = like_a_file or any(letter not in ambiguous for letter in letters)
    return _SEPARATOR.sub(r"\\\\", path) if is_path else path


def _doubled_escape(match: re.Match[str]) -> str:
    after = match.group(1)
    if after == "'":  # an escape of Python
        return "'"
    # Nobody asks for a backspace or form feed: \boxed, \frac, and \b in regular expressions.
    return match.group() if after[0] in '"\\/nrt' or len(after) == 5 else "\\" + match.group()


def restored(value: Any) -> Any:
    """A JSON value with `restore` applied to every string in it."""
    match value:
        case str():
            return restore(value)
        case list():
            return [restored(item) for item in value]
        case dict():
            return {restore(key): restored(item) for key, item in value.items()}
    return value


def restore(text: str) -> str:
    r"""Decoded text with the backslashes back that a JSON parser took for escapes.

    A tab or newline is taken for one only where the letters after it complete a command of LaTeX; where these could
    be a word of their own, only beside other LaTeX. No other control character is left: those that an escape has the
    letter of are written out (`\f` in `\frac`), a carriage return before letters likewise, and the rest is removed.

    Args:
        text: What a JSON parser made of a model's string.

    Returns:
        The text with tabs and newlines as its only control characters.
    """
    if not re.search(r"[\x00-\x1f\x7f]", text):
        return text
    latex = bool(_LATEX.search(text))
    text = re.sub(r"\t(?=([A-Za-z]+))", lambda m: _command(m, "t", _AFTER_T, latex), text)
    text = re.sub(r"\n(?=([A-Za-z]+))", lambda m: _command(m, "n", _AFTER_N, latex), text)
    text = re.sub(r"(?<=(['\"`]))([\n\t\r]{1,4})(?=\1)", _quoted, text)
    text = text.replace("\r\n", "\n")
    text = re.sub(r"\r(?=[A-Za-z])", lambda _: "\\r", text).replace("\r", "\n")
    return _CONTROL.sub(lambda match: f"\\{letter}" if (letter := _LETTERS.get(match.group())) else "", text)


def _command(match: re.Match[str], letter: str, commands: str, latex: bool) -> str:
    rest = match.group(1)
    sure = latex or rest not in _DOUBTFUL.split() or match.string[match.end(1) : match.end(1) + 1] == "{"
    known = rest in commands.split() and sure
    return f"\\{letter}" if known else match.group()


def _quoted(match: re.Match[str]) -> str:
    """Line breaks and tabs alone between quotes, unless these end one quotation and begin another."""
    before = match.string[match.start() - 2 : match.start() - 1]
    if before.isalnum() or before == match.group(1):
        return match.group()
    return match.group(2).replace("\n", "\\n").replace("\t", "\\t").replace("\r", "\\r")
