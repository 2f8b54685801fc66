"""Documents of a task as lm-evaluation-harness makes prompts, targets and options of them.

Neither the network nor a cache on the disk is used, no code of a task is run, and templates run in Jinja's sandbox. The
only module that loads the harness, which is an extra: import it where a task is to be built, nowhere else.
"""

from __future__ import annotations

import logging
import random
from contextlib import contextmanager
from copy import deepcopy
from dataclasses import dataclass
from functools import lru_cache
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

import datasets
from jinja2 import StrictUndefined
from jinja2.sandbox import ImmutableSandboxedEnvironment
from lm_eval import utils
from lm_eval.api.task import ConfigurableTask

if TYPE_CHECKING:
    from collections.abc import Iterator

    from engine.retention.harness_data import DataFiles
    from engine.retention.harness_task import HarnessTask

# The harness's own seed for the choice of examples.
_EXAMPLES_SEED = 1234


@dataclass(frozen=True, slots=True)
class AskedDocument:
    """A document as templates made it; none of the values is checked. `options` is None where answers are written."""

    prompt: object
    target: object
    options: object


def asked_documents(task: HarnessTask) -> list[AskedDocument]:
    """Return every document of a task, in the order in which the harness builds them; raises whatever it raises."""
    with _quiet(), _sandboxed_templates():
        return list(_asked(task))


def _asked(task: HarnessTask) -> Iterator[AskedDocument]:
    found = ConfigurableTask(config={**deepcopy(task.config), "custom_dataset": lambda: _data_set(task.data)})
    found.set_fewshot_seed(_EXAMPLES_SEED)
    for document in found.eval_docs:
        text = found.fewshot_context(
            document, num_fewshot=found.config.num_fewshot or 0, gen_prefix=found.doc_to_prefix(document)
        )
        options = found.doc_to_choice(document) if task.output_type == "multiple_choice" else None
        yield AskedDocument(text, found.doc_to_target(document), options)


def _data_set(data: DataFiles) -> Any:
    """Read the files of every split into memory, with nothing left behind on the disk."""
    read = datasets.Dataset.from_json if data.form == "json" else datasets.Dataset.from_csv
    with TemporaryDirectory() as folder:
        return datasets.DatasetDict(
            {
                split: read([str(path) for path in paths], cache_dir=folder, keep_in_memory=True)
                for split, paths in data.by_split.items()
            }
        )


@contextmanager
def _sandboxed_templates() -> Iterator[None]:
    """Let the harness render templates in Jinja's sandbox: a task file that was handed on must not run code."""
    own = utils.env
    utils.env = ImmutableSandboxedEnvironment(undefined=StrictUndefined, keep_trailing_newline=True)
    utils.env.filters.update(own.filters)
    # The harness compiles a template anew for each document, which takes most of the time.
    utils.env.from_string = lru_cache(maxsize=64)(utils.env.from_string)
    try:
        yield
    finally:
        utils.env = own


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep the warnings and progress bars of harness and data sets off the engine's output, and its random state."""
    had_bars, disabled, state = datasets.is_progress_bar_enabled(), logging.root.manager.disable, random.getstate()
    datasets.disable_progress_bars()
    logging.disable(logging.WARNING)
    try:
        yield
    finally:
        random.setstate(state)
        logging.disable(disabled)
        if had_bars:
            datasets.enable_progress_bars()
