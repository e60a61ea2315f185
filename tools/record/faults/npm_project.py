"""npm and Node.js: projects that are not what the job takes them for."""

from __future__ import annotations

from tools.record.fault import Dependency, Fault, Sandbox, Span, kind
from tools.record.faults.git import STATUS_SERVER
from tools.record.faults.npm import BASE, manifest
from tools.record.projects import typescript

TOOLS = {"npm": "npm --version", "node": "node --version"}


def _fault(run: int, category: str, script: str, span: Span, **more: object) -> Fault:
    wanted = more.pop("wanted", {})
    scripts = more.pop("scripts", None)
    package = manifest({**BASE, **wanted}, scripts=scripts, version=f"3.{run}.0")  # type: ignore[dict-item,arg-type]
    return Fault(
        repo="acme/portal",
        job="build",
        category=category,
        files={"package.json": package, **typescript(4, run), **more.pop("files", {})},  # type: ignore[dict-item]
        script=("node --version", script),
        spans=(span,),
        style="steps" if run else "plain",
        **more,  # type: ignore[arg-type]
    )


@kind("npm/no_package_json", tools=TOOLS)
def no_package_json(run: int) -> Fault:
    """The job installs in a folder without a package.json."""
    span = Span(r"npm (ERR!|error) enoent")
    return _fault(run, "config_script", "cd src && mv ../package.json /var/tmp && npm run build", span)


@kind("npm/no_lockfile", tools=TOOLS)
def no_lockfile(run: int) -> Fault:
    """`npm ci` without a lock file."""
    span = Span(r"can only install with an existing package-lock\.json")
    return _fault(run, "config_script", "npm ci", span, alt=("dependency_resolution",))


@kind("npm/bad_json", tools=TOOLS)
def bad_json(run: int) -> Fault:
    """package.json is no JSON."""
    span = Span(r"npm (ERR!|error) code EJSONPARSE")
    files = {"package.json": '{\n  "name": "portal",\n  "version": "1.0.0",\n}\n'}
    return _fault(run, "config_script", "npm install", span, files=files)


@kind("npm/bad_platform", tools=TOOLS)
def bad_platform(run: int) -> Fault:
    """A package that does not run on this system."""
    span = Span(r"npm (ERR!|error) code EBADPLATFORM")
    wanted = Dependency("fsevents", "2.3.3", "npm")
    more = {"wanted": {"fsevents": "2.3.3"}, "dependency": wanted, "alt": ("environment",)}
    return _fault(run, "dependency_incompatible", "npm install", span, **more)


def _refusing(status: int) -> Sandbox:
    return Sandbox(
        prepare=(
            f"mkdir -p /srv/double && cat > /srv/double/serve.py <<'PY'{STATUS_SERVER}PY",
            f"nohup /opt/python/bin/python3 /srv/double/serve.py {status} '{{}}' >/dev/null 2>&1 &",
            "for i in $(seq 50); do (echo > /dev/tcp/127.0.0.1/8080) 2>/dev/null && break; sleep 0.1; done",
        )
    )


@kind("npm/refused", {"status": 401}, {"status": 403}, keep=(1, 1), tools=TOOLS)
def refused(run: int, status: int) -> Fault:
    """The registry wants a token that the job does not have, or gives a package to others only."""
    script = "npm install --registry=http://npm.acme.example:8080/ --no-audit"
    span = Span(rf"npm (ERR!|error) code E{status}")
    more = {"sandbox": _refusing(status), "wanted": {"@acme/tokens": "2.0.0"}}
    return _fault(run, "permission", script, span, alt=("dependency_resolution",), **more)


@kind("npm/server_error", {"status": 503}, keep=(1,), tools=TOOLS)
def server_error(run: int, status: int) -> Fault:
    """The registry is out of order."""
    script = "npm install --registry=http://npm.acme.example:8080/ --no-audit --fetch-retries=0"
    more = {"sandbox": _refusing(status), "wanted": {"@acme/tokens": "2.0.0"}}
    return _fault(run, "network_infra", script, Span(rf"npm (ERR!|error) code E{status}"), **more)


@kind("node/openssl", tools=TOOLS)
def openssl(run: int) -> Fault:
    """A bundler of old hashes with a digest that this Node.js no longer has."""
    files = {"src/main.js": "console.log(1);\n"}
    more = {"wanted": {"webpack": "4.46.0", "webpack-cli": "3.3.12"}, "files": files, "alt": ("environment",)}
    script = "npm install --no-audit --silent && npx webpack ./src/main.js -o out.js --mode production"
    wanted = Dependency("webpack", "4.46.0", "npm")
    span = Span(r"digital envelope routines::unsupported")
    return _fault(run, "dependency_incompatible", script, span, dependency=wanted, **more)


@kind("node/port_in_use", tools=TOOLS)
def port_in_use(run: int) -> Fault:
    """A server finds its port taken."""
    files = {
        "serve.cjs": (
            "const http = require('http');\nhttp.createServer().listen(4173, () => console.log('listening'));\n"
        )
    }
    script = "node serve.cjs & sleep 1; node serve.cjs; status=$?; kill %1; exit $status"
    return _fault(run, "environment", script, Span(r"EADDRINUSE"), files=files, alt=("test", "infra_runner"))


@kind("node/prettier", tools=TOOLS)
def prettier(run: int) -> Fault:
    """A file that is not formatted."""
    files = {"src/legacy.ts": "export const a  = {b:1}\n"}
    script = "npm install --no-audit --silent prettier@3.3.3 && npx prettier --check src"
    return _fault(run, "static_check", script, Span(r"Code style issues"), files=files)


@kind("node/jest", tools=TOOLS)
def jest(run: int) -> Fault:
    """A test of Jest fails."""
    files = {"sum.spec.js": "test('adds up', () => {\n  expect(1 + 2).toBe(4);\n});\n"}
    script = "npm install --no-audit --silent jest@29.7.0 && npx jest sum.spec.js"
    return _fault(run, "test", script, Span(r"●.*adds up"), files=files, failing_tests=("adds up",))


@kind("node/mocha", tools=TOOLS)
def mocha(run: int) -> Fault:
    """A test of Mocha fails."""
    text = (
        "const assert = require('assert');\ndescribe('sum', () => {\n  it('adds "
        "up', () => assert.equal(1 + 2, 4));\n});\n"
    )
    script = "npm install --no-audit --silent mocha@10.7.3 && npx mocha sum.spec.js"
    return _fault(run, "test", script, Span(r"1 failing"), files={"sum.spec.js": text}, failing_tests=("adds up",))
