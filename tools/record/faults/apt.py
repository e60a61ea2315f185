"""apt: packages of the distribution."""

from __future__ import annotations

from tools.record.fault import Dependency, Fault, Sandbox, Span, kind
from tools.record.projects import python

TOOLS = {"apt": "apt-get --version"}


@kind("apt/unable_to_locate", {"name": "libssl1.1-dev"}, {"name": "python3.13-dev"}, keep=(2, 1), tools=TOOLS)
def unable_to_locate(run: int, name: str) -> Fault:
    """A package that this release does not have."""
    return Fault(
        repo="acme/scoring",
        job="image",
        category="dependency_missing",
        alt=("dependency_resolution", "environment"),
        dependency=Dependency(name, None, "deb"),
        files=python("scoring", 3, run),
        script=(
            "cat /etc/os-release | head -3",
            "apt-get update",
            f"apt-get install -y --no-install-recommends ca-certificates {name} libpq-dev",
        ),
        spans=(Span(r"^E: Unable to locate package"),),
        style="steps" if run else "plain",
    )


@kind(
    "apt/version_gone",
    {"name": "libpq-dev", "version": "15.6-0+deb12u1"},
    {"name": "curl", "version": "7.88.1-10"},
    keep=(2, 1),
    tools=TOOLS,
)
def version_gone(run: int, name: str, version: str) -> Fault:
    """A pinned version that the mirror no longer holds."""
    return Fault(
        repo="acme/images",
        job="base-image",
        category="dependency_resolution",
        alt=("dependency_missing",),
        dependency=Dependency(name, version, "deb"),
        files=python("images", 3, run),
        script=("apt-get update", f"apt-get install -y {name}={version}"),
        spans=(Span(r"^E: Version '"),),
    )


CONTROL = """\
Section: misc
Priority: optional
Package: acme-agent
Version: 4.2.0
Maintainer: Acme <ops@acme.example>
Depends: libssl1.1 (>= 1.1.1), python3 (>= 3.9)
Architecture: all
Description: Agent of the house
"""


@kind("apt/unmet_dependencies", {"name": "libssl1.1"}, keep=(2,), tools=TOOLS)
def unmet_dependencies(run: int, name: str) -> Fault:
    """A package of the house depends on one that this release dropped."""
    return Fault(
        repo="acme/images",
        job="agent-image",
        category="dependency_resolution",
        alt=("dependency_missing", "dependency_incompatible"),
        dependency=Dependency(name, None, "deb", accept=("acme-agent",)),
        files={"packaging/acme-agent/DEBIAN/control": CONTROL, **python("images", 3, run)},
        script=(
            "dpkg-deb --build packaging/acme-agent acme-agent.deb",
            "apt-get update",
            "apt-get install -y ./acme-agent.deb",
        ),
        spans=(Span(r"^The following packages have unmet dependencies", r"^E: Unable to correct problems"),),
    )


@kind("apt/lock_permission", {"name": "jq"}, keep=(1,), tools=TOOLS)
def lock_permission(run: int, name: str) -> Fault:
    """The job's user is not root."""
    return Fault(
        repo="acme/images",
        job="tools",
        category="permission",
        files=python("images", 3, run),
        script=("id -un", f"apt-get install -y {name}"),
        spans=(Span(r"^E: Could not open lock file", r"are you root"),),
        sandbox=Sandbox(user="ci"),
    )


@kind("apt/no_network", {"name": "jq"}, keep=(2,), tools=TOOLS)
def no_network(run: int, name: str) -> Fault:
    """The mirror cannot be reached."""
    return Fault(
        repo="acme/images",
        job="tools",
        category="network_infra",
        files=python("images", 3, run),
        script=("apt-get -o Acquire::Retries=0 update", f"apt-get -o Acquire::Retries=0 install -y {name} tree"),
        spans=(Span(r"^E: Failed to fetch"),),
        sandbox=Sandbox(net=False),
    )
