"""The dotenv file: the outputs as variables for GitLab's later jobs. It is not meant to be sourced by a shell."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from gate.reporters.outputs import OUTPUTS, output_values
from gate.text import dotenv

if TYPE_CHECKING:
    from gate.verdict import Verdict

LEFT_OUT: Final = "scans"
SIZE_LIMIT: Final = 5 * 1024
"""Bytes that GitLab takes."""


def variable(output: str) -> str:
    """The variable that holds the output."""
    return f"THREADFIX_GATE_{output.replace('-', '_').upper()}"


def render(verdict: Verdict) -> str:
    """The file's text, one variable a line, within GitLab's limit."""
    values = output_values(verdict)
    lines = [f"{variable(name)}={dotenv(values[name])}" for name in OUTPUTS if name != LEFT_OUT]
    return "".join(f"{line}\n" for line in lines)
