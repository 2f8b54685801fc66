"""The names of the alarms. It imports nothing, so code that shows alarms need not load the code that raises them."""

from __future__ import annotations

ONE_ANSWER = "one answer"
AGREE = "answers agree while accuracy falls"
ALIKE = "self-edits alike"
ECHO = "echo"
LENGTH = "length drift"
REWARD = "reward rises while the audit falls"
