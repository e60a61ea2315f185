"""Reading many logs: in parallel processes, in order, each failing alone, with a progress bar on a terminal."""

from __future__ import annotations

import functools
import multiprocessing
import os
import signal
import sys
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final, NamedTuple

from rich.console import Console
from rich.markup import escape

from processor.cli.inputs import Input
from processor.contract import Excerpt
from processor.errors import FaultstreamError, Rejected, Retryable
from processor.logs import tokens
from processor.logs.baseline import Baseline
from processor.logs.decode import text_stream
from processor.logs.redact import redactor
from processor.logs.reduce import reduce_stream, warm
from processor.logs.why import Block, why

_LARGE: Final = 32_000_000
"""Bytes from which on reading one log takes so long that a word is due."""
_ALONE: Final = 1 << 20
"""Bytes of all logs together up to which one process reads them sooner than several are started."""


@dataclass(frozen=True, slots=True)
class Job:
    """What is done with each log."""

    budget: int
    tokenizer: Path | None = None
    baseline: Input | None = None
    why: bool = False
    redaction: Path | None = None


class Read(NamedTuple):
    """A log that was read: its excerpt, and on request why its blocks are there; or why it has none."""

    name: str
    excerpt: Excerpt | None = None
    blocks: list[Block] | None = None
    reason: str = ""
    error: str = ""


def each(inputs: Sequence[Input], job: Job, jobs: int | None, out: Console | None) -> Iterator[Read]:
    """Reads the logs, in their order, in `jobs` processes (by default one for each core at hand).

    `out` is where the results are printed meanwhile, if that is for people. Raises ConfigError for a tokenizer
    and FaultstreamError for a baseline that can't be used, before anything is read.
    """
    _tools(job)
    if sum(log.size for log in inputs) <= _ALONE or any(log.name == "-" for log in inputs):
        jobs = 1
    workers = min(len(inputs), jobs or _cores())
    # The bar has a thread of its own: workers are forked before it starts.
    reading = _alone(inputs, job) if workers == 1 else _parallel(inputs, job, workers)
    with reading as reads, _progress(inputs, out) as advance:
        for log, read in zip(inputs, reads, strict=True):
            advance(log)
            yield read


@contextmanager
def _alone(inputs: Sequence[Input], job: Job) -> Iterator[Iterator[Read]]:
    redactor(job.redaction)  # says what is wrong with the file before anything is read
    yield (_read(job, log) for log in inputs)


@contextmanager
def _parallel(inputs: Sequence[Input], job: Job, workers: int) -> Iterator[Iterator[Read]]:
    warm()
    redactor(job.redaction)
    # Forked workers share what is compiled already; where that is not safe, each compiles or loads it.
    context = multiprocessing.get_context("fork" if sys.platform == "linux" else "spawn")
    with ProcessPoolExecutor(workers, context, signal.signal, (signal.SIGINT, signal.SIG_IGN)) as pool:
        try:
            yield pool.map(functools.partial(_read, job), inputs)
        except BrokenProcessPool as error:
            raise FaultstreamError("a worker process died, for lack of memory maybe; try --jobs 1") from error
        finally:
            pool.shutdown(cancel_futures=True)


def _read(job: Job, log: Input) -> Read:
    """One log. What is wrong with it is told in the result: the others are read on."""
    try:
        excerpt = _excerpt(job, log)
    except (Rejected, Retryable, OSError) as error:
        return Read(log.label, None, None, *_told(error))
    return Read(log.label, excerpt, why(excerpt) if job.why else None)


def _told(error: Exception) -> tuple[str, str]:
    """Reason code and text of an error."""
    if isinstance(error, Rejected):
        return error.reason, str(error)
    if isinstance(error, OSError):
        return "unreadable", f"can't be read: {error.strerror or error}"
    return "reference_failed", str(error)


def _excerpt(job: Job, log: Input) -> Excerpt:
    count, baseline = _tools(job)
    return reduce_stream(_clean(job, log), job.budget, count=count, baseline=baseline)


def _clean(job: Job, log: Input) -> Iterator[bytes]:
    """A log's text without secrets."""
    return redactor(job.redaction).session().stream(text_stream(log.read()))


@functools.cache
def _tools(job: Job) -> tuple[tokens.TokenCounter, Baseline | None]:
    """What counts tokens, and the lines of the passing run."""
    count = tokens.counter(job.tokenizer)
    if job.baseline is None:
        return count, None
    try:
        return count, Baseline.of_stream(_clean(job, job.baseline))
    except (Rejected, Retryable, OSError) as error:
        raise FaultstreamError(f"--baseline {job.baseline.label}: {_told(error)[1]}") from error


def _cores() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


@contextmanager
def _progress(inputs: Sequence[Input], out: Console | None) -> Iterator[Callable[[Input], None]]:
    """On a terminal a bar, or for one large log a word; gives what takes note of a log that was read."""
    terminal = out if out is not None and out.is_terminal else Console(stderr=True)
    size = sum(log.size for log in inputs)
    if not terminal.is_terminal or size < (_LARGE if len(inputs) == 1 else _ALONE):
        yield lambda log: None  # noqa: ARG005
    elif len(inputs) == 1:
        with terminal.status(f"reading {escape(inputs[0].label)}, {inputs[0].size / 1e6:,.0f} MB …"):
            yield lambda log: None  # noqa: ARG005
    else:
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

        columns = (BarColumn(), MofNCompleteColumn(), TimeRemainingColumn(), TextColumn("{task.description}"))
        with Progress(*columns, console=terminal, transient=True) as bar:
            task = bar.add_task("", total=len(inputs))
            yield lambda log: bar.update(task, advance=1, description=escape(log.label))
