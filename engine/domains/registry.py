"""The domains, listed once: the forms of self-edit that `self_edit.format` may name, each made by its domain."""

from __future__ import annotations

from typing import TYPE_CHECKING

from engine.domains.knowledge.domain import KnowledgeDomain
from engine.domains.knowledge.templates import EditFormat

if TYPE_CHECKING:
    from engine.domains.domain import Domain, PromptForm
    from engine.domains.knowledge.compile import Splitting

__all__ = ["EditFormat", "make_domain"]


def make_domain(edit_format: EditFormat, splitting: Splitting, max_answer_tokens: int, form: PromptForm) -> Domain:
    """Return the domain that this form of self-edit belongs to."""
    return KnowledgeDomain(edit_format, splitting, max_answer_tokens, form)
