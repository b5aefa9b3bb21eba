"""Redaction: a verdict as an analyst may read it, with the kind of each value in its place.

Who reads `expected <date>, got <date as text>` learns what went wrong, and nothing that could be written into a fix.
Values are taken out whether or not the inputs hold them: which known value belongs in which cell is the answer too.
Cells, and counts of cells and the like, stay; so do, in sentences that do not tell what is expected, names that task or
inputs contain.
"""

import re
from collections.abc import Iterable, Sequence

_KIND = (
    r"<(?:(?:blank )?text|integer|number with \d+ decimals?|date(?: and time)?|time|boolean|(?:number|date) as text)>"
)

# What tells that a sentence is about values: everything in it is redacted then, but for the cell that it begins with.
_TELLS = re.compile(
    r"\b(?:expect(?:ed|s|ing)?|got|gave|actual(?:ly)?|received|should|must be|instead|rather than|vs|versus)\b"
    r"|\b(?:differs? from|mismatch(?:es)?|lacks?|wrong|incorrect)\b|\b(?:is|are|was|were) (?:correct|right)\b"
    r"|\b(?:answers?|reference|target|golden|gold|truth)\b[^\n:=]{0,20}(?:[:=]|\b(?:is|are|was|were)\b)"
    r"|[!=<>]=|<>|≠|[-=]>|→",
    re.IGNORECASE,
)
_PLACE = re.compile(r"\s*(?:[-*] )?(?:[^\n!]{1,60}!)?\$?[A-Z]{1,3}\$?[1-9]\d{0,6}\s*[:=]")
# The words that stay beside values.
_PLAIN = re.compile(
    r"expect(?:ed|s|ing)?|got|gave|actual(?:ly)?|found|received|should|must|instead|rather|than|vs|versus|differs?|from"
    r"|match(?:es)?|mismatch(?:es)?|lacks?|wrong|(?:in)?correct|right|answers?|reference|target|golden|output|result"
    r"|an?|the|this|it|of|and|or|but|with|in|at|on|to|for|is|are|was|were|be|has|have|does|did|more|other|all|each|every"
    r"|items?|values?|cells?|rows?|columns?|number|integer|text|date|empty|blank|missing|none|null|nothing",
    re.IGNORECASE,
)

_COUNTED = "(?:cells|rows|columns|lines|sheets|files|items|values|characters|tests|checks)"
_QUOTED = (
    r"""(?<!\w)[bru]?(?P<quote>['"])(?P<quoted>(?:\\.|[^\\]){0,500}?)(?P=quote)(?!\w)"""
    "|[\u201c\u2018\u00ab](?P<curly>.{0,500}?)[\u201d\u2019\u00bb]|`(?P<code>[^`]{0,500})`"
)
_CALLED = r"(?:datetime\.)?(?P<called>datetime|date|time|Timestamp)\((?P<inside>[^()]*)\)"
_DAY = r"(?:\d{4}[-/.]\d\d?[-/.]\d\d?|\d\d?[./-]\d\d?[./-]\d{2,4})"
_CLOCK = r"\d\d?:\d\d(?::\d\d(?:\.\d+)?)?"
_DATE = rf"(?<![\w.])(?P<day>{_DAY})(?P<clock>[T ]{_CLOCK})?(?!\w)|(?<![\w.])(?P<hours>{_CLOCK})(?!\w)"
_CELL = r"(?P<cell>(?:(?<!\S)[^\s'\"!,;()]+!|(?<!\w))\$?[A-Z]{1,3}\$?[1-9]\d{0,6}(?!\w))"
_COUNT = rf"(?<![\w.,])(?P<count>\d+ of \d+(?= {_COUNTED}\b)|\d\d?(?= {_COUNTED}\b))"
_NUMBER = r"(?<![\w.])(?P<number>[-+\u2212]?(?:\d[\d.,]*\d|\d)(?:[eE][-+]?\d+)?)(?![-./]?\w)"
_WORD = r"(?P<word>(?:[^\s,;:()\[\]{}<>\"'=|!?]|(?<=\w)'(?=\w))+)"
_TOKEN = re.compile("|".join((f"(?P<kind>{_KIND})", _QUOTED, _CALLED, _DATE, _CELL, _COUNT, _NUMBER, _WORD)), re.DOTALL)
_TEXTS = re.compile(r"<text>(?:[ '.\-\u2013/&]+<text>)+")


def redact(text: str, targets: Iterable[str] = (), known: Sequence[str] = ()) -> str:
    """A text with each value replaced by its kind, such as `<integer>`, `<date as text>` or `<text>`.

    Args:
        text: What a scorer said.
        targets: The sample's targets: they, and the items in them, are replaced wherever they stand alone.
        known: Texts whose names stay readable where a sentence does not tell what is expected.
    """
    parts: list[str] = []
    listing = False
    for sentence in _sentences(_without_targets(text, targets)):
        place = _PLACE.match(sentence)
        start = place.end() if place else 0
        tells = _TELLS.search(sentence, start) is not None
        # After `Expected:` the values stand on the next lines, up to an empty one.
        listing = listing and bool(sentence.strip()) and not place
        parts.append(_redact(sentence[:start], known, tells=False))
        parts.append(_redact(sentence[start:], known, tells=tells or listing))
        listing = listing or (tells and sentence.rstrip(" ").endswith(":\n"))
    return "".join(parts)


