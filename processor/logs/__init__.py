"""Reading a log, usable alone: scan, mask, redact, rank, reduce, extract."""
