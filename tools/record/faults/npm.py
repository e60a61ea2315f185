"""npm: what goes wrong between package.json and node_modules."""

from __future__ import annotations

import json
from collections.abc import Mapping

from tools.record.fault import Dependency, Fault, Sandbox, Span, kind
from tools.record.projects import typescript

TOOLS = {"npm": "npm --version", "node": "node --version"}
BASE = {"express": "4.19.2", "pino": "9.3.2", "zod": "3.23.8", "date-fns": "3.6.0"}
LOG_PATH = Span(r"^npm (ERR!|error) code ", r"^npm (ERR!|error) (A complete log|See )", reach=60)


def manifest(
    dependencies: Mapping[str, str],
    dev: Mapping[str, str] | None = None,
    scripts: Mapping[str, str] | None = None,
    **more: object,
) -> str:
    """A package.json."""
    return json.dumps(
        {
            "name": "web",
            "version": "3.11.0",
            "private": True,
            "scripts": dict(scripts or {"build": "tsc -p .", "test": "vitest run"}),
            "dependencies": dict(dependencies),
            "devDependencies": dict(dev or {}),
            **more,
        },
        indent=2,
    )


@kind(
    "npm/eresolve",
    {"name": "@material-ui/core", "version": "4.12.4", "react": "18.3.1"},
    {"name": "@testing-library/react-hooks", "version": "8.0.1", "react": "18.3.1"},
    {"name": "enzyme-adapter-react-16", "version": "1.15.8", "react": "18.3.1"},
    {"name": "@angular/material", "version": "12.2.13", "react": "18.3.1"},
    keep=(3, 2),
    tools=TOOLS,
)
def eresolve(run: int, name: str, version: str, react: str) -> Fault:
    """A package whose peer dependency excludes the framework's version."""
    wanted = {**BASE, "react": react, "react-dom": react, name: version}
    if name.startswith("@angular"):
        wanted = {**BASE, "@angular/core": "16.2.12", "@angular/common": "16.2.12", "rxjs": "7.8.1", name: version}
    return Fault(
        repo="acme/web",
        job="build",
        category="dependency_resolution",
        dependency=Dependency(name, version, "npm", accept=("react", "react-dom", "@angular/core")),
        files={"package.json": manifest(wanted, version=f"3.11.{run}"), **typescript(6, run)},
        script=("node --version && npm --version", "npm install --no-audit", "npm run build"),
        spans=(
            Span(r"npm (ERR!|error) ERESOLVE|npm (ERR!|error) code ERESOLVE", r"npm (ERR!|error) Fix the upstream"),
        ),
        after=("ls -la", "npm config ls", "du -sh .git"),
        style="steps" if run == 1 else "plain",
    )


@kind(
    "npm/etarget",
    {"name": "left-pad", "version": "99.0.0"},
    {"name": "@types/node", "version": "20.99.1"},
    {"name": "chalk", "version": "6.4.0"},
    keep=(2, 1),
    tools=TOOLS,
)
def etarget(run: int, name: str, version: str) -> Fault:
    """A version that was never published."""
    return Fault(
        repo="acme/checkout",
        job="install",
        category="dependency_resolution",
        alt=("dependency_missing",),
        dependency=Dependency(name, version, "npm"),
        files={"package.json": manifest({**BASE, name: version}, version=f"1.{run}.0"), **typescript(4, run)},
        script=("npm --version", "npm install --no-audit --loglevel=http", "npm test"),
        spans=(Span(r"npm (ERR!|error) code ETARGET", r"doesn't exist"),),
        style="steps",
    )


@kind(
    "npm/e404",
    {"name": "@acme-internal/design-tokens", "version": "^2.0.0"},
    {"name": "acme-analytics-sdk-node", "version": "1.4.2"},
    keep=(2, 1),
    tools=TOOLS,
)
def e404(run: int, name: str, version: str) -> Fault:
    """A private package that the public registry does not have."""
    dev = {"prettier": "3.3.3", "typescript": "5.5.4"}
    return Fault(
        repo="acme/web",
        job="install",
        category="dependency_missing",
        alt=("dependency_resolution",),
        dependency=Dependency(name, version, "npm"),
        files={"package.json": manifest({**BASE, name: version}, dev, version=f"3.12.{run}")},
        script=("npm config set fund false", "npm install --no-audit"),
        spans=(Span(r"npm (ERR!|error) code E404", r"tarball, folder, http url"),),
    )


