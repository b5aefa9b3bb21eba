"""What in a skill's text can hide from a reader, or can do harm when an agent follows it.

Hidden text is refused wherever somebody else has written it. Hazards are named and left to the operator: a skill may
have its reasons to mention an address, but no lesson from a log gets one in unseen.
"""

import html
import re
import unicodedata
from collections.abc import Collection, Iterator
from typing import Literal, NamedTuple, get_args

from trace2skill.skill.folder import Skill

HazardKind = Literal["shell", "network", "credentials", "environment", "disguise"]
"""`shell`: fetches, installs, or runs text as commands. `network`: an address. `credentials`: a secret, or where such
lie. `environment`: variables and files of the machine. `disguise`: a word made of several alphabets."""

HAZARD_KINDS: tuple[HazardKind, ...] = get_args(HazardKind)

_WORDS: dict[HazardKind, str] = {
    "shell": "fetches, installs or runs text as commands",
    "network": "names an address of a network",
    "credentials": "speaks of credentials",
    "environment": "speaks of the machine's environment",
    "disguise": "mixes alphabets in one word",
}
_TLD = "com|net|org|io|dev|ai|app|co|me|info|xyz|site|online|cloud|sh|gg|ru|cn|uk|de|example|onion|internal|local"
_PATTERNS: dict[HazardKind, re.Pattern[str]] = {
    "shell": re.compile(
        r"\b(?:curl|wget|aria2c|ncat|netcat|scp|rsync|sftp|telnet|invoke-webrequest|invoke-expression|iwr|iex)\b"
        r"|\bnc\s+-|\|\s*(?:sudo\s+)?(?:[/\w]*/)?(?:ba|z|da|k|fi)?sh\b|\|\s*(?:sudo\s+)?(?:[/\w]*/)?(?:python|perl|ruby|node)[\d.]*\b"
        r"|\b(?:ba|z|da)?sh\s+-c\b|<\(|\beval\b\s*[\"'$(`]|\$\(|base64\s+(?:-d|--decode|-D)|\bxxd\s+-r"
        r"|\b(?:pip[\d.]*|npm|npx|apt|apt-get|brew|gem|cargo|go|conda|uv)\s+(?:install|add|i)\b|\bgit\s+clone\b|\bsudo\b"
        r"|/dev/(?:tcp|udp)/|\burllib\b|\burlopen\b|\brequests\.|\bhttpx\.|\bhttp\.client\b|\bsocket\.|\baiohttp\b"
        r"|\bos\.(?:system|popen|exec\w*|spawn\w*)\b|\bsubprocess\b|(?<!\.)\b(?:exec|eval|__import__)\s*\("
        r"|\bpickle\.loads?\b|\bcrontab\b|authorized_keys",
        re.IGNORECASE,
    ),
    "network": re.compile(
        r"\b[a-z][a-z0-9+.-]*://|\bwww\.|\]\(\s*//|\b(?:mailto|javascript|data|file|vbscript):\S"
        rf"|(?<![\w.@/-])(?:[a-z0-9-]+\.)+(?:{_TLD})(?=[/:?#\s,;)\]'\"`.]|$)|\b[\w.+-]+@[\w-]+\.[a-z]{{2,}}\b"
        r"|(?<![\d.])(?:\d{1,3}\.){3}\d{1,3}(?!\d|\.\d)|<\s*(?:img|iframe|script|link|object|embed|form|base|meta)\b",
        re.IGNORECASE,
    ),
    "credentials": re.compile(
        r"\b(?:api|access|secret|private|ssh|auth)[ _-]?(?:key|token)s?\b|\bpass(?:word|wd|phrase)s?\b|\bcredentials?\b"
        r"|\bsecrets?\b|\bbearer\b|\bid_(?:rsa|ed25519)\b|\.(?:ssh|aws|netrc|npmrc|pypirc|kube|gnupg|env)\b"
        r"|\b(?:AKIA[0-9A-Z]{16}|gh[pousr]_\w{20,}|sk-[\w-]{16,}|hf_\w{20,})|BEGIN [A-Z ]*PRIVATE KEY",
        re.IGNORECASE,
    ),
    "environment": re.compile(
        r"\bos\.(?:environ|getenv)\w*|\bgetenv\b|\bprocess\.env\b|\bprintenv\b|\benvironment variables?\b|\benviron\b"
        r"|\$\{[A-Z][A-Z0-9_]*[}:]|\$(?:HOME|PATH|USER|PWD|SHELL)\b|\$[A-Z][A-Z0-9]*_[A-Z0-9_]+\b|%[A-Z]{3,}%|(?:^|[\s;&|`])env\s*(?:\||>|$)"
        r"|/proc/|/etc/(?:passwd|shadow|hosts)|/root\b|/home/|~/\.|\bwhoami\b|\bhostname\b",
        re.MULTILINE,
    ),
}
_HIDING = re.compile(
    r"<!--|-->|<!\[CDATA\[|<![a-z]|<\?|<\s*/?\s*(?:script|style|template|noscript)\b|^\s{0,3}\[[^\]]*\]:\s*\S*\s*[\"'(]"
    r"|<[^>]*\b(?:hidden|style|aria-hidden|onerror|onload)\b\s*[=>]",
    re.IGNORECASE | re.MULTILINE,
)
# Blank to the eye, though their categories are those of letters and symbols.
_BLANK = frozenset("\u115f\u1160\u17b4\u17b5\u2800\u3164\uffa0")
_JOINERS, _EMOJI_STYLE = frozenset("\u200c\u200d"), "\ufe0f"


