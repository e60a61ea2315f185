"""The job's machine: disk, memory, time, rights, missing tools, cancelled and broken runners."""

from __future__ import annotations

from tools.record.fault import Dependency, Fault, Sandbox, Span, kind
from tools.record.projects import python, typescript

BASH = {"bash": "bash --version"}
PYTHON = {"python": "python3 --version"}
NODE = {"node": "node --version"}
GCC = {"gcc": "gcc --version"}


def _script(*lines: str) -> str:
    return "#!/usr/bin/env bash\nset -euo pipefail\n" + "\n".join(lines) + "\n"


@kind("env/no_space", {"size": 48}, {"size": 24}, keep=(3, 1), tools=BASH)
def no_space(run: int, size: int) -> Fault:
    """The volume of the working copy is too small for what the job makes."""
    steps = "".join(
        f'echo "packing layer {number}"\nhead -c {3 + run}M /dev/urandom > build/layer-{number}.bin\n'
        f"sha256sum build/layer-{number}.bin\n"
        for number in range(40)
    )
    return Fault(
        repo="acme/images",
        target="volume",
        job="assemble",
        category="resource",
        files={"assemble.sh": _script("mkdir -p build", steps, "tar cf image.tar build"), **python("images", 4, run)},
        executables=("assemble.sh",),
        script=("df -h .", "./assemble.sh"),
        after=("ls -lh build", "df -h .", "rm -rf build", "git status --short"),
        spans=(Span(r"No space left on device"),),
        sandbox=Sandbox(disk_mb=size),
    )


@kind("env/npm_no_space", {"size": 12}, keep=(2,), tools={"npm": "npm --version"})
def npm_no_space(run: int, size: int) -> Fault:
    """Npm fills the volume."""
    manifest = (
        f'{{"name": "web", "version": "2.0.{run}", "dependencies": '
        '{"typescript": "5.5.4", "date-fns": "3.6.0", "express": "4.19.2"}}\n'
    )
    return Fault(
        repo="acme/storefront",
        job="web-assets",
        category="resource",
        files={"package.json": manifest, **typescript(4, run)},
        script=("df -h .", "npm install --no-audit", "npm ls"),
        spans=(Span(r"npm (ERR!|error) (code ENOSPC|nospc)", r"npm (ERR!|error) nospc"),),
        sandbox=Sandbox(disk_mb=size),
        style="steps",
    )


HUNGRY = """\
import sys

from forecast.invoice import Invoice

rows = []
for month in range(1, 60):
    rows.append(bytearray(9_000_000))
    for page in range(len(rows[-1]) // 4096):
        rows[-1][page * 4096] = 1
    print(f"month {month:02}: {Invoice('x', [1.0] * month).total():.1f} in the model", flush=True)
print("fitted", file=sys.stderr)
"""


@kind("env/oom_killed", {"limit": 160}, {"limit": 256}, keep=(3, 1), tools=PYTHON)
def oom_killed(run: int, limit: int) -> Fault:
    """The kernel kills a process at the memory limit of the job."""
    return Fault(
        repo="acme/forecast",
        target="memory",
        job="train",
        category="resource",
        files={"train.py": HUNGRY + f"# revision {run}\n", **python("forecast", 8, run)},
        script=("python3 -m compileall -f forecast", "python3 train.py"),
        after=("ls -l", "find forecast -name '*.py' | sort", "free -m || true"),
        spans=(Span(r"Killed"),),
        sandbox=Sandbox(memory_mb=limit),
        style="steps" if run == 2 else "plain",
    )


@kind("env/node_heap", {"heap": 48}, keep=(2,), tools=NODE)
def node_heap(run: int, heap: int) -> Fault:
    """A bundler runs out of its JavaScript heap."""
    code = (
        "const chunks = [];\nfor (let i = 0; ; i++) {\n"
        "  chunks.push(Array.from({ length: 20000 }, (_, n) => ({ id: i, module: `chunk-${i}-${n}` })));\n"
        "  if (i % 3 === 0) console.log(`transforming chunk ${i}`);\n}\n"
    )
    return Fault(
        repo="acme/web",
        job="bundle",
        category="resource",
        files={"bundle.mjs": f"// revision {run}\n{code}", **typescript(6, run)},
        script=("node --version", f"NODE_OPTIONS=--max-old-space-size={heap} node bundle.mjs"),
        spans=(Span(r"^FATAL ERROR: .*heap"),),
    )


@kind("env/too_many_files", {"limit": 64}, keep=(1,), tools=PYTHON)
def too_many_files(run: int, limit: int) -> Fault:
    """A process leaks descriptors until the limit."""
    code = (
        "import pathlib\n\nhandles = []\nfor number in range(400):\n    path = pathlib.Path(f'part-{number}.csv')\n"
        "    path.write_text('a,b\\n')\n    handles.append(path.open())\n    print('opened', path, flush=True)\n"
    )
    return Fault(
        repo="acme/forecast",
        job="split",
        category="resource",
        files={"split.py": code, **python("forecast", 3, run)},
        script=(f"ulimit -n {limit}", "python3 split.py"),
        spans=(Span(r"^Traceback", r"^OSError: \[Errno 24\] Too many open files"),),
    )


