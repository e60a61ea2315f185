"""npm, yarn, pnpm, bun and deno."""

from __future__ import annotations

from processor.logs.extract.patterns import Pattern, package

NAME = r"(?P<name>(?:@[a-z0-9~][\w.~-]*/)?[a-zA-Z0-9~_][\w.~-]*)"
SPEC = NAME + r"@(?:npm:)?(?P<version>[^\s'\"`,()]+?)(?=[.,:;]?(?:[\s'\"`,()]|$))"
QUOTED_SPEC = NAME + r"@\"(?P<version>[^\"]*)\""
LOCATED = NAME + r"@npm:(?P<version>[^:\s\[,]+)"
TARBALL = r"https?://[^/\s]+/(?:\S+/)?(?P<name>(?:@[\w.~-]+/)?[\w.~-]+)/-/[\w.~-]+?-(?P<version>\d[\w.+-]*)\.tgz"
ADDRESS = r"https?://[^/\s]+/(?:npm/|repository/[\w.-]+/)?(?P<name>@[\w.~-]+(?:%2[fF]|/)[\w.~-]+|[\w.~-]+)"
START = r"(?<![\w@/.~-])"


def unescape(name: str) -> str:
    """A scope as registries write it in addresses (@scope%2fname)."""
    return name.replace("%2f", "/").replace("%2F", "/")


def npm(regex: str, weight: float, *, cue: str = "", many: bool = False, escaped: bool = False) -> Pattern:
    """A pattern for an npm package."""
    return package("npm", regex, weight, cue=cue, all=many, clean=unescape if escaped else None)


NPM = (
    npm(rf"No matching version found for {SPEC}", 1.0),
    npm(rf"No compatible version found: {SPEC}", 1.0),
    npm(rf"No versions available for {NAME}", 1.0),
    npm(rf"'{SPEC}' is not in (?:this|the npm) registry", 1.0),
    npm(rf"The requested resource '{SPEC}' could not be found", 1.0),
    npm(rf" {NAME} is not in the npm registry, or", 1.0),
    npm(rf"40[134][^/]*GET {ADDRESS}(?:[\s:/?]|$)", 0.9, cue="40[134].*GET https?://", escaped=True),
    npm(rf"(?:5\d\d|42[69]) [^/]*GET {ADDRESS}(?:[\s:/?]|$)", 0.5, cue="(5[0-9][0-9]|42[69]) .*GET h", escaped=True),
    # The package from the failing side of a peer conflict is what has to change; the peer itself comes second.
    npm(rf"peer\w* \S+@\"[^\"]*\" from {SPEC}", 0.95, cue='peer[A-Za-z]* .*@".*" from '),
    npm(rf"peer\w* {QUOTED_SPEC} from", 0.9, cue='peer[A-Za-z]* .*@".*" from '),
    npm(rf"[Cc]onflicting peer dependency: {SPEC}", 0.7),
    npm(rf"Could not resolve dependency:.*?{START}{SPEC}", 0.7),
    npm(rf" {QUOTED_SPEC} from the root project", 0.5),
    npm(rf"Found: {SPEC}", 0.5),
    npm(rf"Missing: {SPEC} from lock file", 0.85),
    npm(rf"lock file's {SPEC} does not satisfy", 0.85),
    npm(rf"Not compatible with your (?:version of node/npm|operating system).*?: {SPEC}", 1.0),
    npm(rf"(?:ERR!|error|ERROR).*Unsupported (?:engine|platform) for {SPEC}", 0.9),
    npm(rf"Unsupported (?:engine|platform) for {SPEC}", 0.4),
    npm(rf"package: '{SPEC}'", 0.45),
    npm(rf"Refusing to install {NAME} as a dependency of itself", 1.0, cue="Refusing to install "),
    npm(rf"tarball data for {NAME}@(?:\S*-(?P<version>\d[\w.+-]*)\.tgz)?", 0.9),
    npm(
        rf"(?:EINTEGRITY|[Ii]ntegrity|checksum).*?{TARBALL}", 0.95, cue="(EINTEGRITY|integrity|checksum|Integrity).*/-/"
    ),
    npm(rf"npm (?:ERR!|error) {SPEC} (?:post|pre)?install:", 0.8, cue="npm (ERR!|error) .*@.* (post|pre)?install:"),
    npm(rf"Failed at the {SPEC} (?:post|pre)?install script", 0.8, cue="Failed at the .* (post|pre)?install script"),
    npm(rf"(?:ERR!|error) path .*node_modules/{NAME}$", 0.8, cue="(ERR!|error) path .*node_modules/"),
    npm(rf"gyp ERR! cwd \S*node_modules/{NAME}$", 0.8),
    npm(rf"(?:Leaving|Entering) directory '\S*node_modules/{NAME}/build'", 0.5),
    npm(rf"^\[{NAME}\] ERROR - ", 0.8),
    npm(rf"Could not load the \"{NAME}\" module using", 0.95),
    npm(r"The (?P<name>cypress) npm package is installed, but", 0.9),
    npm(r"(?P<name>[Ee]lectron) failed to install correctly", 0.9),
    npm(rf"^{NAME}  +(?P<version>(?:[<>=]+|\*|\d)\S.*)$", 0.65, cue="^[@a-z0-9][^ ]*  +[<>=*]"),
    npm(rf"^node_modules/(?:.*node_modules/)?{NAME}$", 0.7, cue="^node_modules/"),
    npm(rf" in {NAME} - https://github\.com/advisories/", 0.9),
    npm(rf"^\W*Package\s+│\s+{NAME}\s", 0.8, cue="Package +│"),
    npm(rf"[Pp]ackage \"{SPEC}\" is licensed under", 0.9),
    npm(
        rf"(?:not found|rror|issing|required|need).*npm (?:install|i|add) (?:-[\w-]+ )*['\"`]?{START}{NAME}",
        0.5,
        cue="npm (install|i|add) ",
    ),
    npm(rf"deprecated {SPEC}: ", 0.1, cue="(WARN|warn) +deprecated "),
    npm(rf"{START}{NAME}@(?P<version>[\^~<>=\d][^\s\"',()]*)", 0.25, cue="npm (ERR!|error) .*@", many=True),
    npm(rf"node_modules/{NAME}/", 0.12),
)

