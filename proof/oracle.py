"""Decide whether a run may pass, and parse its outputs. Nothing here imports the gate."""

from __future__ import annotations

import base64
import html
import json
import re
from functools import lru_cache
from html.parser import HTMLParser
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import unquote
from xml.etree import ElementTree as ET

if TYPE_CHECKING:
    from proof.bodies import World
    from proof.changes import Reply

EXIT: Final = {
    "pass": {"processed": 0, "policy-passed": 0, "already-imported": 0, "empty-scan": 0},
    "fail": dict.fromkeys(("scan-failed", "scan-vanished", "policy-failed", "unknown-status", "upload-refused"), 1),
    "unknown": {
        "usage": 2,
        "timeout": 3,
        "denied": 4,
        "not-found": 5,
        "unreachable": 6,
        "protocol": 7,
        "policy-unknown": 8,
    },
}
"""The verdicts, reasons and exit codes of the contract, without those of a signal and of a bug."""
NAMES: Final = (
    "verdict", "reason", "message", "exit-code", "status", "application-id", "application-name", "pending-scan-id",
    "scan-id", "scan-url", "elapsed-seconds", "polls", "result-file", "scans",
)  # fmt: skip
CONTROLS: Final = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u00ad\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff\ud800-\udfff\ufdd0-\ufdef\ufffe\uffff]"
)
TAGS: Final = re.compile(
    "html|head|meta|title|style|body|main|header|footer|section|article|nav|div|p|span|h[1-4]|[uo]l|li|d[ltd]|table|"
    "caption|thead|tbody|t[rhd]|a|code|pre|kbd|abbr|strong|em|b|i|del|[bh]r|small|details|summary|figure|figcaption|"
    "time|svg|g|defs|use|desc|rect|text|line|path|circle|polyline"
)
COMMANDS: Final = frozenset({"add-mask", "group", "endgroup", "error", "warning", "notice", "debug"})


# --- The verdict.


def allowed(world: World) -> bool:
    """Return whether ThreadFix's words allow a pass of the requested run."""
    words = _scans(world)
    # An accepted file without results made no scan.
    scans = None if words is None else [word for word in words if word != "empty"]
    return (
        _found(world)
        and scans is not None
        and (world.source != "rules" or last(world, "scans") is True)
        and all(_holds(world, rule) for rule in world.rules)
        and not (world.rules and (len(scans) > 1 and world.same))
        and not (world.rules and world.source == "parts" and "duplicate" in scans)
        and not (world.same and 0 < scans.count("duplicate") < len(scans))
    )


def _replies(world: World, stage: str) -> list[Reply]:
    return world.served.get(stage, [])


def last(world: World, stage: str) -> Any:
    """Return the word of the newest response of a stage."""
    replies = _replies(world, stage)
    return replies[-1].word if replies else None


def _found(world: World) -> bool:
    """Return whether ThreadFix named the requested application."""
    if world.subject == "id":
        return world.source in {"pending", "response"} or last(world, "application") is True
    if world.subject == "name":
        return all(last(world, stage) is True for stage in ("teams:1", "teams:2"))
    return last(world, "lookup") is True


def _scans(world: World) -> list[str] | None:
    """Return the word for each scan; None if any was neither processed nor accepted."""
    words: list[str] = []
    pending = list(world.numbers) if world.source == "pending" else []
    if world.source in {"upload", "parts", "response"}:
        for place in range(len(world.files) if world.source == "upload" else 1):
            replies = _replies(world, f"upload:{place}")
            word = replies[0].word if len(replies) == 1 else None
            if isinstance(word, tuple):
                pending += word
            else:
                words.append(word or "none")
    for number in pending:
        replies = _replies(world, f"status:{number}")
        told = [reply.word for reply in replies]
        if any(reply.whole and reply.word not in {"flight", None, False} for reply in replies[:-1]):
            return None
        words.append(told[-1] if told and isinstance(told[-1], str) else "none")
    good = {"good", "finished", *world.accept.split(",")}
    return words if all(word in good for word in words) else None


def _holds(world: World, rule: str) -> bool:
    if rule == "criteria":
        told = [reply.word for reply in _replies(world, "criteria")]
        enough = 2 if world.settles else 1
        return bool(told) and told[-1] is not None and told[-1][0] is True and told.count(told[-1]) >= enough
    words = last(world, "policies")
    good = {"fresh"} if world.settles else {"fresh", "stale"}
    if rule == "all":
        return bool(words) and all(word in good or (word == "stale" and _evaluated(world, n)) for _, word, n in words)
    evaluated = _replies(world, f"eval:{rule}")
    if evaluated and (evaluated[-1].word is not None or evaluated[-1].code not in {204, 404, 405, 410}):
        return evaluated[-1].word in good
    # Before 2.6, or if the newer endpoints seem to be missing.
    return any(word in good and (number == 3 if rule == "id" else kind == rule) for kind, word, number in words or ())


