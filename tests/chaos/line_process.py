"""`faultstream` itself, with the switches of the chaos tests: `python -m tests.chaos.line_process FOLDER run …`."""

from __future__ import annotations

import sys
from pathlib import Path

from processor.cli import main
from tests.chaos.hooks import Switches

if __name__ == "__main__":
    Switches(Path(sys.argv.pop(1))).install()
    main()
