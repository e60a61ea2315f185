"""What JavaScript's runtimes, bundlers, compilers and linters can't find or can't load: npm packages by module."""

from __future__ import annotations

from processor.logs.extract.patterns import Pattern, package

PART = r"[\w~][\w.~-]*"
MODULE = rf"(?P<name>(?![\w-]+:)(?:@{PART}/)?{PART})(?:/[^'\"`]*)?"
NAME = rf"(?P<name>(?:@{PART}/)?{PART})"
INSTALLED = rf"node_modules/(?:\.pnpm/[^/\s]+/node_modules/)?{NAME}"
SCRIPTS = (".js", ".ts", ".tsx", ".jsx", ".json", ".mjs", ".cjs", ".css", ".scss", ".vue", ".svg", ".png", ".node")


def no_file(name: str) -> str:
    """Drop what can't be a package: names of files, aliases of a project's own folders."""
    return "" if name.endswith(SCRIPTS) or name.startswith(("@/", "~/", "src/")) else name


def types(name: str) -> str:
    """The package of type definitions for a library (DefinitelyTyped's names)."""
    return name if name.startswith("@") or "/" in name else f"@types/{name}"


def plugin(name: str) -> str:
    """The package of an ESLint plug-in as messages shorten it."""
    return name if name.startswith("@") or "eslint-" in name else f"eslint-plugin-{name}"


def module(regex: str, weight: float, *, cue: str = "") -> Pattern:
    """A pattern for a module that was looked up by name."""
    return package("npm", regex, weight, cue=cue, clean=no_file)


PATTERNS: tuple[Pattern, ...] = (
    # Node
    module(rf"Cannot find (?:module|package) ['\"`]{MODULE}['\"`]", 0.85),
    module(rf"Cannot find module (?P<name>@{PART}/{PART})\.", 0.9),
    module(rf"requested module '{MODULE}' does not", 0.7),
    module(rf"require\(\) of ES [Mm]odule \S*{INSTALLED}/", 0.85),
    module(rf"is not defined by \"exports\" in \S*{INSTALLED}/package\.json", 0.85),
    module(rf"No \"exports\" main defined in \S*{INSTALLED}/package\.json", 0.85),
    module(rf"The module '\S*{INSTALLED}/\S*\.node'", 0.85),
    module(
        rf"(?:dlopen|Error: .*undefined symbol|invalid ELF header).*{INSTALLED}/", 0.7, cue="node_modules/.*\\.node"
    ),
    # Bundlers
    module(rf"Can't resolve '{MODULE}'", 0.85),
    module(rf"Could not resolve:? ['\"]{MODULE}['\"]", 0.8),
    module(rf"ailed to resolve (?:import|entry for package|dependency:?) ['\"]?{MODULE}['\"]?", 0.85),
    module(rf"(?:Cannot resolve dependency|Failed to resolve) '{MODULE}'", 0.85),
    module(rf"Unable to resolve module [`'\"]?{MODULE}[`'\"]? (?:from|could)", 0.85),
    module(rf"Could not resolve import ['\"]{MODULE}['\"]", 0.8),
    module(rf"['\"]{MODULE}['\"] is imported by .*, but could not be resolved", 0.75),
    module(rf"Module build failed \(from \S*{INSTALLED}/", 0.7),
    module(rf"is not exported (?:by|from) ['\"]?\S*{INSTALLED}/", 0.75),
    module(rf"is not exported from '{MODULE}'", 0.7),
    module(
        rf"[Dd]ependency [\"'`]?{NAME}[\"'`]?.*loaded by .*package\.json", 0.7, cue="[Dd]ependency .*loaded by .*pack"
    ),
    # TypeScript
    module(rf"[Cc]ould not find a declaration file for module '{MODULE}'", 0.8),
    module(rf"Module '\"{MODULE}\"' has no (?:exported member|default export)", 0.7),
    package("npm", rf"Cannot find type definition file for '{NAME}'", 0.85, clean=types),
    module(rf"^(?:\.{{1,2}}/)*{INSTALLED}/[^\s(:]+[(:]\d+[,:]\d+\)?(?:: | - )error", 0.85, cue="node_modules/.* error"),
    # Linters, test runners, frameworks
    package("npm", rf"ESLint couldn't find the plugin \"{NAME}\"", 0.95, clean=plugin),
    package("npm", rf"Failed to load plugin '{NAME}' declared in", 0.8, clean=plugin),
    module(rf"Failed to load parser '{MODULE}'", 0.85),
    package("npm", rf"Definition for rule '{NAME}/[\w-]+' not found", 0.75, clean=plugin),
    package(
        "npm",
        r"couldn't find the config \"(?P<name>(?!plugin:)[@\w./-]+)\" to extend",
        0.85,
        clean=lambda name: name if name.startswith("@") or "eslint-" in name else f"eslint-config-{name}",
    ),
    module(rf"[Cc]ouldn't find preset \"{NAME}\"", 0.9),
    module(rf"[Pp]reset {NAME} not found", 0.9),
    module(rf"Module {NAME} in the \w+ option was not found", 0.9),
    module(rf"Test environment {NAME} cannot be found", 0.9),
    module(rf"Could not find \"{NAME}\"\. Do you need", 0.9),
    module(rf"Cannot find plugin \"{NAME}\"", 0.85),
    module(rf"implementation for builder {NAME}:", 0.9),
    module(rf"Could not find (?:module|the) \"{MODULE}\"", 0.8),
    module(rf"Package \"{NAME}\" has an incompatible peer dependency", 0.95),
    module(rf"^\* {NAME}: \./", 0.7),
    package("generic", r"Could not find (?P<name>Chrome|Chromium|Firefox|browser)\b", 0.75),
    package("generic", r"Executable doesn't exist at \S*/(?P<name>chromium|firefox|webkit)[\w-]*/", 0.8),
    package("generic", r"No binary for (?P<name>\w+) browser", 0.8),
    # Reports of Snyk
    module(rf"[✗✘] .* [Ss]everity.*\] in {NAME}@(?P<version>\S+)", 0.9),
    module(rf"severity vulnerability found in {NAME}", 0.9),
)
