"""README.md of a version: its manifest as a readable page.

Text by a model or a document is in an indented code block with visible control characters, so that it cannot pass for
the card's own text.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from store.untested import is_untested
from store.wording import counted, value_in_words

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

# By what the gate does if it is not passed; without it the candidate is refused.
_VERDICTS = {"hold": "needs review", "note": "noted"}
_C0_END, _DELETE, _C1_END = 0x20, 0x7F, 0xA0
_SYMBOLS_START, _DELETE_SYMBOL, _UNKNOWN_SYMBOL = 0x2400, "␡", "�"


def version_card(manifest: Mapping[str, Any]) -> str:
    """Return the card of an accepted version."""
    candidate, reward = manifest["candidate"], manifest["reward"]
    if "imported" in manifest:
        return _imported_card(manifest)
    parts = [
        _title(manifest["tag"], "holds every edit accepted up to this one", manifest["parent_tag"]),
        _section("Task", _block(manifest["task"]["title"])),
        _accepted(manifest["decision"]),
        *_edited(candidate),
        _section("Self-edit", _block(candidate["completion"])),
        _section("Trained on", "\n\n---\n\n".join(map(_block, candidate["sequences"])) or "Nothing in this workspace."),
        _section("Asked for with", _block(candidate["prompt"])),
        _section(
            "Measured",
            f"Gain on the reward questions: {_figure(reward['mean'])}{_of_repeats(reward['std'], manifest)}; "
            f"on the audit questions: {_figure(reward['audit_gain'])}.",
        ),
        _section("Gates", _block("\n".join(line for gate in manifest["gates"] for line in _gate(gate)) or "none")),
        _section("Inner updates", _block("\n".join(map(_inner_update, manifest["inner_updates"])) or "none")),
        _section("Base model", _block(_named(manifest["base"]))),
        _section("Identity", _block(_identity(manifest, candidate["id"], candidate["round_number"]))),
    ]
    return "\n\n".join(parts) + "\n"


def _imported_card(manifest: Mapping[str, Any]) -> str:
    """Return the card of a version that was not trained in the workspace: nothing was written or measured for it."""
    candidate = manifest["candidate"]
    parts = [
        _title(manifest["tag"], "was trained elsewhere and imported", manifest["parent_tag"]),
        _accepted(manifest["decision"]),
        _section("Imported", _block(_named(manifest["imported"]))),
        _section("Base model", _block(_named(manifest["base"]))),
        _section("Identity", _block(_identity(manifest, candidate["id"], candidate["round_number"]))),
    ]
    return "\n\n".join(parts) + "\n"


def policy_card(manifest: Mapping[str, Any]) -> str:
    """Return the card of a policy version."""
    parts = [
        _title(manifest["tag"], "writes self-edits", manifest["parent_tag"] or "the base model"),
        _section("Measured", _block(_named(manifest["metrics"]))),
        _section("Base model", _block(_named(manifest["base"]))),
        _section("Identity", _block(_identity(manifest, None, manifest["round_number"]))),
    ]
    return "\n\n".join(parts) + "\n"


def visible(text: str) -> str:
    """Return `text` with every control character but newline and tab shown as a symbol."""
    return "".join(_visible_character(character) for character in text)


def _visible_character(character: str) -> str:
    code = ord(character)
    if character in "\n\t":
        return character
    if code < _C0_END:
        return chr(_SYMBOLS_START + code)
    if code == _DELETE:
        return _DELETE_SYMBOL
    return _UNKNOWN_SYMBOL if _DELETE < code < _C1_END else character


def _accepted(decision: Mapping[str, Any]) -> str:
    about = f"at      {decision['decided_at']}\nby      {decision['actor']}\nreason  {decision['reason']}"
    return _section("Accepted", _block(about))


def _edited(candidate: Mapping[str, Any]) -> list[str]:
    """Return the section that names the editor of a self-edit; empty if nobody edited it."""
    if candidate["derived_from"] is None:
        return []
    who = f"by             {candidate['sampling'].get('edited_by', 'not recorded')}"
    return [_section("Edited", _block(f"{who}\nfrom candidate {candidate['derived_from']}"))]


def _title(tag: str, what: str, parent: str) -> str:
    return f"# {tag}\n\nA LoRA adapter that {what}, as a PEFT folder. Parent: {parent}."


def _section(title: str, body: str) -> str:
    return f"## {title}\n\n{body}"


def _block(text: str) -> str:
    return "\n".join(f"    {line}" for line in visible(text).split("\n"))


def _gate(gate: Mapping[str, Any]) -> Iterator[str]:
    """Yield the gate's verdict, then each piece of evidence."""
    passed = "not tested" if is_untested(gate["evidence"]) else "passed"
    verdict = passed if gate["passed"] else _VERDICTS.get(gate.get("on_failure") or "", "refused")
    yield f"{gate['gate']}: {verdict}"
    for name, value in gate["evidence"].items():
        several = value if isinstance(value, list) else [value]
        yield from (f"    {name.replace('_', ' ')}: {value_in_words(one)}" for one in several)


def _inner_update(update: Mapping[str, Any]) -> str:
    steps, tokens = counted(update["steps"], "step"), counted(update["trained_tokens"], "token")
    about = [f"repeat {update['repeat']}: {steps} on {tokens}, seed {update['seed']}"]
    about += [f"    hyperparameters: {value_in_words(update['hyperparameters'])}"]
    about += [f"    adapter: {value_in_words(update['adapter_hash'])}"]
    return "\n".join(about)


def _named(values: Mapping[str, Any]) -> str:
    return "\n".join(f"{name.replace('_', ' ')}: {value_in_words(value)}" for name, value in values.items())


def _figure(value: float | None) -> str:
    return "not measured" if value is None else f"{value:+.3f}"


def _of_repeats(spread: float | None, manifest: Mapping[str, Any]) -> str:
    repeats = len(manifest["inner_updates"])
    known = f", spread {spread:.3f}" if spread is not None and repeats > 1 else ""
    return f" over {counted(repeats, 'repeat')}{known}"


def _identity(manifest: Mapping[str, Any], candidate_id: str | None, round_number: int) -> str:
    head = manifest["chain_head"]
    lines = [f"candidate   {candidate_id}"] if candidate_id else []
    lines += [
        f"round       {round_number}",
        f"adapter     {manifest['adapter_hash']}",
        f"event log   {head['sequence']} {head['hash']}",
    ]
    return "\n".join(lines)
