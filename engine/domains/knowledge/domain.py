"""The knowledge domain: a self-edit is text about a context; the exam asks about it without showing it.

SEAL, arXiv 2506.10943, section 3.1.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from engine.domains.domain import ExamItem, TrainingExample, UpdatePlan
from engine.domains.knowledge.compile import answer_start, compile_sequences, context_sequence
from engine.domains.knowledge.templates import exam_prompt, prompt_for

if TYPE_CHECKING:
    from collections.abc import Sequence

    from engine.domains.knowledge.compile import Splitting
    from store.records import Question, Task


@dataclass(frozen=True, slots=True)
class KnowledgeDomain:
    """Contexts with questions. `edit_format` names the prompt template, `splitting` how a self-edit is cut up."""

    edit_format: str
    splitting: Splitting
    max_answer_tokens: int

    def prompt(self, task: Task) -> str:
        """Return the prompt that asks for a self-edit about the context."""
        return prompt_for(self.edit_format, task.title, task.context)

    def compile(self, self_edit: str, task: Task) -> UpdatePlan:
        """Return one example for each line of the self-edit, with the context as the last one."""
        texts = compile_sequences(self_edit, title=task.title, context=task.context, splitting=self.splitting)
        return UpdatePlan(tuple(TrainingExample(text) for text in texts))

    def replayed(self, examples: Sequence[TrainingExample], task: Task) -> list[TrainingExample]:
        """Return the self-edit's own lines, or the context if there is nothing else."""
        context = context_sequence(task.title, task.context)
        return [one for one in examples if one.text != context] or list(examples)

    def anchor(self, text: str) -> TrainingExample:
        """Return an anchor; of a question with its answer only the answer is learnt."""
        return TrainingExample(text, answer_start(text))

    def question_prompt(self, question: str) -> str:
        """Return a question in the exam's template."""
        return exam_prompt(question)

    def exam(self, questions: Sequence[Question]) -> list[ExamItem]:
        """Return the questions in the exam's template; an answer is one line."""
        return [ExamItem(one, exam_prompt(one.text), "line", self.max_answer_tokens) for one in questions]
