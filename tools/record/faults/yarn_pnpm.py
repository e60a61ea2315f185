"""yarn (1 and 4) and pnpm: lock files, versions, scripts."""

from __future__ import annotations

from tools.record.fault import Dependency, Fault, Sandbox, Span, kind
from tools.record.faults.npm import BASE, manifest
from tools.record.projects import typescript

YARN = {"yarn": "npm view yarn@1.22.22 version", "node": "node --version"}
BERRY = {"yarn": "npm view @yarnpkg/cli-dist@4.5.3 version", "node": "node --version"}
PNPM = {"pnpm": "npm view pnpm@9.12.3 version", "node": "node --version"}
GET_YARN = "npm install --global --silent yarn@1.22.22"
GET_BERRY = (
    "npm install --global --silent @yarnpkg/cli-dist@4.5.3 && "
    "ln -sf $(npm root --global)/@yarnpkg/cli-dist/bin/yarn.js /usr/local/bin/yarn && chmod +x /usr/local/bin/yarn"
)
GET_PNPM = "npm install --global --silent pnpm@9.12.3"
GONE = {"lodash": "99.1.0"}
MISSING = {"acme-internal-tokens-kit": "2.0.0"}


def _fault(
    run: int,
    get: str,
    script: str,
    span: Span,
    *,
    wanted: dict[str, str],
    category: str,
    more: tuple[str, ...] = (),
    sandbox: Sandbox | None = None,
) -> Fault:
    name, version = next(iter(wanted.items())) if wanted else ("", None)
    lock = category == "config_script" or not wanted
    return Fault(
        repo="acme/storefront",
        job="install",
        category=category,
        alt=("dependency_missing", "dependency_resolution", "config_script") if category != "network_infra" else (),
        dependency=None if lock else Dependency(name, version, "npm"),
        files={"package.json": manifest({**BASE, **wanted}, version=f"2.{run}.0"), **typescript(4, run)},
        setup=(get, *more),
        script=("node --version", script),
        spans=(span,),
        style="steps" if run else "plain",
        sandbox=sandbox or Sandbox(),
    )


@kind("yarn/no_version", tools=YARN)
def no_version(run: int) -> Fault:
    """A version that was never published, with yarn 1."""
    span = Span(r"Couldn't find any versions for")
    return _fault(run, GET_YARN, "yarn install", span, wanted=GONE, category="dependency_resolution")


@kind("yarn/not_found", tools=YARN)
def not_found(run: int) -> Fault:
    """A private package that the public registry does not have, with yarn 1."""
    span = Span(r"^error .*(?:[Nn]ot found|find package)")
    return _fault(run, GET_YARN, "yarn install", span, wanted=MISSING, category="dependency_missing")


@kind("yarn/frozen_lockfile", tools=YARN)
def frozen_lockfile(run: int) -> Fault:
    """package.json was edited, the lock file of yarn 1 was not."""
    edit = ("yarn install --silent --ignore-scripts", "rm -rf node_modules", "npm pkg set dependencies.dayjs=1.11.13")
    return _fault(
        run,
        GET_YARN,
        "yarn install --frozen-lockfile",
        Span(r"lockfile needs to be updated"),
        wanted={},
        category="dependency_resolution",
        more=edit,
    )


@kind("yarn/no_script", tools=YARN)
def no_script(run: int) -> Fault:
    """The job runs a script that package.json does not have, with yarn 1."""
    span = Span(r'^error Command "build:prod" not found')
    return _fault(run, GET_YARN, "yarn run build:prod", span, wanted={}, category="config_script")


@kind("yarn/berry_immutable", tools=BERRY)
def berry_immutable(run: int) -> Fault:
    """package.json was edited, the lock file of yarn 4 was not."""
    edit = (
        "touch yarn.lock && YARN_ENABLE_IMMUTABLE_INSTALLS=0 yarn install",
        "rm -rf node_modules",
        "npm pkg set dependencies.dayjs=1.11.13",
    )
    return _fault(
        run,
        GET_BERRY,
        "yarn install --immutable",
        Span(r"YN0028"),
        wanted={},
        category="dependency_resolution",
        more=edit,
    )


