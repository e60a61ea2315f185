"""How the tests are shared out between two processes (`pytest -n 2 --dist loadfile`, as `make test` has them run).

A process takes whole files. The files that talk to real model servers are one unit, so that each server is started
once and no two compute side by side; the chaos tests are another, so that no two rounds of faults disturb one another.
Those two take minutes each and don't run beside one another as long as the unit tests last; what comes last is short.
Every other server is cheap enough to be started by each process that needs it.
"""

from __future__ import annotations

import pytest

CHAOS = "tests/chaos"
MODELS = "tests of model servers"
MODEL_SERVERS = frozenset(
    {
        "tests/contract/test_adapters.py",
        "tests/contract/test_gguf_adapters.py",
        "tests/contract/test_model_client.py",
        "tests/contract/test_other_servers.py",
        "tests/decoder/test_decoder.py",
        "tests/integration/test_servers.py",
        "tests/integration/test_tiers.py",
    }
)
ORDER = (CHAOS, "tests/unit/", MODELS, "tests/e2e/", "tests/integration/")


def unit_of(nodeid: str) -> str:
    """What is run by one process, without a break: the file of a test, or a group of files."""
    file = nodeid.partition("::")[0]
    if file in MODEL_SERVERS:
        return MODELS
    return CHAOS if file.startswith(f"{CHAOS}/") else file


def place(nodeid: str) -> int:
    """When the unit of a test has its turn: the lower the sooner."""
    unit = unit_of(nodeid)
    return next((at for at, start in enumerate(ORDER) if unit.startswith(start)), len(ORDER))


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Puts them into the order of their turns, in each of the two processes alike. Raises UsageError."""
    strangers = {item.nodeid.partition("::")[0] for item in items if _needs_a_model_server(item)} - MODEL_SERVERS
    if strangers:
        raise pytest.UsageError(f"tests/processes.py has to name {', '.join(sorted(strangers))} in MODEL_SERVERS")
    if hasattr(config, "workerinput"):
        items.sort(key=lambda item: place(item.nodeid))


def _needs_a_model_server(item: pytest.Item) -> bool:
    return any(item.get_closest_marker(name) for name in ("vllm", "llamacpp"))


class Units:
    """Registered where pytest-xdist shares out the tests."""

    @pytest.hookimpl(tryfirst=True)
    def pytest_xdist_make_scheduler(self, config: pytest.Config, log: object) -> object:
        """Hands out units, in their order, where whole files would be handed out, the largest first."""
        if config.getvalue("dist") != "loadfile":
            return None
        from xdist.scheduler import LoadScopeScheduling

        config.option.loadscopereorder = False
        scheduler = LoadScopeScheduling(config, log)
        scheduler._split_scope = unit_of
        return scheduler


@pytest.hookimpl(trylast=True)
def pytest_configure(config: pytest.Config) -> None:
    """In one process there is nothing to be shared out."""
    if config.pluginmanager.hasplugin("dsession"):
        config.pluginmanager.register(Units(), "units")
