"""`python -m processor` is the command `faultstream`."""

from processor.cli import main

main()
