"""git: checkouts and pushes that fail."""

from __future__ import annotations

from tools.record.fault import Fault, Sandbox, Span, kind
from tools.record.projects import python

TOOLS = {"git": "git --version"}
GONE = "9f2c41d07be35a8860d4e1a7c3b2f5960718ad3e"
STATUS_SERVER = """
import http.server, sys
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        status = int(sys.argv[1])
        self.send_response(status)
        if status == 401:
            self.send_header("www-authenticate", 'Basic realm="git"')
        body = sys.argv[2].encode()
        self.send_header("content-type", "text/plain")
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
    do_POST = do_GET
    def log_message(self, *args):
        pass
http.server.ThreadingHTTPServer(("127.0.0.1", 8080), Handler).serve_forever()
"""


def _server(status: int, text: str) -> tuple[str, ...]:
    return (
        f"mkdir -p /srv/double && cat > /srv/double/serve.py <<'PY'{STATUS_SERVER}PY",
        f"nohup /opt/python/bin/python3 /srv/double/serve.py {status} '{text}' >/dev/null 2>&1 &",
        "for i in $(seq 50); do (echo > /dev/tcp/127.0.0.1/8080) 2>/dev/null && break; sleep 0.1; done",
    )


@kind("git/commit_gone", {"branch": "feature/checkout-v2"}, {"branch": "renovate/all"}, keep=(2, 1), tools=TOOLS)
def commit_gone(run: int, branch: str) -> Fault:
    """The commit was force-pushed away before the job began."""
    repo = "acme/orders"
    return Fault(
        repo=repo,
        branch=branch,
        target="commit",
        job="unit-tests",
        category="vcs_checkout",
        files=python("orders", 6, run),
        checkout=(
            f"git init --quiet /builds/{repo}",
            f"cd /builds/{repo}",
            f"git remote add origin file:///srv/git/{repo}.git",
            f"git fetch --depth 20 origin +refs/heads/{branch}:refs/remotes/origin/{branch}",
            f"git checkout --force {GONE}",
        ),
        script=("python3 -m pytest",),
        spans=(Span(r"^fatal: (unable to read tree|reference is not a tree)"),),
    )


@kind("git/branch_gone", {"branch": "release/2026.11"}, keep=(2,), tools=TOOLS)
def branch_gone(run: int, branch: str) -> Fault:
    """The branch was deleted before the job began."""
    repo = "acme/platform"
    return Fault(
        repo=repo,
        job="lint",
        category="vcs_checkout",
        files=python("platform_tools", 5, run),
        checkout=(f"git clone --depth 20 --branch {branch} file:///srv/git/{repo}.git /builds/{repo}",),
        script=("ls",),
        spans=(Span(rf"^fatal: Remote branch {branch} not found"),),
        style="steps" if run else "plain",
    )


@kind("git/submodule", {"path": "vendor/protocol"}, keep=(3,), tools=TOOLS)
def submodule(run: int, path: str) -> Fault:
    """A submodule's repository is not there any more."""
    repo = "acme/gateway"
    return Fault(
        repo=repo,
        job="build",
        category="vcs_checkout",
        files={
            ".gitmodules": f'[submodule "{path}"]\n\tpath = {path}\n\turl = file:///srv/git/acme/protocol-v1.git\n',
            **python("gateway", 6, run),
        },
        setup=(
            f"git init --quiet && mkdir -p {path}",
            f"git update-index --add --cacheinfo 160000,{GONE},{path}",
        ),
        script=(
            "ls",
            "git config protocol.file.allow always",
            "git submodule sync --recursive",
            "git submodule update --init --recursive",
        ),
        spans=(Span(r"^fatal: ('/srv/git|clone of)", r"Failed to clone .*(a second time|Retry)"),),
    )


