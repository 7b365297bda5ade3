"""Prepares the tests for mutmut, as a plugin of pytest: few examples, and the same mutant in the child processes."""

import os
import shutil
import signal
import subprocess
import tempfile
from pathlib import Path

import hypothesis
import pytest
from mutmut.mutation import trampoline
from mutmut.stats import record_trampoline_hit

EXAMPLES = 25
SECONDS = 60
TOO_LONG = 36  # mutmut's exit code for a mutant that takes too long
HITS = Path.cwd() / "hits"  # the functions that child processes called
NAME = "_hypothesis_internal_use_settings"
# Without a search for the shortest example. Only the first failure matters.
PHASES = (hypothesis.Phase.explicit, hypothesis.Phase.generate)
hypothesis.settings.register_profile(
    "mutants", derandomize=True, deadline=None, max_examples=EXAMPLES, phases=PHASES, database=None
)


def pytest_configure(config: pytest.Config) -> None:
    """Use a temporary folder that is removed at the end. mutmut would leave one of pytest's own for each mutant."""
    folder = tempfile.mkdtemp(prefix="mutant-")
    config.option.basetemp = folder
    config.add_cleanup(lambda: shutil.rmtree(folder, ignore_errors=True))


def pytest_itemcollected(item: pytest.Item) -> None:
    """Lower the number of examples of a property that sets its own number."""
    test = getattr(item, "obj", None)
    own = getattr(test, NAME, None)
    if own is not None and own.max_examples > EXAMPLES:
        setattr(test, NAME, hypothesis.settings(own, max_examples=EXAMPLES, phases=PHASES))


def _give_up(*_: object) -> None:
    """End this process and its children, as mutmut ends a mutant that takes too long."""
    subprocess.run(["pkill", "-KILL", "-P", str(os.getpid())], check=False)
    os._exit(TOO_LONG)


def pytest_runtest_setup() -> None:
    """Give each test a limit, because mutmut's own limit is for all tests of a mutant together."""
    signal.signal(signal.SIGALRM, _give_up)
    signal.alarm(SECONDS)


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_teardown() -> None:
    """Add the functions that the test's child processes called to those that the test called."""
    signal.alarm(0)
    if HITS.exists():
        for name in HITS.read_text(encoding="utf-8").split():
            record_trampoline_hit(name)
        HITS.unlink()


@pytest.fixture(autouse=True)
def _mutant_in_children(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Start the children of a test with the same mutant, after the environment of the test is clean."""
    request.getfixturevalue("clean_environment")
    mutant = trampoline.get_mutant_under_test()
    monkeypatch.setenv("MUTANT_UNDER_TEST", mutant)
    monkeypatch.setenv("PYTHONPATH", str(Path.cwd()))
    if mutant == "stats":
        monkeypatch.setenv("MUTANT_HITS", str(HITS))
