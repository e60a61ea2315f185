"""What a log names: packages, failing tests, files, hosts, exit codes; one file per ecosystem."""

from __future__ import annotations

from processor.logs.extract.collect import EVERYTHING, MentionReader, candidates, collect
from processor.logs.extract.patterns import BLAMED

__all__ = ["BLAMED", "EVERYTHING", "MentionReader", "candidates", "collect"]
