"""npm, yarn and pnpm, and the bundlers and runtimes that look modules up."""

from __future__ import annotations

from processor.logs.extract.patterns import Pattern, package

NAME = r"(?P<name>(?:@[a-z0-9~][\w.~-]*/)?[a-zA-Z0-9~_][\w.~-]*)"
SPEC = NAME + r"@(?P<version>[^\s'\"`,()]+?)(?=[.,:]?(?:[\s'\"`,()]|$))"
QUOTED_SPEC = NAME + r"@\"(?P<version>[^\"]*)\""
MODULE = r"(?P<name>(?![\w-]+:)(?:@[\w.~-]+/)?[\w~-][\w.~-]*)(?:/[^'\"`]*)?"


def unescape(name: str) -> str:
    """A scope as registries write it in addresses (@scope%2fname)."""
    return name.replace("%2f", "/").replace("%2F", "/")


def no_builtin(name: str) -> str:
    """Drop what can't be a package: file names with a script's extension."""
    return "" if name.endswith((".js", ".ts", ".json", ".mjs", ".cjs", ".css", ".scss", ".vue")) else name


def npm(
    cue: str, regex: str, weight: float, *, many: bool = False, module: bool = False, escaped: bool = False
) -> Pattern:
    """A pattern for an npm package."""
    clean = no_builtin if module else unescape if escaped else None
    return package("npm", cue, regex, weight, all=many, clean=clean)


PATTERNS: tuple[Pattern, ...] = (
    npm("No matching version found for", rf"No matching version found for {SPEC}", 1.0),
    npm("No compatible version found:", rf"No compatible version found: {SPEC}", 1.0),
    npm("is not in (this|the npm) registry", rf"'{SPEC}' is not in (?:this|the npm) registry", 1.0),
    npm("The requested resource '", rf"The requested resource '{SPEC}' could not be found", 1.0),
    npm("is not in the npm registry, or", rf" {NAME} is not in the npm registry, or", 1.0),
    npm(
        "40[34].*GET https?://",
        r"40[34][^/]*GET https?://[^/\s]+/(?P<name>@[\w.~-]+(?:%2[fF]|/)[\w.~-]+|[\w.~-]+)(?:[\s:/]|$)",
        0.9,
        escaped=True,
    ),
    # The package from the failing side of a peer conflict is what has to change; the peer itself comes second.
    npm('peer[A-Za-z]* .*@".*" from ', rf"peer\w* \S+@\"[^\"]*\" from {SPEC}", 0.95),
    npm('peer[A-Za-z]* .*@".*" from ', rf"peer\w* {QUOTED_SPEC} from", 0.9),
    npm("unmet peer ", rf"unmet peer {SPEC}", 0.9),
    npm('@".*" from the root project', rf" {QUOTED_SPEC} from the root project", 0.5),
    npm("Found: .*@", rf"Found: {SPEC}", 0.5),
    npm("Could not resolve dependency:.*@", rf"Could not resolve dependency:.*?{SPEC}", 0.7),
    npm("notsup Not compatible", rf"Not compatible with your (?:version of node/npm|operating system).*?: {SPEC}", 1.0),
    npm("Unsupported (engine|platform) for ", rf"Unsupported (?:engine|platform) for {SPEC}", 0.9),
    npm("package: '.*@", rf"package: '{SPEC}'", 0.45),
    npm('The engine ".*" is incompatible', rf"{SPEC}: The engine \"", 1.0),
    npm('The platform ".*" is incompatible', rf"{SPEC}: The platform \"", 0.9),
    npm("tarball data for ", rf"tarball data for {NAME}@(?:\S*-(?P<version>\d[\w.+-]*)\.tgz)?", 0.9),
    npm(
        "(EINTEGRITY|integrity|checksum|Integrity).*/-/",
        r"https?://[^/\s]+/(?P<name>(?:@[\w.~-]+/)?[\w.~-]+)/-/[\w.~-]+?-(?P<version>\d[\w.+-]*)\.tgz",
        0.95,
    ),
    npm("Integrity check failed for ", rf"Integrity check failed for \"{NAME}\"", 1.0),
    npm("Couldn't find any versions for", rf"versions for \"{NAME}\" that matches \"(?P<version>[^\"]*)\"", 1.0),
    npm("Couldn't find package \"", rf"Couldn't find package \"{NAME}(?:@(?P<version>[^\"]+))?\"", 1.0),
    npm(
        'An unexpected error occurred: "https?:',
        r"occurred: \"https?://[^/\s]+/(?P<name>@[\w.~-]+(?:%2[fF]|/)[\w.~-]+|[\w.~-]+).*[Nn]ot found",
        1.0,
        escaped=True,
    ),
    npm("(No candidates found|Package not found)", rf"{NAME}@npm:(?P<version>[^:\s]+): (?:No cand|Package not)", 1.0),
    npm("postinstall|preinstall| install:", rf"npm (?:ERR!|error) {SPEC} (?:post|pre)?install:", 0.9),
    npm("(ERR!|error) path .*node_modules/", rf"(?:ERR!|error) path .*node_modules/{NAME}$", 0.85),
    npm("node_modules/.*: Command failed", rf"node_modules/{NAME}: Command failed", 0.9),
    npm(
        "Cannot find (module|package) ['\"]",
        rf"Cannot find (?:module|package) ['\"]{MODULE}['\"]",
        0.85,
        module=True,
    ),
    npm("Can't resolve '", rf"Can't resolve '{MODULE}'", 0.85, module=True),
    npm('Could not resolve "', rf"Could not resolve \"{MODULE}\"", 0.8, module=True),
    npm('ailed to resolve (import|entry for package) "', rf"(?:import|package) \"{MODULE}\"", 0.85, module=True),
    npm("Could not find a declaration file for module", rf"for module '{MODULE}'", 0.8, module=True),
    npm("does not provide an export named", rf"requested module '{MODULE}' does not", 0.7, module=True),
    npm("Could not resolve import", rf"Could not resolve import ['\"]{MODULE}['\"]", 0.8, module=True),
    npm("^[@a-z0-9][^ ]*  +[<>=*]", rf"^{NAME}  +(?P<version>(?:[<>=]+|\*|\d)\S.*)$", 0.65),
    npm("[Pp]ackage .*is licensed under", rf"[Pp]ackage \"{SPEC}\" is licensed under", 0.9),
    npm("^node_modules/", rf"^node_modules/(?:.*node_modules/)?{NAME}$", 0.7),
    npm(" in .* - https://github.com/advisories/", rf" in {NAME} - https://github\.com/advisories/", 0.9),
    npm("[^a-z]Package +[^a-z .]+", rf"^\W*Package\s+│\s+{NAME}\s", 0.8),
    npm("[Dd]ependency.*loaded by .*package\\.json", rf"[Dd]ependency [\"'`]?{NAME}[\"'`]?.*package\.json", 0.7),
    npm("npm (ERR!|error) .*@", rf"(?<![\w@/.-]){NAME}@(?P<version>[\^~<>=\d][^\s\"',()]*)", 0.25, many=True),
    npm("^.*node_modules/", rf"node_modules/{NAME}/", 0.12),
)
