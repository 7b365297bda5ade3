"""The prose of the project is plain English: it has few constructions that make readers read a sentence twice."""

from __future__ import annotations

import ast
import io
import re
import tokenize
from pathlib import Path
from typing import TYPE_CHECKING, Final

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

ROOT: Final = Path(__file__).parents[2]
ODD: Final = re.compile(
    r"""
    \bwhat\b(?!'s|\ to\ do\b|\ it\ means\b|\ happened\b|\ now\b|\ if\b)
    |\bwhere\b
    |\b(says?|said|tells?|told|hears?|heard|speaks?|spoken)\b
    |\b(that|this|the|each|every|an?other|such\ an?|no)\ ones?\b
    |\bones?\b(?=[.,;:)]|\ (that|of|which|is|has|in|with|for)\b)
    |\b(be|is|are|was|has)\ none\b
    |\b(behind|beside|stands?|stood)\b
    |\b(else|likewise|at\ once|all\ the\ same)\b
    |\b(of|in|for|to|from|by|with|on|under|at)\ which\b
    |\b(comes?|came|becomes?|became)\ (to|of)\b
    |\bso\ many\b
    |\b(somebody|nobody|anybody|everybody|whoever|whence|wherever|whichever|whatever)\b
    |\b(of|for)\ (its|our|their|his)\ own\b|\bof\ (ours|theirs)\b|\b(is|are|was)\ to\ be\b
    """,
    re.IGNORECASE | re.VERBOSE,
)
WORD: Final = re.compile(r"[A-Za-z][A-Za-z'-]*")
CODE: Final = re.compile(r"(?s)```.*?```|`([^`]*)`|https?://\S+|<!--.*?-->")
PLAIN: Final = re.compile(r"[A-Za-z']+[.,;:]?")
MOST_PLAIN_WORDS: Final = 4
"""Longer texts in backquotes are prose, not code."""
DIRECTIVE: Final = re.compile(r"(noqa(:(\s*[A-Z]+\d+,?)+)?|type: ignore(\[[^]]*\])?|pragma: no \w+|fmt: \w+)(?=\s|$)")
PYTHON: Final = {"gate": 8.0, "tests": 10.0, "scripts": 8.0, "benchmarks": 8.0, "proof": 8.0}
"""The most odd constructions in 1,000 words of docstrings and comments, by folder."""
DOCUMENTS: Final = 6.0
"""The most odd constructions in 1,000 words of all documents together."""


def prose_of(source: str) -> Iterator[str]:
    """Yield each statement that is a string, such as a docstring, and each block of comments."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant | ast.JoinedStr | ast.BinOp | ast.Tuple):
            for part in ast.walk(node.value):
                if isinstance(part, ast.Constant) and isinstance(part.value, str):
                    yield part.value
    block, last = "", -1
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type == tokenize.COMMENT:
            if token.start[0] != last + 1:
                yield block
                block = ""
            text = token.string.lstrip("#! ")
            directive = DIRECTIVE.match(text)
            block, last = f"{block} {text[directive.end() :].lstrip(' -#') if directive else text}", token.start[0]
    yield block


def without_code(text: str) -> str:
    """Return a text in one line without code, links and HTML comments; a sentence in backquotes stays."""

    def plain(code: re.Match[str]) -> str:
        words = [word for word in (code[1] or "").split() if PLAIN.fullmatch(word)]
        return f" {code[1]} " if len(words) > MOST_PLAIN_WORDS else " "

    return " ".join(CODE.sub(plain, text).split())


def measure(texts: Iterable[str]) -> tuple[int, list[str]]:
    """Return the number of words, and the sentence of each odd construction."""
    words, odd = 0, []
    for text in map(without_code, texts):
        words += len(WORD.findall(text))
        for sentence in re.split(r"(?<=[.!?])\s+", text):
            odd += [f"[{match[0]}] {sentence[:160]}" for match in ODD.finditer(sentence)]
    return words, odd


def check(limit: float, texts: Iterable[str]) -> None:
    """Compare texts with a limit.

    Raises:
        AssertionError: the texts have too many odd constructions; the message has their sentences.
    """
    words, odd = measure(texts)
    rate = len(odd) * 1000 / words
    assert rate <= limit, f"{rate:.1f} odd constructions in 1,000 words, at most {limit:g}:\n" + "\n".join(odd)


@pytest.mark.unmeasured
@pytest.mark.parametrize("folder", PYTHON)
def test_docstrings_and_comments_are_plain(folder: str) -> None:
    sources = (file.read_text(encoding="utf-8") for file in sorted((ROOT / folder).rglob("*.py")))
    check(PYTHON[folder], (text for source in sources for text in prose_of(source)))


def test_documents_are_plain() -> None:
    files = [*(ROOT / f"{name}.md" for name in ("README", "CONTRIBUTING", "SECURITY")), *sorted(ROOT.glob("docs/*.md"))]
    assert len(measure(["Nobody is told `what` stands behind it.", "`Nobody is told what stands behind it.`"])[1]) == 9
    check(DOCUMENTS, (file.read_text(encoding="utf-8") for file in files))