@kind("git/merge_conflict", {}, keep=(2,), tools=TOOLS)
def merge_conflict(run: int) -> Fault:
    """The job merges the target branch first, and the two touch the same lines."""
    repo = "acme/orders"
    edit = "sed -i 's/class Invoice/class {}Invoice/' orders/invoice.py"
    return Fault(
        repo=repo,
        branch="feature/rename",
        job="merge-check",
        category="vcs_checkout",
        alt=("config_script",),
        files=python("orders", 9, run),
        setup=(
            "export GIT_AUTHOR_NAME=Noor GIT_AUTHOR_EMAIL=noor@acme.example",
            "export GIT_COMMITTER_NAME=Noor GIT_COMMITTER_EMAIL=noor@acme.example",
            "git init --quiet --initial-branch=main && git add --all && git commit --quiet -m 'First'",
            "git checkout --quiet -b other && " + edit.format("Draft") + " && git commit --quiet -am 'Draft invoices'",
            "git checkout --quiet main && " + edit.format("Final"),
        ),
        checkout=(
            f"git clone file:///srv/git/{repo}.git /builds/{repo}",
            f"cd /builds/{repo}",
            "git config user.name ci && git config user.email ci@acme.example",
        ),
        script=("git log --oneline --all", "git merge --no-edit origin/other"),
        spans=(Span(r"^CONFLICT \(content\)", r"^Automatic merge failed"),),
    )


@kind("git/dubious_ownership", {"user": "ci"}, keep=(2,), tools=TOOLS)
def dubious_ownership(run: int, user: str) -> Fault:
    """The working copy belongs to another user than the job's."""
    repo = "acme/gateway"
    return Fault(
        repo=repo,
        job="version",
        category="permission",
        alt=("vcs_checkout",),
        files=python("gateway", 7, run),
        checkout=(f"cd /builds/{repo}",),
        script=("ls -ln", "git describe --always"),
        spans=(Span(r"^fatal: detected dubious ownership"),),
        sandbox=Sandbox(
            user=user,
            prepare=(
                f"git clone --quiet file:///srv/git/{repo}.git /builds/{repo}",
                "git config --system --unset-all safe.directory",
            ),
        ),
    )


@kind("git/push_denied", {"status": 403}, keep=(2,), tools=TOOLS)
def push_denied(run: int, status: int) -> Fault:
    """The job's token may read and not write."""
    return Fault(
        repo="acme/orders",
        job="publish-tag",
        category="permission",
        alt=("vcs_checkout",),
        files=python("orders", 4, run),
        script=(
            "git config user.name ci && git config user.email ci@acme.example",
            f"git tag -a v2.4.{run} -m 'Release 2.4.{run}'",
            f"git push http://ci-bot@git.acme.example:8080/acme/orders.git v2.4.{run}",
        ),
        spans=(Span(r"The requested URL returned error: 403"),),
        sandbox=Sandbox(prepare=_server(status, "the token has no write access to acme/orders")),
    )


@kind("git/auth_required", {"repo": "acme/shared-ci"}, keep=(1,), tools=TOOLS)
def auth_required(run: int, repo: str) -> Fault:
    """A second repository wants a password, and there is nobody to type one."""
    return Fault(
        repo="acme/gateway",
        job="templates",
        category="vcs_checkout",
        alt=("permission",),
        files=python("gateway", 4, run),
        script=(f"GIT_TERMINAL_PROMPT=0 git clone http://git.acme.example:8080/{repo}.git",),
        spans=(Span(r"^fatal: could not read Username"),),
        sandbox=Sandbox(prepare=_server(401, "log in first")),
    )


@kind("git/server_error", {"status": 502}, {"status": 503}, keep=(2, 1), tools=TOOLS)
def server_error(run: int, status: int) -> Fault:
    """The git server is there and broken."""
    return Fault(
        repo="acme/gateway",
        target="server",
        job="templates",
        category="network_infra",
        alt=("vcs_checkout", "infra_runner"),
        files=python("gateway", 5, run),
        script=("ls gateway", "git clone http://git.acme.example:8080/acme/shared-ci.git"),
        spans=(Span(rf"^fatal: unable to access .*error: {status}"),),
        sandbox=Sandbox(prepare=_server(status, "bad gateway")),
    )


@kind("git/no_route", {"host": "git.acme.example"}, keep=(1,), tools=TOOLS)
def no_route(run: int, host: str) -> Fault:
    """Nothing listens where the git server should be."""
    return Fault(
        repo="acme/platform",
        job="templates",
        category="network_infra",
        alt=("vcs_checkout",),
        files=python("platform_tools", 5, run),
        script=(f"git clone http://{host}:8080/acme/shared-ci.git", "ls shared-ci"),
        spans=(Span(r"^fatal: unable to access .*(Failed to connect|Could not resolve)"),),
    )