def without_kinds(text: str) -> str:
    """A redacted text in which all values look the same."""
    return re.sub(_KIND, "<>", text)


def _sentences(text: str) -> list[str]:
    """The lines of a text, and the sentences in them; quotes are not broken, nor `St. Paul`."""
    inside = [match.span() for match in re.finditer(_QUOTED, text, re.DOTALL)]
    ends = [match.end() for match in re.finditer(r"\n|(?:\w{4}|[^\w\s])[.!?] +(?=[A-Z])", text)]
    breaks = [end for end in ends if not any(start < end < stop for start, stop in inside)]
    return [text[start:end] for start, end in zip([0, *breaks], [*breaks, len(text)], strict=True)]


def _without_targets(text: str, targets: Iterable[str]) -> str:
    items = {item.strip() for target in targets for item in (target, *re.split(r"[|,;\n]", target))}
    for item in sorted(items, key=lambda item: (-len(item), item)):
        if any(map(str.isalnum, item)):
            # Short ones are taken as they are written: "A" is an answer where "a" is an article.
            flags = re.IGNORECASE if len(item) > 3 else 0
            text = re.sub(rf"(?<![\w<]){re.escape(item)}(?!\w)", _kind(item), text, flags=flags)
    return text


def _redact(sentence: str, known: Sequence[str], *, tells: bool) -> str:
    """A sentence, or its beginning; without `tells`, what cannot be a value stays."""

    def replace(match: re.Match[str]) -> str:
        token, found = match.group(), match.groupdict()
        if found["kind"] is not None:
            return token
        if kind := _date_or_number(found):
            return kind
        if found["count"] is not None:
            return re.sub(r"\d+", "<integer>", token) if tells else token
        if found["word"] is not None or found["cell"] is not None:
            starts = re.search(r"(?:^|[.!?:]\s)\s*$", sentence[: match.start()]) is not None
            return _beside_values(token) if tells else _in_prose(token, known, starts=starts)
        quoted = found["quoted"] or found["curly"] or found["code"] or ""
        kind = _quoted_kind(quoted)
        return token if not tells and kind == "<text>" and _is_known(quoted, known) else kind

    return _TEXTS.sub("<text>", _TOKEN.sub(replace, sentence))


def _date_or_number(found: dict[str, str | None]) -> str:
    """The kind of a date, time or number; empty for every other token."""
    if called := found["called"]:
        numbers = re.findall(r"\d+", found["inside"] or "")
        timed = called != "date" and any(number.strip("0") for number in numbers[3:])
        return "<time>" if called == "time" else "<date and time>" if timed else "<date>"
    if found["day"]:
        return "<date and time>" if re.search(r"[1-9]", found["clock"] or "") else "<date>"
    if found["hours"]:
        return "<time>"
    return _kind(found["number"]) if found["number"] else ""


def _kind(value: str) -> str:
    """The kind of a value that stands without quotes."""
    if re.fullmatch(_DATE, value):
        return "<date>"
    if not re.fullmatch(_NUMBER, value):
        return "<text>"
    decimals = re.search(r"[.,](\d+)(?:[eE]|$)", value)
    if decimals is None or re.fullmatch(r"\D?\d{1,3}(?:,\d{3})+", value):
        return "<integer>"
    count = len(decimals.group(1))
    return f"<number with {count} decimal{'s' if count > 1 else ''}>"


def _quoted_kind(value: str) -> str:
    if not value.strip():
        return "<blank text>"
    kind = value if re.fullmatch(_KIND, value) else _kind(value.strip())
    if kind.startswith(("<integer", "<number")):
        return "<number as text>"
    return "<date as text>" if kind.startswith("<date") else "<text>"


def _beside_values(token: str) -> str:
    """A word of a sentence that tells values."""
    word = token.rstrip(".\u2026")
    end = token[len(word) :]
    if word in ("True", "False"):
        return f"<boolean>{end}"
    return token if _PLAIN.fullmatch(word) or not any(map(str.isalnum, word)) else f"<text>{end}"


def _in_prose(token: str, known: Sequence[str], *, starts: bool) -> str:
    """A word of any other sentence: names and what holds digits must be known, unless it is a cell or an error."""
    word = token.rstrip(".\u2026")
    if re.fullmatch(_CELL, word) or re.fullmatch(r"[A-Za-z]\w*(?:Error|Exception)", word):
        return token
    named = not word.isascii() or (word[:1].isupper() and not starts)
    may_be_value = named or any(map(str.isdigit, word))
    return f"<text>{token[len(word) :]}" if may_be_value and not _is_known(word, known) else token


def _is_known(name: str, known: Sequence[str]) -> bool:
    return any(name in text for text in known)
