"""The names of the alarms. Loads nothing, so that whoever shows alarms need not load what raises them."""

from __future__ import annotations

ONE_ANSWER = "one answer"
AGREE = "answers agree while accuracy falls"
ALIKE = "self-edits alike"
ECHO = "echo"
LENGTH = "length drift"
REWARD = "reward rises while the audit falls"
