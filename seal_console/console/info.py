"""Text of the info and settings dialogs: paths, versions, and every setting with its source."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from engine.input_files.located_yaml import parse_located_yaml
from engine.settings.reading import load_settings, section_models
from seal_console.console.content import assemble, lines, safe_line
from seal_console.queries.installation import installation, workspace_facts
from store.wording import value_in_words

if TYPE_CHECKING:
    from collections.abc import Mapping

    from sqlite_utils import Database
    from textual.content import Content

    from store.workspace import Workspace

_IF_ABSENT = {"engine_lock": "free", "guardrails": "no recent verdicts"}


def info_text(workspace: Workspace, db: Database) -> Content:
    """Return the text of `seal-console info`."""
    rows: list[Content] = []
    for title, values in {**workspace_facts(workspace, db), **installation()}.items():
        rows += _group(title, values)
    return lines(*rows)


def settings_text(workspace: Workspace) -> Content:
    """Return every setting with its value and its source: the file, or the default."""
    settings = load_settings(workspace.settings_file)
    given: Any = parse_located_yaml(workspace.settings_file.read_text(encoding="utf-8")).data or {}
    rows = [assemble(("source: ", "$text-muted"), str(workspace.settings_file)), assemble("")]
    for section, model in section_models().items():
        rows.append(assemble((section, "bold")))
        for key in model.model_fields:
            value = getattr(getattr(settings, section), key)
            set_here = key in (given.get(section) or {})
            source = ("seal.yaml", "$text-accent") if set_here else ("default", "$text-muted")
            rows.append(assemble(f"  {key:<24} ", (f"{_setting(value):<28} ", "bold" if set_here else ""), source))
    return lines(*rows)


def _setting(value: object) -> str:
    if value is None:
        return "not set"
    return str(value).lower() if isinstance(value, bool) else value_in_words(value)


def _group(title: str, values: Any) -> list[Content]:
    if not isinstance(values, dict) or not values:
        words = _IF_ABSENT.get(title, "none") if not values else value_in_words(values)
        return [assemble((f"{title.replace('_', ' '):<20}", "$text-muted"), safe_line(words))]
    found: Mapping[str, Any] = values
    rows = [assemble((title.replace("_", " "), "bold"))]
    rows += [
        assemble((f"  {name.replace('_', ' '):<20}", "$text-muted"), safe_line(value_in_words(value)))
        for name, value in found.items()
    ]
    return [*rows, assemble("")]
