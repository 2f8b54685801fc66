"""`experiment collapse` in small: both arms begin alike, and only the measured one must earn its policy."""

from __future__ import annotations

from tests.system.workspaces import last_word, start_worker


def test_both_arms_measure_the_same_things_and_reward_by_different_ones() -> None:
    sizes = {"rounds": 1, "train": 2, "held_out": 1, "epochs": 1}
    status, message = last_word(start_worker("experiment.collapse", {"seed": 0, **sizes}))
    assert status == 0, message
    result = message["result"]
    (measured,), (self_labelled,) = (result["arms"][name]["rounds"] for name in ("measured", "self-labelled"))
    same = ("agreement", "held_out", "audit", "reward", "distinct", "likeness", "length")
    assert [measured[name] for name in same] == [self_labelled[name] for name in same]
    # One epoch teaches nothing, which a measured reward sees and a vote does not.
    assert (measured["candidates_kept"], measured["policy_kept"]) == (0, False)
    assert (self_labelled["candidates_kept"], self_labelled["policy_kept"]) == (2, True)
    assert result["inner_update_epochs"] == 1