@kind("env/job_timeout", {"seconds": 12}, keep=(3,), tools=BASH)
def job_timeout(run: int, seconds: int) -> Fault:
    """A step waits for something that never comes, and the runner's limit ends the job."""
    wait = _script(
        "echo 'waiting for the staging cluster to become ready'",
        f"attempt={run}",
        "until [ -e /var/run/staging.ready ]; do",
        "  attempt=$((attempt + 1))",
        '  echo "attempt $attempt: cluster not ready, retrying in 1s"',
        "  sleep 1",
        "done",
    )
    return Fault(
        repo="acme/platform",
        job="smoke-test",
        category="timeout_hang",
        files={"ci/wait-for-cluster.sh": wait, **python("platform_tools", 5, run)},
        executables=("ci/wait-for-cluster.sh",),
        script=("python3 -m compileall platform_tools", "ci/wait-for-cluster.sh", "python3 -m pytest"),
        spans=(Span(r"execution took longer than"),),
        sandbox=Sandbox(timeout_s=seconds),
        style="steps" if run == 1 else "plain",
    )


@kind("env/command_timeout", {"seconds": 6}, keep=(1,), tools=BASH)
def command_timeout(run: int, seconds: int) -> Fault:
    """The job's own limit ends a command that hangs."""
    return Fault(
        repo="acme/ledger",
        job="migrate",
        category="timeout_hang",
        files={
            "ci/migrate.sh": _script(
                'for n in 1 2 3 4 5 6 7; do echo "applying migration 00$n"; sleep 0.2; done',
                "echo 'waiting for lock on table orders'",
                f"timeout --verbose {seconds} sleep 600",
            ),
            **python("platform_tools", 5, run),
        },
        executables=("ci/migrate.sh",),
        script=("ci/migrate.sh",),
        spans=(Span(r"timeout: sending signal TERM to command"),),
    )


@kind("env/cancelled", {"seconds": 5}, {"seconds": 9}, keep=(3, 1), tools=BASH)
def cancelled(run: int, seconds: int) -> Fault:
    """Somebody cancels the job while it works."""
    step = _script(
        "for shard in $(seq 1 200); do",
        f'  echo "shard $shard of 200: $(((shard * 37 + {run}) % 90 + 10)) screenshots compared, 0 differences"',
        "  sleep 0.15",
        "done",
    )
    return Fault(
        repo="acme/web",
        target="job",
        job="visual-tests",
        category="infra_cancel",
        files={"ci/visual.sh": step, **typescript(5, run)},
        executables=("ci/visual.sh",),
        script=("ls -l src", "ci/visual.sh"),
        spans=(Span(r"Received a request to cancel"), Span(r"canceled")),
        sandbox=Sandbox(cancel_s=seconds),
        style="steps" if run == 1 else "plain",
    )


@kind("env/not_executable", {"path": "scripts/deploy.sh"}, keep=(2,), tools=BASH)
def not_executable(run: int, path: str) -> Fault:
    """A script lost its executable bit."""
    return Fault(
        repo="acme/platform",
        job="deploy",
        category="permission",
        alt=("config_script",),
        files={path: _script("echo deploying"), **python("platform_tools", 4, run)},
        script=("ls -l scripts", f"./{path} --environment staging"),
        spans=(Span(rf"{path}: Permission denied"),),
    )


@kind("env/cache_not_writable", {"folder": "/var/cache/model-store"}, keep=(2,), tools=PYTHON)
def cache_not_writable(run: int, folder: str) -> Fault:
    """The job's user may not write into a shared cache that belongs to root."""
    code = (
        "import pathlib\n\nfrom forecast.invoice import Invoice\n\n"
        "for number in range(30):\n    print('scored batch', number, Invoice('x', [1.0] * number).total())\n"
        f"pathlib.Path('{folder}/scores-{run}.json').write_text('{{}}')\n"
    )
    return Fault(
        repo="acme/forecast",
        job="score",
        category="permission",
        files={"score.py": code, **python("forecast", 3, run)},
        script=("id -un", "python3 score.py"),
        spans=(Span(r"^Traceback", r"^PermissionError: \[Errno 13\]"),),
        sandbox=Sandbox(user="ci", prepare=(f"mkdir -p -m 755 {folder}",)),
    )


@kind("env/npm_eacces", {"package": "http-server"}, keep=(1,), tools={"npm": "npm --version"})
def npm_eacces(run: int, package: str) -> Fault:
    """A global install by a user who may not write there."""
    return Fault(
        repo="acme/web",
        job="preview",
        category="permission",
        alt=("environment",),
        files=typescript(4, run),
        script=("id -un", f"npm install --global {package}@14.1.1 --no-audit"),
        spans=(Span(r"npm (ERR!|error) code EACCES", r"npm (ERR!|error) .*permission"),),
        sandbox=Sandbox(user="ci", cold=True),
        env={"npm_config_cache": "/home/ci/.npm"},
    )


