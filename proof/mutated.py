"""Prepares the tests for mutmut, as a plugin of pytest: few examples, and the same mutant in the child processes."""

from pathlib import Path

import hypothesis
import pytest
from mutmut.mutation import trampoline

EXAMPLES = 25
NAME = "_hypothesis_internal_use_settings"
# Without a search for the shortest example. Only the first failure matters.
PHASES = (hypothesis.Phase.explicit, hypothesis.Phase.generate)
hypothesis.settings.register_profile(
    "mutants", derandomize=True, deadline=None, max_examples=EXAMPLES, phases=PHASES, database=None
)


def pytest_itemcollected(item: pytest.Item) -> None:
    """Lower the number of examples of a property that sets its own number."""
    test = getattr(item, "obj", None)
    own = getattr(test, NAME, None)
    if own is not None and own.max_examples > EXAMPLES:
        setattr(test, NAME, hypothesis.settings(own, max_examples=EXAMPLES, phases=PHASES))


@pytest.fixture(autouse=True)
def _mutant_in_children(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Start the children of a test with the same mutant, after the environment of the test is clean."""
    request.getfixturevalue("clean_environment")
    mutant = trampoline.get_mutant_under_test()
    if mutant != "stats":
        # While mutmut asks which tests call which functions, the children run the gate without mutants.
        monkeypatch.setenv("MUTANT_UNDER_TEST", mutant)
        monkeypatch.setenv("PYTHONPATH", str(Path.cwd()))
