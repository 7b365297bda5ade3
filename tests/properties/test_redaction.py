"""A key is removed in every form that servers return."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from gate.text.sanitizer import REDACTED, Sanitizer, Secret
from tests.unit.test_redaction import FORMS

printable = st.text([chr(code) for code in range(0x21, 0x7F)], min_size=1, max_size=40)
likely = st.text("abcXYZ0189+/=-_.", min_size=8, max_size=40)
keys = (printable | likely).filter(lambda key: "*" not in key)
around = st.text("!~(){}<>|,;", max_size=4)
forms = st.sampled_from(list(FORMS.values()))


@given(keys, forms, around, around)
def test_a_key_is_removed(key: str, form: type[str], before: str, after: str) -> None:
    shown = Sanitizer((Secret(key),)).redact(f"{before} {form(key)} {after}")
    assert REDACTED in shown
    assert key not in shown
