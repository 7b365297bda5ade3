"""The dotenv file: the outputs as variables for GitLab's later jobs. It is not for a shell to source."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from gate.reporters.outputs import output_values
from gate.text.sanitizer import escape_dotenv, shorten

if TYPE_CHECKING:
    from gate.judge.verdict import Verdict

LEFT_OUT: Final = "scans"
MESSAGE_LIMIT: Final = 300
SIZE_LIMIT: Final = 5 * 1024
"""Bytes that GitLab takes."""


def variable(output: str) -> str:
    """Return the variable of an output."""
    return f"THREADFIX_GATE_{output.replace('-', '_').upper()}"


def render(verdict: Verdict) -> str:
    """Return the file's text, one variable per line, within GitLab's limit.

    Values that do not fit are left empty, the longest first: half a list of ids would name scans that do not exist.
    """
    outputs = output_values(verdict)
    # A path or a link with a changed character would be wrong; a sentence stays readable.
    values = {name: value if escape_dotenv(value, SIZE_LIMIT) == value else "" for name, value in outputs.items()}
    values["message"] = shorten(escape_dotenv(outputs["message"], SIZE_LIMIT), MESSAGE_LIMIT)
    del values[LEFT_OUT]
    while len(text := "".join(f"{variable(name)}={values[name]}\n" for name in values).encode()) > SIZE_LIMIT:
        values[max(values, key=lambda name: len(values[name]))] = ""
    return text.decode()
