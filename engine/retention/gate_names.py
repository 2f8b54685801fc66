"""The names of the gates on retention, as they are recorded; a suite's gate has its name after the colon."""

SUITE_GATE = "retention:"
EARLIER_GATE = "earlier edits"
DRIFT_GATE = "drift"
