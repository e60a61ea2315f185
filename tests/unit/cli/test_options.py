"""What commands share."""

from __future__ import annotations

from rich.console import Console
from rich.table import Table

from processor.cli.options import WIDEST, print_table


def test_a_table_is_never_cut_to_the_terminal() -> None:
    """Names of topics and fingerprints stay whole on a narrow one; only what is endless is cut."""
    table = Table(box=None, pad_edge=False)
    for title in ("topic", "cleanup", "why"):
        table.add_column(title)
    table.add_row("faultstream.decide-faults-changelog", "compact", "x" * 1000)
    console = Console(width=40)
    with console.capture() as captured:
        print_table(table, console)
    title, row = captured.get().splitlines()
    assert row.startswith("faultstream.decide-faults-changelog  compact  xxx")
    assert len(row) == WIDEST
    assert title.split() == ["topic", "cleanup", "why"]
