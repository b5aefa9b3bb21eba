r"""Backslashes that a JSON parser took for escapes, found again in decoded text.

A tab or line break is most often one. That it was a backslash and a letter is concluded from what stands around it,
never from a word alone that could begin a line: `\neq 0` in mid-sentence, but not `eq = Eq(...)` on a line of its own.
"""

import re
from functools import partial

__all__ = ["restore"]

_WRITTEN = {"\n": r"\n", "\t": r"\t", "\r": r"\r", "\x07": r"\a", "\x08": r"\b", "\x0b": r"\v", "\x0c": r"\f"}
_LEFT = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]")
_FENCED = re.compile(r"^([ \t]*(`{3,}|~{3,})[^\n]*\n.*?(?:\n[ \t]*\2[`~]*[ \t]*$|\Z))", re.DOTALL | re.MULTILINE)

# Commands of LaTeX (base and amsmath) that begin with the letter of a JSON escape, without that letter. No text has
# these after a line break or tab, ...
_NOTHING_ELSE = {
    "t": re.compile(
        "\t(?=abular|ext(?:bf|it|rm|tt|sf|sc|up|style|color|normal|dollar|width|height)|heta|herefore|hickspace|"
        "hickapprox|hicksim|ilde|imes|inyint|riangle|woheadrightarrow|woheadleftarrow)"
    ),
    "n": re.compile(
        r"\n(?=abla|earrow|ewcommand|ewline|oindent|olimits|onumber|ormalsize|otag|otin|vdash|vDash|warrow|"
        r"triangle(?:left|right)|(?:(?:[gl]eqslant|(?:left|right|leftright|Left|Right|Leftright)arrow|su[bp]seteq)\b))"
    ),
}
# ... but these could be names in code as well, or words.
_NAMES = {
    "t": re.compile(r"\t(?P<rest>anh?|au|ag|binom|ext|frac|hinspace|iny|itle|op?|t)(?![A-Za-z])"),
    "n": re.compile(
        r"\n(?P<rest>cong|exists|eq?|eg|geq|gtr|i|leq?|less|lt|mid|ot|parallel|prec|succ|sim|subset|supset|u)(?![A-Za-z])"
    ),
}
_RELATIONS = frozenset(["eq", "leq", "geq", "cong", "sim", "subset"])
_WORDS = frozenset(["i", "less", "mid", "exists", "parallel", "subset", "prec", "cong", "itle"])
_OPERAND = r"[ ]?(?:-?\d|\\|[({$]|[A-Za-z](?![A-Za-z]))"
_ASSIGNED = r"\s*(?:[-+*/]?=(?!=)|\.\w|\[|:)"
_MATH = re.compile(
    r"(?<![\\$\w])\$(?![\s$])[^$]{1,200}?(?<![\s\\])\$(?![\w$])|\\\([^$]{1,200}?\\\)|\\\[.{1,400}?\\\]", re.DOTALL
)

_QUOTED = re.compile(
    r"\"{3}|'{3}|`{2,}"  # marks of longer quotations
    r"|(?<![\w'\"`\\])[A-Za-z]{0,2}(?P<closed>['\"`])(?:(?!(?P=closed))[^\n\t\r])*(?P=closed)"
    r"|(?<![\w'\"`\\])(?P<prefix>[A-Za-z]{0,2})(?P<mark>['\"`])(?P<content>(?:(?!(?P=mark)).){1,80}?)(?P=mark)(?=[\s,.;:)\]}+]|\Z)",
    re.DOTALL,
)
_IN_CODE = re.compile(r"(?:[(\[{=,+]|['\"]:)[ ]?\Z")
_CLASS = re.compile(r"\[\^?(?:\\.|\w-\w|[^\w\s\[\]]){0,40}[\n\t\r]+(?:\\.|\w-\w|[^\w\n\[\]]){0,40}\]")
_QUANTIFIED = re.compile(
    r"\r\?[\r\n]?|(?<=\()(?:[\n\t\r]+\|)*[\n\t\r]+(?=\))|[\n\t\r]+(?=\{\d+(?:,\d*)?\}|[+*?](?:['\"`/)|]|\Z))"
)

_SEPARATOR = r"[\\\n\t\r\x08\x0c]"
_PATH = re.compile(
    rf"(?P<root>(?<![A-Za-z])[A-Za-z]:|(?<![\\\w.%~])(?:\.{{1,2}}|~|%\w+%)|(?<![\\\w])\\{{1,2}}\w[\w.-]+)(?:{_SEPARATOR}[\w.~%$-]+)+"
    rf"|(?P<name>(?<![\\\w.])[\w.-]{{2,80}})(?:{_SEPARATOR}[\w.~%$-]+)+"
)
_FOLDERS = re.compile(
    r"\n(?:ew|otes|umbers|ames?|odes|etwork|otebooks?)(?![a-z])"
    r"|\t(?:able|arget|ask|emp|emplate|est|ext|mp|ools?|otal|rain|ransactions?)s?(?![a-z])"
)
_EXTENSION = re.compile(r"\.[A-Za-z]\w{1,4}\Z")