@kind("env/command_not_found", {"tool": "pulumi"}, {"tool": "helm"}, keep=(3, 1), tools=BASH)
def command_not_found(run: int, tool: str) -> Fault:
    """The image lacks a tool that the job calls."""
    arguments = "preview --diff" if tool == "pulumi" else "upgrade --install web ./chart"
    plan = _script(
        'for module in network dns storage cluster; do echo "rendering $module"; done',
        *([f"echo 'revision {run}'"] * run),
        f"{tool} {arguments}",
    )
    return Fault(
        repo="acme/platform",
        job="plan",
        category="environment",
        alt=("config_script", "dependency_missing"),
        dependency=Dependency(tool, None, "generic"),
        files={"ci/plan.sh": plan, **python("platform_tools", 4, run)},
        executables=("ci/plan.sh",),
        script=("ls ci", "ci/plan.sh"),
        spans=(Span(rf"{tool}: command not found"),),
        style="steps" if run == 2 else "plain",
    )


@kind("env/missing_variable", {"variable": "DEPLOY_TOKEN"}, {"variable": "REGISTRY_PASSWORD"}, keep=(2, 1), tools=BASH)
def missing_variable(run: int, variable: str) -> Fault:
    """A variable of the job is not set."""
    return Fault(
        repo="acme/platform",
        job="publish",
        category="config_script",
        alt=("environment",),
        files={
            "ci/publish.sh": _script(
                "echo 'collecting artifacts'",
                *[f"echo 'artifact {n} of {6 + run}'" for n in range(6 + run)],
                f': "${{{variable}:?is not set, add it to the protected variables of the project}}"',
                "echo published",
            ),
            **python("platform_tools", 3, run),
        },
        executables=("ci/publish.sh",),
        script=("ci/publish.sh",),
        spans=(Span(rf"{variable}: is not set"),),
    )


@kind("env/script_syntax", {"line": "if [ -n $TARGET ]; then"}, keep=(1,), tools=BASH)
def script_syntax(run: int, line: str) -> Fault:
    """A shell script that bash cannot parse."""
    return Fault(
        repo="acme/platform",
        job="release-notes",
        category="config_script",
        files={
            "ci/notes.sh": _script("echo 'release notes'", line, "  echo target"),
            **python("platform_tools", 3, run),
        },
        script=("git log --oneline | head -5", "bash ci/notes.sh"),
        spans=(Span(r"syntax error"),),
    )


@kind("env/bad_json_config", {"path": "ci/matrix.json"}, keep=(1,), tools={"python": "python3 --version"})
def bad_json_config(run: int, path: str) -> Fault:
    """A configuration file of the job with a comma too many."""
    return Fault(
        repo="acme/platform",
        job="matrix",
        category="config_script",
        files={path: '{\n  "targets": ["eu", "us",],\n  "retries": 2\n}\n', **python("platform_tools", 3, run)},
        script=(f"cat {path}", f"python3 -m json.tool {path}"),
        spans=(Span(r"^(Expecting value|Illegal trailing comma)"),),
    )


@kind("env/docker_daemon", {"image": "web"}, {"image": "worker"}, keep=(2, 1), tools={"docker": "docker --version"})
def docker_daemon(run: int, image: str) -> Fault:
    """The runner has no Docker daemon."""
    return Fault(
        repo="acme/images",
        target="runner",
        job=f"image-{image}",
        category="infra_runner",
        alt=("environment",),
        files={"Dockerfile": "FROM alpine:3.20\nCOPY . /srv\n", **python("images", 5, run)},
        script=("docker --version", "ls", f"docker pull alpine:3.{20 - run}"),
        spans=(Span(r"Cannot connect to the Docker daemon"),),
    )


@kind("env/read_only_workspace", {"folder": "dist"}, keep=(2,), tools=BASH)
def read_only_workspace(run: int, folder: str) -> Fault:
    """The runner's volume turned read-only."""
    return Fault(
        repo="acme/images",
        job="collect",
        category="infra_runner",
        alt=("permission", "resource", "environment"),
        files={
            "collect.sh": _script(
                "for f in images/*.py; do wc -l $f; done", f"mkdir -p /var/lib/runner/{folder}-{run}"
            ),
            **python("images", 12, run),
        },
        executables=("collect.sh",),
        script=("./collect.sh",),
        spans=(Span(r"Read-only file system"),),
        sandbox=Sandbox(prepare=("mkdir -p /var/lib/runner", "mount -t tmpfs -o ro tmpfs /var/lib/runner")),
    )


@kind("env/makefile_rule", {"target": "proto"}, keep=(2,), tools={"make": "make --version"})
def makefile_rule(run: int, target: str) -> Fault:
    """A target needs a file that nothing makes."""
    return Fault(
        repo="acme/orders",
        job="generate",
        category="build",
        alt=("config_script",),
        files={
            "Makefile": "all: list stubs\n\nlist:\n\t@ls orders | sort\n\n"
            f"stubs: {target}/orders.pb.py\n\tpython3 -m compileall {target}\n",
            **python("orders", 18, run),
        },
        script=("make --version", "make all"),
        spans=(Span(r"^make: \*\*\* No rule to make target"),),
    )