def _evaluated(world: World, number: int) -> bool:
    return any(reply.word == "fresh" for reply in _replies(world, "eval:id" if number == 3 else f"eval:other {number}"))


def of_stage(world: World, stage: str) -> tuple[Any, bool]:
    """Return the word of a stage's newest response, and whether it may count."""
    word, kind = last(world, stage), stage.partition(":")[0]
    accepted = {"good", "foreign", "finished", *world.accept.split(",")} - {""}
    if kind in {"status", "upload"}:
        return word, word in accepted if isinstance(word, str) else isinstance(word, tuple) and word != ()
    if kind in {"application", "lookup", "teams"}:
        return word, last(world, "application") is True if world.subject == "id" else _found(world)
    if kind == "scans":
        return word, word is not None
    if kind == "criteria":
        return word, word is not None and word[0] is True
    rule = stage.partition(":")[2] or rule_of_list(world)
    return word, _holds(world, rule)


def rule_of_list(world: World) -> str:
    """Return the rule that the list of policies decides."""
    return "all" if "all" in world.rules else next(rule for rule in world.rules if rule != "criteria")


def flaw_of_texts(texts: list[str], key: str) -> str:
    """Return the flaw of the texts in a reading."""
    text = "\n".join(texts)
    if CONTROLS.search(text) or text.count("\n") >= max(1, len(texts)):
        return f"a control character in a reading's text: {texts}"
    return "the key is in a reading's text" if leaks(text, key) else ""


def flaw_of_exit(world: World, code: int) -> str:
    """Return the reason why an exit code is wrong; empty if it is right."""
    may = allowed(world)
    if code not in range(9):
        return f"exit code {code} is not one of the contract's"
    if code == 0 and not may:
        return "a pass without ThreadFix's word"
    kinds = {flaw.kind for flaw in world.flaws.values()}
    details = {flaw.detail for flaw in world.flaws.values()}
    if kinds <= {"truth"}:
        parts = {8} if world.rules and len(world.files) > 1 and world.same and world.source != "parts" else set()
        duplicates = {8} if world.rules and "duplicate" in world.accept and "duplicate" in details else set()
        right = world.codes | parts | duplicates | ({0} if may else set())
        if code not in right:
            return f"exit code {code} instead of {sorted(right)}, although each response was ThreadFix's"
    return ""


# --- The outputs.


def leaks(text: str, key: str) -> bool:
    """Return whether a text has the key, in a form that the contract names."""
    bare = re.sub(r"[\s\u00ad\u200b-\u200f\u2060-\u206f\ufeff]", "", text).lower()
    forms = [bare, bare.replace("\\", "")]
    forms += [unquote(bare)] if "%" in bare else []
    forms += [html.unescape(bare)] if "&" in bare else []
    forms += [re.sub(r"\\u([0-9a-f]{4})", lambda m: chr(int(m[1], 16)).lower(), bare)] if "\\u" in bare else []
    if any(key.lower() in form for form in forms):
        return True
    letters = re.sub("[^A-Za-z0-9]+", "", text)
    return any(part in letters for part in _in_base64(key))


