"""TypeScript: compiler, ESLint, Vitest, bundler, link checks."""

from __future__ import annotations

from tools.record.fault import Dependency, Fault, Sandbox, Span, kind
from tools.record.faults.npm import manifest
from tools.record.projects import typescript

TOOLS = {"node": "node --version", "npm": "npm --version"}
TSC = {"typescript": "5.5.4"}
VITEST = {"typescript": "5.5.4", "vitest": "2.1.1", "vite": "5.4.8"}
ESLINT = {"eslint": "9.11.1", "@eslint/js": "9.11.1", "typescript-eslint": "8.7.0", "typescript": "5.5.4"}
LOCK = ("npm install --no-audit && rm -rf node_modules",)
TSCONFIG = (
    '{"compilerOptions": {"strict": true, "target": "ES2022", "module": "ESNext", "moduleResolution": "Bundler", '
    '"noEmit": true, "skipLibCheck": true}, "include": ["src"], "exclude": ["src/**/*.test.ts"]}\n'
)


def _project(count: int, run: int, dev: dict[str, str], dependencies: dict[str, str] | None = None) -> dict[str, str]:
    scripts = {
        "build": "tsc -p .",
        "test": "vitest run --reporter=verbose",
        "lint": "eslint src",
        "bundle": "vite build",
    }
    files = typescript(count, run)
    files["package.json"] = manifest(dependencies or {}, dev, scripts, version=f"5.{run}.0", type="module")
    files["tsconfig.json"] = TSCONFIG
    return files


@kind("typescript/type_error", {"wrong": '"soon"'}, {"wrong": "null"}, keep=(3, 1), tools=TOOLS)
def type_error(run: int, wrong: str) -> Fault:
    """A value of the wrong type and a property that is not there."""
    files = _project(12, run, TSC)
    files["src/delivery.ts"] = (
        'import { createInvoice } from "./invoice";\n\n'
        + "// Another line.\n" * run
        + f"export const days: number = {wrong};\n\nexport function due(id: number): string {{\n"
        "  return createInvoice(id).dueDate;\n}\n"
    )
    return Fault(
        repo="acme/storefront",
        job="build",
        category="compile",
        files=files,
        setup=LOCK,
        script=("npm ci --no-audit", "npm ls", "npm run build -- --listFiles false"),
        spans=(Span(r"src/delivery\.ts[(:]\d+", every=True),),
        tty=run == 2,
        style="steps" if run == 1 else "plain",
    )


@kind("typescript/vitest_assertion", {"noun": "cart"}, {"noun": "stockroom"}, keep=(3, 1), tools=TOOLS)
def vitest_assertion(run: int, noun: str) -> Fault:
    """One expectation among many does not hold."""
    files = _project(20, run, VITEST)
    files[f"src/{noun}.ts"] = (
        "export function discount(total: number): number {\n  return total > 100 ? total * 0.1 : 0;\n}\n"
    )
    files[f"src/{noun}.test.ts"] = (
        f'import {{ describe, expect, it }} from "vitest";\nimport {{ discount }} from "./{noun}";\n\n'
        + "// Another line.\n" * run
        + f'describe("{noun}", () => {{\n  it("gives no discount below a hundred", () => {{\n'
        "    expect(discount(99)).toBe(0);\n  });\n"
        '  it("gives ten percent from a hundred on", () => {\n    expect(discount(100)).toBe(10);\n  });\n});\n'
    )
    return Fault(
        repo="acme/storefront",
        job="unit-tests",
        category="test",
        files=files,
        failing_tests=(f"src/{noun}.test.ts > {noun} > gives ten percent from a hundred on",),
        script=("npm install --no-audit", "npm test"),
        spans=(Span(rf"^ ?FAIL +src/{noun}.test.ts", r"❯ src/"),),
        tty=run == 1,
        style="steps" if run == 2 else "plain",
    )


@kind("typescript/vitest_timeout", {"limit": 700}, keep=(2,), tools=TOOLS)
def vitest_timeout(run: int, limit: int) -> Fault:
    """A test waits for a promise that nobody keeps."""
    files = _project(9, run, VITEST)
    files["src/poll.test.ts"] = (
        'import { expect, it } from "vitest";\n\nit("waits for the courier", async () => {\n'
        f"  await new Promise(() => {{}});\n  expect(1).toBe(1);\n}}, {limit});\n"
    )
    return Fault(
        repo="acme/storefront",
        job="unit-tests",
        category="timeout_hang",
        alt=("test",),
        files=files,
        failing_tests=("src/poll.test.ts > waits for the courier",),
        script=("npm install --no-audit", "npm test"),
        spans=(Span(r"^ ?FAIL +src/poll.test.ts", r"Test timed out in"),),
    )