@kind("npm/lock_out_of_sync", {"name": "lodash", "version": "4.17.21"}, keep=(1,), tools=TOOLS)
def lock_out_of_sync(run: int, name: str, version: str) -> Fault:
    """package.json was edited, the lock file was not."""
    edit = f"npm pkg set 'dependencies.{name}={version}'"
    return Fault(
        repo="acme/checkout",
        job="install",
        category="dependency_resolution",
        alt=("config_script",),
        dependency=Dependency(name, version, "npm"),
        files={"package.json": manifest(BASE, version=f"1.{run}.3"), **typescript(3, run)},
        setup=("npm install --package-lock-only --no-audit", edit),
        script=("npm ci",),
        spans=(Span(r"npm (ERR!|error) code EUSAGE", r"npm (ERR!|error) Missing: .* from lock file"),),
    )


@kind("npm/integrity", {"name": "zod", "version": "3.23.8"}, keep=(1,), tools=TOOLS)
def integrity(run: int, name: str, version: str) -> Fault:
    """The lock file's checksum is another one than the registry's tarball has."""
    tamper = (
        'node -e \'const fs=require("fs");const l=JSON.parse(fs.readFileSync("package-lock.json"));'
        f'l.packages["node_modules/{name}"].integrity="sha512-"+"A".repeat(86)+"==";'
        'fs.writeFileSync("package-lock.json",JSON.stringify(l,null,2))\''
    )
    return Fault(
        repo="acme/checkout",
        job="install",
        category="dependency_resolution",
        alt=("dependency_policy", "security_audit", "network_infra"),
        dependency=Dependency(name, version, "npm"),
        files={"package.json": manifest(BASE, version=f"1.{run}.4"), **typescript(3, run)},
        setup=("npm install --package-lock-only --no-audit", tamper),
        script=("npm ci --no-audit --loglevel=http",),
        spans=(Span(r"npm (warn tarball|error code EINTEGRITY)", r"npm error (sha512|A complete log)"),),
        sandbox=Sandbox(cold=True),
    )


@kind(
    "npm/bad_engine",
    {"name": "rimraf", "version": "5.0.10", "node": ">=22.19"},
    keep=(1,),
    tools=TOOLS,
)
def bad_engine(run: int, name: str, version: str, node: str) -> Fault:
    """The project asks for a newer Node.js than the image has."""
    return Fault(
        repo="acme/web",
        job="install",
        category="environment",
        alt=("dependency_incompatible",),
        files={
            "package.json": manifest({**BASE, name: version}, engines={"node": node}, version=f"3.13.{run}"),
            ".npmrc": "engine-strict=true\n",
        },
        script=("node --version", "npm install --no-audit"),
        spans=(Span(r"npm (ERR!|error) code EBADENGINE", r"npm (ERR!|error) notsup Actual:"),),
    )


@kind(
    "npm/engine_of_package",
    {"name": "undici", "version": "8.12.4"},
    {"name": "execa", "version": "10.2.1"},
    keep=(1, 1),
    tools=TOOLS,
)
def engine_of_package(run: int, name: str, version: str) -> Fault:
    """A dependency asks for another Node.js than the image has."""
    return Fault(
        repo="acme/web",
        job="install",
        category="dependency_incompatible",
        alt=("environment", "dependency_resolution"),
        dependency=Dependency(name, version, "npm"),
        files={
            "package.json": manifest({**BASE, name: version}, version=f"3.14.{run}"),
            ".npmrc": "engine-strict=true\n",
        },
        script=("node --version", "npm install --no-audit"),
        spans=(Span(r"npm (ERR!|error) code EBADENGINE", r"npm (ERR!|error) notsup Actual:"),),
    )


@kind("npm/missing_script", {"script": "build:prod"}, keep=(2,), tools=TOOLS)
def missing_script(run: int, script: str) -> Fault:
    """The job calls a script that package.json does not have."""
    return Fault(
        repo="acme/web",
        job="bundle",
        category="config_script",
        files={"package.json": manifest(BASE, {"typescript": "5.5.4"}, version=f"3.15.{run}"), **typescript(5, run)},
        setup=("npm install --package-lock-only --no-audit",),
        script=("npm ci --no-audit", "npm ls --all", f"npm run {script}"),
        spans=(Span(r"npm (ERR!|error) Missing script", r"npm run$"),),
    )