def restore(text: str, *, doubles: bool = False) -> str:
    r"""Decoded text with the backslashes back that a JSON parser took for escapes.

    Args:
        text: What a JSON parser made of a model's string.
        doubles: Whether its writer is known to double backslashes: then tabs and line breaks are changed only where
            nobody can have meant them, before the rest of a command of LaTeX and in Windows paths.

    Returns:
        The text with tabs and newlines as its only control characters. Others are written out where an escape has
        their letter (`\f` in `\frac`), as is a carriage return before letters; the rest is removed.
    """
    if not re.search(r"[\x00-\x1f\x7f]", text):
        return text
    parts = _FENCED.split(text)
    # What a split by two groups yields: prose, a fenced block, its mark, prose, ...
    prose = [_restored(part, doubles, code=False) for part in parts[::3]]
    blocks = [_restored(part, doubles, code=True) for part in parts[1::3]]
    return "".join(part for pair in zip(prose, [*blocks, ""], strict=True) for part in pair)


def _restored(text: str, doubles: bool, code: bool) -> str:
    if not doubles:
        text = _QUOTED.sub(_quoted, text)
        text = _CLASS.sub(_written_out, text)
        text = _QUANTIFIED.sub(_written_out, text)
    text = _PATH.sub(_path, text)
    for letter, names in _NAMES.items():
        text = _NOTHING_ELSE[letter].sub(rf"\\{letter}", text)
        if not code:
            if not doubles:
                text = _MATH.sub(partial(_in_math, names=names, letter=letter), text)
            text = names.sub(partial(_command, letter=letter), text)
    text = re.sub(r"\r(?=[A-Za-z])", lambda _: r"\r", text.replace("\r\n", "\n")).replace("\r", "\n")
    return _LEFT.sub(lambda match: _WRITTEN.get(match.group(), ""), text)


def _written_out(match: re.Match[str]) -> str:
    return "".join(_WRITTEN.get(char, char) for char in match.group())


def _in_math(span: re.Match[str], names: re.Pattern[str], letter: str) -> str:
    return names.sub(rf"\\{letter}\g<rest>", span.group())


def _quoted(match: re.Match[str]) -> str:
    """A quotation in which a line break cannot stand: a string of code, or nothing but escapes."""
    content = match["content"]
    if not content or not re.search(r"[\n\t\r]", content):
        return match.group()
    pattern = match["prefix"] in ("r", "R", "br", "rb") or re.search(r"[\x08\x0c]|\\[dDwWsSb.]", content)
    string = match["mark"] != "`" and (
        match["prefix"] or _IN_CODE.search(match.string[max(match.start() - 3, 0) : match.start()])
    )
    bare = not re.search(r"[\w ]", re.sub(r"\\.", "", content))
    wrapped = content.count(" ") > 1 and re.search(r"[a-z,]\n[a-z]", content)
    return _written_out(match) if pattern or (string and not wrapped) or bare else match.group()


def _path(match: re.Match[str]) -> str:
    """A Windows path, up to the first name that an escape could not be part of."""
    first = match["root"] or match["name"]
    _, *rest = re.split(rf"({_SEPARATOR})", match.group()[len(first) :])
    path, length, found = first, len(first), 0
    for separator, name in zip(rest[::2], rest[1::2], strict=True):
        sure = separator in "\\\r\x08\x0c" or _FOLDERS.match(separator + name)
        if _EXTENSION.search(path) or not (sure or ("\\" in path and re.fullmatch(r"\.[a-z]{2,5}", name))):
            break
        path, length = path + _WRITTEN.get(separator, separator) + name, length + 1 + len(name)
        found += separator in "\n\t"
    file = bool(_EXTENSION.search(path))
    host = first.startswith("\\")
    if not found or not (file or found > 1 or "\\new" in path or (match["root"] and not host)):
        return match.group()
    return "\\" * (host and not first.startswith("\\\\")) + path + _PATH.sub(_path, match.group()[length:])


def _command(match: re.Match[str], letter: str) -> str:
    """The rest of a command of LaTeX that could be a name or a word as well, if what stands around it is no text."""
    rest, after = match["rest"], match.string[match.end() : match.end() + 200]
    line = match.string[max(match.start() - 400, 0) : match.start()].rpartition("\n")[2]
    before = line[-1:]
    apart = before == " " and line[-2:-1].strip() != ""
    attached = before.strip() != ""
    latex = re.search(r"\\[A-Za-z]", line + after.partition("\n")[0]) is not None
    assigned = re.match(_ASSIGNED, after) is not None
    operand = re.match(_OPERAND, after) is not None and not assigned
    if after[:1] in ("{", "\\") or (attached and before in "^_$"):
        found = True
    elif letter == "t":
        operator = attached and before in "({=+-<>|&/"
        found = apart or operator or (attached and (operand or latex)) or not (line or after)
    elif rest in _WORDS:
        found = apart and operand and not re.match(r" [AaIi]\b", after)
    else:
        alone = match.start() == 0 and not assigned  # no text begins with a line break and a name
        ended = not (re.match(r"[ ]?\w", after) or assigned)
        relation = rest in _RELATIONS and attached and not assigned and after[:1] not in ("(", "$")
        found = alone or (apart and (operand or ended)) or (relation and (operand or latex))
    return f"\\{letter}{rest}" if found else match.group()
