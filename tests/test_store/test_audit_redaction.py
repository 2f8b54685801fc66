"""What git keeps of evidence: nothing that is quoted of the audit, everything else."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from store.audit_redaction import AUDIT_KEY, without_exam

EVIDENCE = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["text", "prompt", "what", "line"]), inner, max_size=4)
    ),
    max_leaves=10,
)


@given(EVIDENCE)
def test_evidence_that_quotes_nothing_of_the_audit_stays_as_it_is(evidence: Any) -> None:
    assert without_exam(evidence) == evidence


@given(EVIDENCE, st.sampled_from(["text", "prompt", "expected", "before", "after"]))
def test_quotations_are_left_out_at_any_depth_and_figures_stay(around: Any, key: str) -> None:
    quoted = {AUDIT_KEY: True, key: ["zyxomark"], "share": 0.5}
    kept = without_exam({"lost": [around, quoted]})
    assert "zyxomark" not in str(kept)
    assert kept["lost"] == [around, {AUDIT_KEY: True, "share": 0.5}]