@kind("typescript/eslint", {}, keep=(2,), tools=TOOLS)
def eslint(run: int) -> Fault:
    """Lint findings in one file among many."""
    files = _project(15, run, ESLINT)
    files["eslint.config.mjs"] = (
        'import eslint from "@eslint/js";\nimport tseslint from "typescript-eslint";\n'
        "export default tseslint.config(eslint.configs.recommended, ...tseslint.configs.recommended);\n"
    )
    files["src/legacy.ts"] = (
        "export function legacy(value: any) {\n  const unused = 1;\n  var old = value;\n  return old;\n}\n"
    )
    return Fault(
        repo="acme/storefront",
        job="lint",
        category="static_check",
        files=files,
        setup=LOCK,
        script=("npm ci --no-audit", "npm run lint"),
        spans=(Span(r"src/legacy\.ts$", r"✖ \d+ problems"),),
        tty=run == 1,
    )


@kind("typescript/module_missing", {"name": "lodash-es"}, keep=(2,), tools=TOOLS)
def module_missing(run: int, name: str) -> Fault:
    """A bundler cannot find a package that is imported and not required."""
    files = _project(10, run, VITEST)
    files["index.html"] = '<!doctype html><script type="module" src="/src/main.ts"></script>\n'
    files["src/main.ts"] = f'import {{ debounce }} from "{name}";\n\nconsole.log(debounce);\n'
    return Fault(
        repo="acme/storefront",
        job="bundle",
        category="dependency_missing",
        alt=("build", "compile"),
        dependency=Dependency(name, None, "npm"),
        files=files,
        script=("npm install --no-audit", "npm run bundle"),
        spans=(Span(r"Rollup failed to resolve import"),),
        style="steps" if run else "plain",
    )


@kind("typescript/types_missing", {"name": "express"}, keep=(1,), tools=TOOLS)
def types_missing(run: int, name: str) -> Fault:
    """The compiler finds neither the package nor its types."""
    files = _project(8, run, TSC)
    files["src/server.ts"] = f'import {name} from "{name}";\n\nexport const app = {name}();\n'
    return Fault(
        repo="acme/storefront",
        job="build",
        category="dependency_missing",
        alt=("compile",),
        dependency=Dependency(name, None, "npm", accept=(f"@types/{name}",)),
        files=files,
        setup=LOCK,
        script=("npm ci --no-audit", "npm run build"),
        spans=(Span(r"error TS2307: Cannot find module"),),
    )


@kind(
    "typescript/require_of_esm",
    {"name": "node-fetch", "version": "3.3.2"},
    {"name": "chalk", "version": "5.3.0"},
    keep=(1, 1),
    tools=TOOLS,
)
def require_of_esm(run: int, name: str, version: str) -> Fault:
    """A package became ESM only and is still loaded with require."""
    files = _project(5, run, TSC, {name: version})
    files["scripts/notify.cjs"] = f'const client = require("{name}");\n\nconsole.log(typeof client.default);\n'
    return Fault(
        repo="acme/storefront",
        job="notify",
        category="dependency_incompatible",
        alt=("compile", "test"),
        dependency=Dependency(name, version, "npm"),
        files=files,
        setup=LOCK,
        script=("npm ci --no-audit", "node --no-experimental-require-module scripts/notify.cjs"),
        spans=(Span(r"ERR_REQUIRE_ESM", r"Instead change|code: 'ERR_REQUIRE_ESM'"),),
    )


@kind("typescript/native_build", {"name": "bcrypt", "version": "3.0.8"}, keep=(2,), tools=TOOLS)
def native_build(run: int, name: str, version: str) -> Fault:
    """An old native package does not compile against this Node.js."""
    files = _project(4, run, TSC, {name: version})
    return Fault(
        repo="acme/storefront",
        job="install",
        category="dependency_incompatible",
        alt=("build", "environment", "compile"),
        dependency=Dependency(name, version, "npm", accept=("node-gyp", "nan", "node-pre-gyp")),
        files=files,
        script=("npm install --no-audit",),
        env={"npm_config_nodedir": "/usr"},
        spans=(Span(r"npm (ERR!|error) (gyp ERR! )?.*(build error|not ok|make.* failed)"),),
    )


SITE = (
    "mkdir -p /srv/site && cd /srv/site && touch index.html api.html faq.html",
    "nohup /opt/python/bin/python3 -m http.server 8099 --bind 127.0.0.1 >/dev/null 2>&1 &",
    "for i in $(seq 50); do (echo > /dev/tcp/127.0.0.1/8099) 2>/dev/null && break; sleep 0.1; done",
)


@kind("typescript/markdown_links", {"page": "pricing-2021.html"}, keep=(2,), tools=TOOLS)
def markdown_links(run: int, page: str) -> Fault:
    """A link in a Markdown file answers 404."""
    files = _project(3, run, {"markdown-link-check": "3.12.2"})
    good = "".join(f"- [{name}](http://docs.acme.example:8099/{name}.html)\n" for name in ("index", "api", "faq"))
    files["README.md"] = f"# Storefront\n\n{good * (run + 2)}- [old](http://docs.acme.example:8099/{page})\n"
    return Fault(
        repo="acme/storefront",
        job="links",
        category="link_check",
        files=files,
        setup=LOCK,
        script=("npm ci --no-audit", "npx markdown-link-check --verbose README.md"),
        spans=(Span(rf"\[✖\] http://docs.acme.example:8099/{page}", every=True),),
        sandbox=Sandbox(prepare=SITE),
    )