@kind("npm/dns", {}, keep=(2,), tools=TOOLS)
def dns(run: int) -> Fault:
    """The runner cannot reach the registry."""
    return Fault(
        repo="acme/checkout",
        job="install",
        category="network_infra",
        files={"package.json": manifest({**BASE, "undici": "6.19.8"}, version=f"1.{run}.6"), **typescript(3, run)},
        script=("npm install --no-audit --fetch-retries=1 --fetch-retry-mintimeout=500 --loglevel=http",),
        spans=(Span(r"npm (ERR!|error) code E(AI_AGAIN|NOTFOUND|CONN\w+)", r"failed, reason"),),
        sandbox=Sandbox(net=False, cold=True),
    )


AUDIT_SERVER = """
import gzip, http.server, json, sys
ADVISORIES = json.load(open(sys.argv[1]))
class Handler(http.server.BaseHTTPRequestHandler):
    def do_POST(self):
        body = self.rfile.read(int(self.headers["content-length"]))
        asked = json.loads(gzip.decompress(body) if self.headers.get("content-encoding") == "gzip" else body)
        answer = json.dumps({k: v for k, v in ADVISORIES.items() if k in asked}).encode()
        self.send_response(200)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)
    def log_message(self, *args):
        pass
http.server.ThreadingHTTPServer(("127.0.0.1", 4873), Handler).serve_forever()
"""
ADVISORIES = {
    "minimist": (1179, "Prototype Pollution in minimist", "critical", "<0.2.4", "GHSA-xvch-5gv4-984h", "CWE-1321"),
    "node-fetch": (
        1095,
        "node-fetch forwards secure headers to untrusted sites",
        "high",
        "<2.6.7",
        "GHSA-r683-j2x4-v87g",
        "CWE-601",
    ),
    "lodash": (1106, "Command Injection in lodash", "high", "<4.17.21", "GHSA-35jh-r3h4-6jhm", "CWE-77"),
}


@kind(
    "npm/audit",
    {"name": "minimist", "version": "0.0.8"},
    {"name": "node-fetch", "version": "2.6.1"},
    {"name": "lodash", "version": "4.17.15"},
    keep=(2, 1),
    tools=TOOLS,
)
def audit(run: int, name: str, version: str) -> Fault:
    """A dependency has a published vulnerability; the advisories come from a service on the job's machine."""
    number, title, severity, affected, advisory, weakness = ADVISORIES[name]
    entry = {
        "id": number,
        "url": f"https://github.com/advisories/{advisory}",
        "title": title,
        "severity": severity,
        "vulnerable_versions": affected,
        "cwe": [weakness],
        "cvss": {"score": 8.8, "vectorString": "CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:U/C:H/I:H/A:H"},
    }
    serve = "nohup /opt/python/bin/python3 /builds/.audit/serve.py /builds/.audit/advisories.json >/dev/null 2>&1 &"
    wait = "for i in $(seq 50); do (echo > /dev/tcp/127.0.0.1/4873) 2>/dev/null && break; sleep 0.1; done"
    start = (
        "mkdir -p /builds/.audit",
        f"cat > /builds/.audit/serve.py <<'PY'{AUDIT_SERVER}PY",
        f"cat > /builds/.audit/advisories.json <<'JSON'\n{json.dumps({name: [entry]})}\nJSON",
        serve,
        wait,
    )
    return Fault(
        repo="acme/checkout",
        job="audit",
        category="security_audit",
        dependency=Dependency(name, version, "npm"),
        files={"package.json": manifest({**BASE, name: version}, version=f"1.{run}.7"), **typescript(3, run)},
        setup=("npm install --package-lock-only --no-audit",),
        script=(
            "npm ci --no-audit",
            "npm ls",
            "npm audit --audit-level=high --registry=http://npm.acme.example:4873",
        ),
        spans=(Span(r"^# npm audit report", r"vulnerabilit(y|ies)$"),),
        sandbox=Sandbox(prepare=start),
    )


@kind("npm/licence", {"name": "mariadb", "version": "3.3.1", "licence": "LGPL-2.1-or-later"}, keep=(2,), tools=TOOLS)
def licence(run: int, name: str, version: str, licence: str) -> Fault:
    """A dependency under a licence that the house rules forbid."""
    return Fault(
        repo="acme/checkout",
        job="licences",
        category="dependency_policy",
        dependency=Dependency(name, version, "npm"),
        files={
            "package.json": manifest(
                {**BASE, name: version}, {"license-checker-rseidelsohn": "4.4.2"}, version=f"1.{run}.8"
            ),
        },
        setup=("npm install --package-lock-only --no-audit",),
        script=(
            "npm ci --no-audit",
            "npm ls --omit=dev --all",
            f"npx license-checker-rseidelsohn --production --failOn '{licence}'",
        ),
        spans=(Span(r"Found license defined by the --failOn flag"),),
    )