YARN = (
    npm(rf"versions for \"{NAME}\" that matches \"(?P<version>[^\"]*)\"", 1.0),
    npm(rf"Couldn't find package \"{NAME}(?:@(?P<version>[^\"]+))?\"", 1.0),
    npm(rf"(?:error|ERR!)[: ]+{SPEC}: The engine \"", 1.0),
    npm(rf"(?:error|ERR!)[: ]+{SPEC}: The platform \"", 0.9),
    npm(rf"Integrity check failed for \"{NAME}\"", 1.0),
    npm(rf"Incorrect integrity when fetching from the cache for \"{NAME}\"", 1.0),
    npm(rf"occurred: \"{ADDRESS}.*[Nn]ot found", 1.0, cue='An unexpected error occurred: "https?:', escaped=True),
    npm(rf"{TARBALL}[:\"] Request failed", 0.95),
    npm(rf"node_modules/{NAME}: Command failed", 0.9),
    npm(rf"Package \"{NAME}\" refers to a non-existing file", 0.95),
    npm(rf"Pattern \[\"{SPEC}\"\] is trying to unpack", 0.7),
    npm(rf"\"(?:.* > )?{SPEC}\" has (?:unmet|incorrect) peer", 0.3),
    # Berry: `name@npm:range`, in messages with codes.
    npm(rf"{START}{LOCATED}: (?:No candidates found|Package not found|The remote archive doesn't match)", 1.0),
    npm(rf"YN00(?:01|18|35|41|82)\b.*?{START}{LOCATED}", 0.9, cue="YN00(01|18|35|41|82).*@npm:"),
    npm(rf"{START}{LOCATED}(?: \[\w+\])? couldn't be built successfully", 0.95),
    npm(rf"{START}{NAME}@\S+ (?:couldn't be built|must be built)", 0.3),
    npm(rf"{START}{NAME}@\S+: This package doesn't seem to be present in your lockfile", 0.9),
    npm(rf"doesn't provide {NAME} \(", 0.45),
    npm(rf"doesn't satisfy what {NAME} ", 0.45),
    npm(rf"tried to access {NAME},? (?:but|\()", 0.9),
    npm(rf"^\s*Required package: {NAME}", 0.85),
)

PNPM = (
    npm(rf"ERR_PNPM_FETCH_\d+.*GET {ADDRESS}(?:[\s:/?]|$)", 0.95, escaped=True),
    npm(rf"(?:unmet|missing) peer {NAME}@\"?(?P<version>[^\":\s]+)", 0.9),
    npm(rf"\"{SPEC}\" is in the dependencies but no package named", 1.0),
    npm(rf"{START}{NAME}(?:@(?P<version>\S+))? (?:is not|isn't) supported by any available resolver", 1.0),
    npm(rf"patches were not applied: {SPEC}", 0.9),
    npm(rf"[Gg]ot unexpected checksum for \"?{TARBALL}", 1.0),
    npm(rf"node_modules/{NAME} (?:post|pre)?install: Failed", 0.9),
    npm(rf"dependenc(?:y was|ies were) (?:added|removed): {START}{SPEC}", 0.65),
    npm(rf"Ignored build scripts: {NAME}", 0.55),
    npm(rf"Unsupported engine .*? {SPEC}: wanted", 0.6),
)

BUN = (
    npm(rf"No version matching \"(?P<version>[^\"]*)\" found for specifier \"{NAME}\"", 1.0),
    npm(rf"error: {SPEC} failed to resolve", 1.0),
    npm(rf"package \"{NAME}\" (?:not found|does not exist)", 0.95),
    npm(rf"error: GET {ADDRESS} - \d", 0.95, escaped=True),
    npm(rf"install script from \"{NAME}\" exited", 0.95),
    npm(rf"Integrity check failed for tarball: {NAME}", 1.0),
    npm(rf"npm package '{NAME}'(?: matching '(?P<version>[^']*)')?", 0.95),
    npm(rf"[Cc]ould not find version of '{NAME}' that matches specified version constraint '(?P<version>[^']*)'", 1.0),
    npm(rf"JSR package not found: {NAME}", 0.95),
    npm(rf"Relative import path \"{NAME}(?:/[^\"]*)?\" not prefixed with", 0.85),
)

PATTERNS: tuple[Pattern, ...] = (*NPM, *YARN, *PNPM, *BUN)
