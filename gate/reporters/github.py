"""Write for GitHub Actions: masks, groups, annotations, step outputs and the job summary.

The only importer of `actions_toolkit`. The library prints to standard output, which belongs to `--json`, so its prints
are redirected to the log. It is called on a runner only, because otherwise it prints secrets in clear.
"""

from __future__ import annotations

from contextlib import contextmanager, redirect_stdout, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, cast

import gate.net  # noqa: F401 - before `actions_toolkit`, which imports `requests`
from gate.judge.conclusions import describe
from gate.model.reasons import Kind
from gate.reporters import phrases
from gate.reporters.outputs import step_outputs
from gate.text.wording import plain

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from gate.judge.verdict import Verdict
    from gate.reporters.streams import BackgroundStream
    from gate.text.sanitizer import Secret

TITLE: Final = "ThreadFix gate"


class GitHub:
    """Writes the commands, outputs and summary of a step; the runner reads commands in the log, standard error."""

    def __init__(self, env: Mapping[str, str], log: BackgroundStream) -> None:
        self._env = env  # `actions_toolkit` itself reads the environment of the process
        self._log = log

    @contextmanager
    def _core(self) -> Iterator[Any]:
        """Yield the library, with its prints redirected to the log. An unread log must not change the verdict."""
        from actions_toolkit import core

        with suppress(OSError, ValueError), redirect_stdout(cast("Any", self._log)):
            yield core

    def mask(self, secret: Secret) -> None:
        """Make the runner hide the secret. This must be the first line that is printed."""
        with self._core() as core:
            core.set_secret(secret.reveal())

    @contextmanager
    def group(self, title: str) -> Iterator[None]:
        """Fold the lines that are logged while the block runs."""
        with self._core() as core:
            core.start_group(title)
        try:
            yield
        finally:
            with self._core() as core:
                core.end_group()

    def annotate(self, message: str, kind: str) -> None:
        """Annotate with a `warning` or a `notice`."""
        with self._core() as core:
            getattr(core, kind)(message, title=TITLE)

    def verdict(self, verdict: Verdict) -> None:
        """Annotate with the verdict: an error, or a warning if the user asked for that; nothing for a pass.

        A part that passed only because the user accepts it is a notice.
        """
        conclusion = verdict.conclusion
        if accepted := phrases.noticed(verdict):
            # A single notice: a step has ten annotations.
            more = f" (and {len(accepted) - 1} more)" if len(accepted) > 1 else ""
            self.annotate(f"{describe(accepted[0])}{more}", "notice")
        if conclusion.kind is Kind.PASS:
            return
        title = f"{TITLE}: {conclusion.kind.value} ({conclusion.reason.value})"
        with self._core() as core:
            annotate = core.warning if conclusion.downgraded else core.error
            texts = conclusion.message, verdict.resume_line, plain(conclusion.hint)
            annotate(" ".join(filter(None, texts)), title=title)

    def outputs(self, verdict: Verdict) -> str:
        """Set the step's outputs, and return a notice about what is left out; raise `OSError` without the file."""
        from actions_toolkit import core

        # Without the file the library would fall back to a command that runners ignore since 2023.
        self._file("GITHUB_OUTPUT")
        values, notice = step_outputs(verdict)
        for name, value in values.items():
            core.set_output(name, value)
        return notice

    def summary(self, markdown: str) -> None:
        """Add to the job's summary; raise `OSError` without the runner's file."""
        from actions_toolkit.file_command import issue_file_command

        self._file("GITHUB_STEP_SUMMARY")
        issue_file_command("STEP_SUMMARY", markdown)

    def _file(self, variable: str) -> None:
        name = self._env.get(variable, "")
        if not name or not Path(name).is_file():
            raise FileNotFoundError(2, f"the runner's file {variable} is missing", name)