@lru_cache
def _in_base64(key: str) -> list[str]:
    """Return the key in base64, after 0, 1 and 2 other bytes, without the characters that hold bits of those."""
    encoded = [base64.b64encode(bytes(before) + key.encode()).decode() for before in range(3)]
    inner = [text[(8 * before + 5) // 6 : 8 * (before + len(key)) // 6] for before, text in enumerate(encoded)]
    return [re.sub("[^A-Za-z0-9]", "", text) for text in inner]


def commands(log: str) -> list[tuple[str, str, str]]:
    """Return the workflow commands in a log, as GitHub's runner finds them: name, properties, data."""
    found = []
    for line in log.split("\n"):
        match = re.match(r"\s*::([^\s:]*)(?:\s+(.*?))?::(.*)", line)
        if match:
            found.append((match[1].lower(), match[2] or "", match[3]))
        elif re.search(r"##\w*\[", line):
            found.append(("##[", "", line))
    return found


def flaw_of_log(log: str, key: str, *, masked: bool) -> str:
    """Return the flaw of a log."""
    lines = log.split("\n")
    if masked and lines[0] != f"::add-mask::{key.replace('%', '%25')}":
        return "the key is not masked first"
    while lines and lines[0].startswith("::add-mask::"):
        lines.pop(0)
    rest = "\n".join(lines)
    found = commands(rest)
    names = [name for name, *_ in found]
    if control := CONTROLS.search(rest):
        return f"a control character {control[0]!r} in the log"
    if set(names) - COMMANDS | {name for name in ("add-mask", "debug") if name in names}:
        return f"a foreign command in the log: {names}"
    if names.count("error") > 1 or names.count("group") > 1 or names.count("group") != names.count("endgroup"):
        return f"too many commands: {names}"
    if any("zq9" in properties for _, properties, _ in found):
        return "a server's text in the properties of a command"
    return "the key is in the log" if leaks(rest, key) else ""


def step_outputs(text: str) -> dict[str, str]:
    """Parse the runner's file of outputs: `name<<DELIMITER`, lines, `DELIMITER`."""
    values: dict[str, str] = {}
    lines = text.split("\n")
    while lines and lines[0]:
        name, arrow, delimiter = lines.pop(0).partition("<<")
        if not arrow or not delimiter or name in values:
            raise ValueError(f"a line that is no output: {name[:40]}")
        end = lines.index(delimiter)
        values[name] = "\n".join(lines[:end])
        del lines[: end + 1]
    return values


def dotenv(text: str) -> dict[str, str]:
    """Parse a dotenv file of GitLab: `NAME=value` lines without quotes."""
    values = {}
    for line in text.splitlines():
        match = re.fullmatch(r"([A-Z_]+)=([^\"'`$\\]*)", line)
        if not match or match[1] in values:
            raise ValueError(f"a line that is no variable: {line[:40]}")
        values[match[1]] = match[2]
    return values


class Page(HTMLParser):
    """The flaw of a page: a tag, an attribute or a link that is not the gate's."""

    def __init__(self, text: str) -> None:
        super().__init__(convert_charrefs=True)
        self.flaw = ""
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Check a tag."""
        for name, value in attrs:
            if name.startswith("on") or "zq9" in name or name in {"src", "srcset", "action", "formaction"}:
                self.flaw = f"attribute {name} of {tag}"
            if name in {"href", "xlink:href"} and ("zq9" in (value or "") or not re.match("https?://|#", value or "")):
                self.flaw = f"a link to {value}"
        if not TAGS.fullmatch(tag):
            self.flaw = f"tag {tag}"

    def handle_comment(self, data: str) -> None:
        """Check a comment."""
        self.flaw = f"a comment {data[:40]}" if "zq9" in data else self.flaw


def _pairs(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    if len(dict(pairs)) < len(pairs):
        raise ValueError("a name twice in the JSON")
    return dict(pairs)


def flaw_of_outputs(files: dict[str, str], code: int, key: str) -> str:
    """Return the flaw of the outputs of a run: their texts by kind."""
    for kind, text in files.items():
        if kind != "log" and leaks(text, key):
            return f"the key is in {kind}"
        if kind != "log" and CONTROLS.search(text):
            return f"a control character in {kind}"
    outputs = step_outputs(files["outputs"])
    if list(outputs) != list(NAMES):
        return f"the step's outputs are {list(outputs)}"
    kind, reason = outputs["verdict"], outputs["reason"]
    if EXIT.get(kind, {}).get(reason) != code or outputs["exit-code"] != str(code):
        return f"outputs of {kind} ({reason}) with exit code {code}"
    if any("\n" in value for value in outputs.values()) or not isinstance(json.loads(outputs["scans"]), list):
        return "an output with several lines"
    variables = dotenv(files["dotenv"])
    names = [f"THREADFIX_GATE_{name.replace('-', '_').upper()}" for name in outputs if name != "scans"]
    if list(variables) != names or (variables[names[0]], variables[names[1]]) != (kind, reason):
        return "variables of the dotenv file"
    document = json.loads(files["json"], object_pairs_hook=_pairs)
    if (document["verdict"], document["reason"], document["exit_code"], document["message"]) != (
        kind,
        reason,
        code,
        outputs["message"],
    ):
        return "the result document contradicts the outputs"
    suite = ET.fromstring(files["junit"])[0]  # noqa: S314 - the text is the gate's
    tags = {element.tag for element in suite.iter()}
    broken = sum(element.tag in {"failure", "error"} for element in suite.iter())
    if tags - {"testsuite", "testcase", "failure", "error", "system-out", "properties", "property"} or (
        broken == 0
    ) is not (code == 0):
        return f"JUnit tags {tags}, {broken} broken, exit code {code}"
    return next(
        (f"HTML: {flaw}" for name in ("html", "markdown") if name in files and (flaw := Page(files[name]).flaw)), ""
    )
