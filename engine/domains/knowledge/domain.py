"""The knowledge domain: a self-edit is text about a context; the exam asks about it without showing it.

SEAL, arXiv 2506.10943, section 3.1.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from engine.domains.domain import ExamItem, PromptForm, StopRule, TrainingExample, UpdatePlan
from engine.domains.knowledge.compile import answer_start, compile_sequences, context_sequence, question_of
from engine.domains.knowledge.templates import exam_prompt, open_exam_prompt, prompt_for

if TYPE_CHECKING:
    from collections.abc import Sequence

    from engine.domains.knowledge.compile import Splitting
    from store.records import Question, Task


@dataclass(frozen=True, slots=True)
class KnowledgeDomain:
    """Contexts with questions. `edit_format` names the prompt template, `splitting` how a self-edit is cut up.

    `form` is how questions are asked. What is trained has the form of the exam: a chat model learns the answer to a
    question that is put as in the exam.
    """

    edit_format: str
    splitting: Splitting
    max_answer_tokens: int
    form: PromptForm = "plain"

    @property
    def stop(self) -> StopRule:
        """A chat model ends its own turn; any other model would go on with the next question."""
        return "end" if self.form == "chat" else "line"

    def prompt(self, task: Task) -> str:
        """Return the prompt that asks for a self-edit about the context."""
        return prompt_for(self.edit_format, task.title, task.context)

    def compile(self, self_edit: str, task: Task) -> UpdatePlan:
        """Return one example for each line of the self-edit, with the context as the last one."""
        texts = compile_sequences(self_edit, title=task.title, context=task.context, splitting=self.splitting)
        return UpdatePlan(tuple(map(self.example, texts)))

    def replayed(self, examples: Sequence[TrainingExample], task: Task) -> list[TrainingExample]:
        """Return the self-edit's own lines, or the context if there is nothing else."""
        context = context_sequence(task.title, task.context)
        return [one for one in examples if one.text != context] or list(examples)

    def example(self, text: str) -> TrainingExample:
        """Return a text as it is trained on; a chat model learns only the answer of a question with its answer."""
        return self.anchor(text) if self.form == "chat" else TrainingExample(text)

    def anchor(self, text: str) -> TrainingExample:
        """Return an anchor; of a question with its answer only the answer is learnt."""
        start = answer_start(text)
        if not start or self.form != "chat":
            return TrainingExample(text, start)
        prompt = exam_prompt(question_of(text), self.form)
        return TrainingExample(f"{prompt} {text[start:].strip()}", len(prompt))

    def question_prompt(self, question: str) -> str:
        """Return a question in the exam's template."""
        return exam_prompt(question, self.form)

    def exam(self, questions: Sequence[Question]) -> list[ExamItem]:
        """Return the questions in the exam's template."""
        return [self._item(one, exam_prompt(one.text, self.form)) for one in questions]

    def open_exam(self, task: Task) -> list[ExamItem]:
        """Return the task's questions in the exam's template, each after the context."""
        return [
            self._item(one, open_exam_prompt(one.text, task.title, task.context, self.form)) for one in task.questions
        ]

    def _item(self, question: Question, prompt: str) -> ExamItem:
        return ExamItem(question, prompt, self.stop, self.max_answer_tokens)
