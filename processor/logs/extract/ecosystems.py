"""All patterns: one module for each ecosystem, one each for tests, places and exit codes."""

from __future__ import annotations

from typing import Final

from processor.logs.extract import (
    apple,
    beam,
    cargo,
    classes,
    commands,
    conda,
    containers,
    dart,
    deployment,
    dotnet,
    exits,
    golang,
    haskell,
    imports,
    java,
    javascript,
    julia,
    native,
    niches,
    npm,
    perl,
    php,
    places,
    python,
    rlang,
    ruby,
    system,
    tests,
    vcs,
)
from processor.logs.extract.patterns import Pattern

MODULES: Final = (
    npm, javascript, python, imports, conda, java, classes, cargo, golang, dotnet, ruby, php, beam, dart, rlang,
    haskell, perl, julia, apple, niches, system, commands, containers, deployment, native, vcs, tests, places, exits,
)  # fmt: skip
PATTERNS: Final[tuple[Pattern, ...]] = tuple(pattern for module in MODULES for pattern in module.PATTERNS)
