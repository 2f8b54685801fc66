"""The base that a benchmark runs on, and the shape of its adapters: rank 16 on every linear layer."""

from __future__ import annotations

import platform
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

import peft
import torch
import transformers

from engine.bundled import BUNDLED
from engine.lab.bench.jobs import Subject
from engine.lab.bench.random_model import RANDOM_100M, VOCABULARY, random_qwen2
from engine.lora.adapter import make_spec
from engine.model.base import BaseModel, load_base
from engine.model.model_folder import model_folder

if TYPE_CHECKING:
    from collections.abc import Iterator

RANK, ALPHA = 16, 32.0


@contextmanager
def subject_folder(path: str, seed: int) -> Iterator[Path]:
    """Return the folder of "bundled", of a local model, or of a random model that lasts as long as the benchmark."""
    if path == RANDOM_100M:
        with TemporaryDirectory() as folder:
            random_qwen2(Path(folder), seed=seed)
            yield Path(folder)
    else:
        yield model_folder(path)


def load_subject(folder: Path, name: str, precision: str) -> tuple[BaseModel, Subject]:
    """Load the base for the bank, and describe it for the methods that load it themselves."""
    base = load_base(name if name == BUNDLED else str(folder), precision=precision)
    spec = make_spec(base.model, rank=RANK, alpha=ALPHA, target_modules="all-linear")
    padding = int(base.tokenizer.pad_token_id or 0)
    return base, Subject(folder, base.device, base.precision, spec, base.window_tokens, padding)


def described_subject(base: BaseModel, subject: Subject, path: str) -> dict[str, Any]:
    """Return model and adapters in figures; a folder is named by its last part only."""
    return {
        "model": path if path in (BUNDLED, RANDOM_100M) else Path(path).name,
        "note": f"random weights, vocabulary of {VOCABULARY}" if path == RANDOM_100M else "",
        "parameters": base.model.num_parameters(),
        "vocabulary": base.model.config.vocab_size,
        "window_tokens": subject.window_tokens,
        "precision": str(subject.precision).removeprefix("torch."),
        "adapter_rank": subject.spec.rank,
        "adapter_matrices": len(subject.spec.targets),
        "adapter_parameters": subject.spec.parameters,
    }  # fmt: skip


def described_environment(device: torch.device) -> dict[str, Any]:
    """Return versions and hardware, without anything that identifies the machine or its owner."""
    return {
        "python": platform.python_version(),
        "torch": torch.__version__,
        "transformers": transformers.__version__,
        "peft": peft.__version__,
        "device": torch.cuda.get_device_name(device) if device.type == "cuda" else "cpu",
        "processor": _processor_name(),
        "threads": torch.get_num_threads(),
    }


def _processor_name() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        lines = []
    named = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(named, platform.machine())