class Hazard(NamedTuple):
    """Something harmful that a text may do."""

    kind: HazardKind
    found: str
    """The words, in the form in which they were recognised."""

    def __str__(self) -> str:
        return f"{_WORDS[self.kind]} ({self.found})"


def hidden_in(text: str) -> str:
    """What a reader of the rendered or printed text would not see; empty if there is nothing of that kind."""
    for position, char in enumerate(text):
        if char not in "\n\t" and _is_invisible(text, position):
            return f"the invisible or control character U+{ord(char):04X}"
    if found := _HIDING.search(text):
        return f"text that is not shown when rendered ({found.group().strip()[:20]})"
    return ""


def hazards_in(text: str) -> tuple[Hazard, ...]:
    """The hazards of a text, each once, by kind.

    Disguises are undone first: HTML entities, wide letters, line continuations, and emphasis inside words.
    """
    plain = unicodedata.normalize("NFKC", html.unescape(text)).replace("\\\n", " ")
    bare = re.sub(r"[*`\\]|(?<=\w)_(?=\w)(?![A-Z])", "", plain)
    found = {
        Hazard(kind, " ".join(match.group().split())[:80].lower())
        for kind, pattern in _PATTERNS.items()
        for variant in (plain, bare)
        for match in pattern.finditer(variant)
    }
    found |= {Hazard("disguise", word[:80]) for word in re.findall(r"\w+", plain) if len(_alphabets(word)) > 1}
    return tuple(sorted(found))


def unforeseen(text: str, skill: Skill, allow: Collection[HazardKind]) -> tuple[Hazard, ...]:
    """The hazards of a text that neither stand in the skill already nor are allowed by the operator."""
    found = [hazard for hazard in hazards_in(text) if hazard.kind not in allow]
    known = {hazard for _, hazard in hazards_of(skill)} if found else set()
    return tuple(hazard for hazard in found if hazard not in known)


def hazards_of(skill: Skill) -> Iterator[tuple[str, Hazard]]:
    """The hazards in the Markdown files of a skill, each with its file; scripts are code, which only a person adds."""
    for path in skill.files:
        if path.endswith(".md") and skill.is_text(path):
            for hazard in hazards_in(skill.files[path].decode("utf-8")):
                yield path, hazard


def _is_invisible(text: str, position: int) -> bool:
    char = text[position]
    category = unicodedata.category(char)
    around = [unicodedata.category(text[at]) for at in (position - 1, position + 1) if 0 <= at < len(text)]
    if char in _JOINERS:  # in emoji, and in scripts that join letters
        return not (len(around) == 2 and all(other in ("So", "Lo", "Mn", "Mc", "Sk") for other in around))
    if char == _EMOJI_STYLE:
        return not (around and position and around[0] in ("So", "Sm", "Nd", "Po"))
    if category in ("Cc", "Cf", "Co", "Cn", "Cs", "Zl", "Zp") or char in _BLANK:
        return True
    return 0xFE00 <= ord(char) <= 0xFE0E or 0xE0100 <= ord(char) <= 0xE01EF


def _alphabets(word: str) -> set[str]:
    """Of the alphabets that look alike, those in a word."""
    return {
        name for char in word if (name := unicodedata.name(char, "").split(" ")[0]) in ("LATIN", "CYRILLIC", "GREEK")
    }
