"""The dotenv file: the outputs as variables for GitLab's later jobs. It is not meant to be sourced by a shell."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from gate.reporters.outputs import output_values
from gate.text import dotenv, shorten

if TYPE_CHECKING:
    from gate.verdict import Verdict

LEFT_OUT: Final = "scans"
MESSAGE_LIMIT: Final = 300
SIZE_LIMIT: Final = 5 * 1024
"""Bytes that GitLab takes."""


def variable(output: str) -> str:
    """The variable that holds the output."""
    return f"THREADFIX_GATE_{output.replace('-', '_').upper()}"


def render(verdict: Verdict) -> str:
    """The file's text, one variable a line, within GitLab's limit.

    What would not fit is left empty, the longest first: half a list of ids would name scans that do not exist.
    """
    values = {name: dotenv(value, SIZE_LIMIT) for name, value in output_values(verdict).items() if name != LEFT_OUT}
    values["message"] = shorten(values["message"], MESSAGE_LIMIT)
    while len(text := "".join(f"{variable(name)}={values[name]}\n" for name in values).encode()) > SIZE_LIMIT:
        values[max(values, key=lambda name: len(values[name]))] = ""
    return text.decode()