@kind("yarn/berry_no_candidates", tools=BERRY)
def berry_no_candidates(run: int) -> Fault:
    """A version that was never published, with yarn 4."""
    return _fault(
        run,
        GET_BERRY,
        "yarn install",
        Span(r"No candidates found"),
        wanted=GONE,
        category="dependency_resolution",
        more=("touch yarn.lock",),
    )


@kind("pnpm/no_version", tools=PNPM)
def pnpm_no_version(run: int) -> Fault:
    """A version that was never published, with pnpm."""
    span = Span(r"ERR_PNPM_NO_MATCHING_VERSION")
    return _fault(run, GET_PNPM, "pnpm install", span, wanted=GONE, category="dependency_resolution")


@kind("pnpm/not_found", tools=PNPM)
def pnpm_not_found(run: int) -> Fault:
    """A private package that the public registry does not have, with pnpm."""
    return _fault(
        run, GET_PNPM, "pnpm install", Span(r"ERR_PNPM_FETCH_404"), wanted=MISSING, category="dependency_missing"
    )


@kind("pnpm/outdated_lockfile", tools=PNPM)
def pnpm_outdated_lockfile(run: int) -> Fault:
    """package.json was edited, the lock file of pnpm was not."""
    edit = ("pnpm install --lockfile-only", "npm pkg set dependencies.dayjs=1.11.13")
    return _fault(
        run,
        GET_PNPM,
        "pnpm install --frozen-lockfile",
        Span(r"ERR_PNPM_OUTDATED_LOCKFILE"),
        wanted={},
        category="dependency_resolution",
        more=edit,
    )


@kind("pnpm/no_script", tools=PNPM)
def pnpm_no_script(run: int) -> Fault:
    """The job runs a script that package.json does not have, with pnpm."""
    span = Span(r"ERR_PNPM_NO_SCRIPT")
    return _fault(run, GET_PNPM, "pnpm run build:prod", span, wanted={}, category="config_script")


@kind("pnpm/peer_conflict", tools=PNPM)
def pnpm_peer_conflict(run: int) -> Fault:
    """A peer dependency is not met, and the project demands strictness."""
    wanted = {"@material-ui/core": "4.12.4", "react": "18.3.1", "react-dom": "18.3.1"}
    return _fault(
        run,
        GET_PNPM,
        "pnpm install --strict-peer-dependencies",
        Span(r"ERR_PNPM_PEER_DEP_ISSUES"),
        wanted=wanted,
        category="dependency_resolution",
    )


@kind("pnpm/engine", tools=PNPM)
def pnpm_engine(run: int) -> Fault:
    """The project does not run on this version of Node.js."""
    edit = ("npm pkg set engines.node='>=99'",)
    return _fault(
        run,
        GET_PNPM,
        "pnpm install --engine-strict",
        Span(r"ERR_PNPM_UNSUPPORTED_ENGINE"),
        wanted={},
        category="environment",
        more=edit,
    )


OFFLINE = Sandbox(net=False)


@kind("yarn/no_network", tools=YARN)
def no_network(run: int) -> Fault:
    """Yarn 1 does not reach the registry."""
    script = "yarn install --network-timeout 500"
    span = Span(r"^error .*(?:EAI_AGAIN|ENOTFOUND|network|ENETUNREACH)")
    return _fault(run, GET_YARN, script, span, wanted={}, category="network_infra", sandbox=OFFLINE)


@kind("pnpm/no_network", tools=PNPM)
def pnpm_no_network(run: int) -> Fault:
    """Pnpm does not reach the registry."""
    script = "pnpm install --fetch-retries 0"
    span = Span(r"ERR_PNPM_META_FETCH_FAIL|ERR_PNPM_FETCH|EAI_AGAIN|ENOTFOUND")
    return _fault(run, GET_PNPM, script, span, wanted={}, category="network_infra", sandbox=OFFLINE)
