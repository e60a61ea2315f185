"""One property under Atheris: `python -m tests.fuzz.one PROPERTY [options of libFuzzer] FOLDER …`."""

from __future__ import annotations

import sys

import atheris

with atheris.instrument_imports(include=["processor"]):
    from tests.fuzz.properties import PROPERTIES


def main() -> None:
    """Never returns: libFuzzer ends the process."""
    name = sys.argv.pop(1)
    atheris.Setup(sys.argv, PROPERTIES[name])
    atheris.Fuzz()


if __name__ == "__main__":
    main()
