"""The list of commands."""

from __future__ import annotations

import subprocess
import sys

import pytest
import typer

from processor.cli import COMMANDS, Commands, described


@pytest.mark.parametrize("name", COMMANDS)
def test_the_list_says_what_the_command_says(name: str) -> None:
    """The text is read from the command's file, and is what the imported command tells."""
    command = Commands(name="faultstream").get_command(typer.Context(typer.core.TyperCommand(name)), name)
    assert described(name).split() == str(command.help).split()
    assert described(name)


def test_the_list_imports_no_command() -> None:
    """Nobody waits for Kafka's client, Faust and hyperscan to read what commands there are."""
    code = "import sys\nfrom processor.cli import main\ntry: main()\nfinally: print('aiokafka' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code, "--help"], capture_output=True, text=True, check=False)
    assert done.returncode == 0
    assert all(name in done.stdout for name in COMMANDS)
    assert done.stdout.splitlines()[-1] == "False"
