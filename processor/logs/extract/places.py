"""Where it happened: files with line and column, hosts that could not be reached."""

from __future__ import annotations

import re

from processor.logs.extract.patterns import Pattern, place

BEGIN = r"(?<![\w.@+~/\\-])"
"""Before a path; without it every character of a long word would be tried as the first."""
PATH = rf"(?:(?<![\w.@+~\\-])[A-Za-z]:(?=[\\/])|{BEGIN})[\w.@+~/\\-]*[\w-]\.[A-Za-z]\w{{0,11}}"
"""The letter of a drive may follow a slash, as in file:///C:/a.c."""
SPECIAL = (
    rf"{BEGIN}(?:[\w.@+~/-]*/)?"
    r"(?:Dockerfile|Makefile|Jenkinsfile|Rakefile|Gemfile|Podfile|Vagrantfile|BUILD|WORKSPACE)"
)
FILE = rf"(?:{SPECIAL}|{PATH})"
ANY = rf"{BEGIN}(?P<name>[\w./~+-]*\w)"
"""A file whose name may lack an extension; see `some_path`."""
HOST = r"(?P<name>[\w-]+(?:\.[\w-]+)*)"
CODE = (
    "asm|bats|bzl|c|cc|clj|cmake|coffee|conf|cpp|cr|cs|css|cu|cxx|d|dart|ejs|elm|erb|erl|ex|exs|f90|feature|fs|gradle|"
    "groovy|h|haml|hcl|hh|hpp|hrl|hs|html|ini|ipynb|java|jl|js|json|jsx|kt|kts|less|lua|m|md|mjs|ml|mli|mm|nim|nix|"
    "php|phpt|pl|pm|proto|ps1|pug|py|pyi|pyx|r|R|rb|rs|rst|sass|scala|scss|sh|sol|spec|sql|svelte|swift|t|tcl|tex|tf|"
    "toml|ts|tsx|twig|txt|vb|vue|xml|yaml|yml|zig"
)
DRIVE = re.compile("[A-Za-z]:/")
LINE = re.compile(r"['\"]?(?: at| on|[,:])? ?\(?[Ll]ine:? |: ?\(|[:(]\[? ?|\[|#L")
VERSION_LIKE = re.compile(r"^v?\d+(\.\d+)+\w*$")


def location(name: str) -> str:
    """`path:line` whatever brackets or words the tool uses; "" for what only looks like a file."""
    name = name.replace("\\", "/")
    drive = name[:2] if DRIVE.match(name) else ""
    path = name[len(drive) :]
    path, _, line = LINE.sub("\0", path, count=1).partition("\0")
    path = re.sub("^//+", "/", path.removeprefix("file:").removeprefix("./").strip("'\""))
    number = re.match(r"\d+", line)
    return "" if VERSION_LIKE.match(path) else f"{drive}{path}:{number[0]}" if number else f"{drive}{path}"


def some_path(name: str) -> str:
    """As `location`, where the expression takes any word: "" for one that is no path."""
    return location(name) if "." in name.strip(".") or "/" in name.strip("/") else ""


def named_host(name: str) -> str:
    """A host by its name: "" for mere figures."""
    return name if re.search("[A-Za-z]", name) else ""


def file(regex: str, weight: float, *, cue: str = "") -> Pattern:
    """A pattern for a file, with its line where the tool prints one."""
    return place("file", regex, weight, cue=cue, clean=location)


def path(regex: str, weight: float, *, cue: str = "") -> Pattern:
    """A pattern for a file that is missing or may not be read, in a place where something else may stand as well."""
    return place("file", regex, weight, cue=cue, clean=some_path)


def host(regex: str, weight: float = 0.9, *, cue: str = "") -> Pattern:
    """A pattern for a host that failed."""
    return place("host", regex, weight, cue=cue, clean=named_host)


WITH_LINE = (
    # Compilers and linters: path:line:column, path(line,column), path:[line,column]
    file(
        rf"(?P<name>{FILE}:\d+)(?::\d+)?: (?:fatal |internal compiler |syntax )?error",
        1.0,
        cue=r":[0-9]+: (fatal |internal compiler |syntax )?error",
    ),
    file(rf"(?P<name>{PATH}\(\d+),\d+\) ?: (?:fatal )?error", 1.0, cue=r"\([0-9]+,[0-9]+\) ?: (fatal )?error"),
    file(rf"(?P<name>{PATH}\(\d+)\) ?: (?:fatal )?error", 1.0, cue=r"\([0-9]+\) ?: (fatal )?error"),
    file(rf"(?P<name>{PATH}:\d+):\d+ - error", 1.0, cue=r":[0-9]+:[0-9]+ - error"),
    file(rf"(?P<name>{PATH}:\[\d+)(?:,\d+)?\]", 0.95, cue=r"\.(java|kt|scala|groovy|xml|js):\[[0-9]+"),
    file(rf"e: (?:file://)?(?P<name>{PATH}:(?: \()?\d+)(?::\d+|, \d+\))", 0.97, cue="^(e|.* e): .*:"),
    file(rf"\[error\] (?P<name>{PATH}:\d+):\d+: ", 0.95),
    file(rf"-->? (?P<name>{PATH}:\d+)(?::\d+)?", 0.7, cue="-->? .*:[0-9]+"),
    file(rf"(?:└─|╰─|┌─|╭─\[) ?(?P<name>{PATH}:\d+):\d+", 0.8, cue="(└─|╰─|┌─|╭─).*:[0-9]+:[0-9]+"),
    file(rf"Diff in (?P<name>{PATH}(?::| at line )\d+)", 0.7),
    file(r"File \"(?P<name>[^\"<>]+\", line \d+)", 0.6, cue='File ".*", line [0-9]+'),
    file(rf"\bin \"(?P<name>{PATH}\", line \d+)", 0.85, cue='in ".*", line [0-9]+'),
    file(rf"^(?P<name>{PATH}:\d+): (?:\w+Error|\w*Exception|in |[A-Z]\w+$)", 0.9, cue=r"\.py:[0-9]+: "),
    file(rf"(?P<name>{PATH}:\d+)(?::\d+)?: ", 0.8, cue=r"\.go:[0-9]+(:[0-9]+)?: "),
    file(r"^\s+(?P<name>\w+_test\.go:\d+): ", 0.85),
    file(r"^\t(?P<name>(?!/usr/)\S+\.go:\d+)(?: \+0x[0-9a-f]+)?$", 0.6, cue=r"\.go:[0-9]+"),
    file(rf"panicked at (?:'.*', )?(?P<name>{PATH}:\d+)", 0.9),
    file(rf"(?P<name>{PATH}:\d+): (?:Failure|FAILED|ERROR:)", 0.97, cue=r":[0-9]+: (Failure|FAILED|ERROR:)"),
    file(rf"Loc: \[(?P<name>{PATH}\(\d+)\)\]", 0.97),
    file(rf" in (?P<name>{PATH}:line \d+)", 0.6, cue=":line [0-9]+"),
    file(rf"\[(?P<name>{PATH}:\d+)\]:", 0.9, cue=r"\.rb:[0-9]+\]:"),
    file(rf"^rspec (?P<name>{PATH}:\d+)", 0.97),
    file(rf"CMake Error at (?P<name>{PATH}:\d+)", 0.97),
    file(
        rf"(?P<name>{FILE}:\d+)(?::\d+)?: (?:\*\*\*|ERROR:|recipe for target)",
        0.9,
        cue=":[0-9]+: ([*]{3}|ERROR:|recipe)",
    ),
    file(rf"\*\*\* \[(?P<name>{FILE}:\d+): ", 0.62),
    file(r"ERROR: (?P<name>(?:/\S*/)?(?:BUILD|WORKSPACE)(?:\.bazel)?:\d+):\d+", 0.97),
    file(rf"^(?P<name>{SPECIAL}:\d+)", 0.75, cue="^.*(Dockerfile|Jenkinsfile|Gemfile|Podfile)[a-z.]*:[0-9]+"),
    file(r"(?P<name>WorkflowScript: \d+): ", 0.9),
    file(rf"(?:[Bb]uild|[Ss]cript|[Ss]ettings) file '(?P<name>{PATH}' line: \d+)", 0.97),
    file(rf"(?P<name>{PATH}, line \d+)", 0.85, cue=r"\.(xml|pom|tf|yaml|yml|groovy|kts|hcl|toml|json), line [0-9]+"),
    file(rf"\bon (?P<name>{PATH} line \d+)", 0.95, cue=r"on .*\.tf line [0-9]+"),
    file(rf"(?P<name>{PATH}: \d+): ", 0.6, cue=r"\.(groovy|gradle|sh): [0-9]+: "),
    file(rf"(?P<name>{PATH}: line \d+):", 0.7, cue=": line [0-9]+:"),
    file(rf"\bat (?P<name>{PATH} line \d+)", 0.7, cue=r"at .*\.(pl|pm|t|PL) line [0-9]+"),
    file(rf"\bin (?P<name>{PATH} on line \d+)", 0.9, cue=r"\.(php|phtml|inc) on line [0-9]+"),
    file(rf"\bIn (?P<name>{PATH} line \d+):", 0.85, cue="In .* line [0-9]+:"),
    file(rf"\bAt (?P<name>{PATH}:\d+) char:\d+", 0.8),
    file(rf"appears to be in '(?P<name>{PATH}': line \d+)", 0.95),
    file(
        r"(?P<name>\.github/workflows/[\w./-]+(?:#L| \(Line: )\d+)",
        0.97,
        cue=r"\.github/workflows/.*(#L|\(Line: )[0-9]+",
    ),
    file(r"::error .*file=(?P<name>[^,:]+)", 0.9),
    file(rf"template: \S*?(?P<name>{PATH}:\d+)", 0.9),
    file(rf"(?P<name>{PATH}:\d+)(?::\d+)? MD\d{{3}}", 0.9),
    file(
        rf"(?P<name>{PATH}:\d+):\d+:? (?:[A-Z]+\d+|[CEFWR]:|error|Error|ERROR)\b",
        0.82,
        cue=r":[0-9]+:[0-9]+:? ([A-Z]+[0-9]|[CEFWR]:|[Ee]rror|ERROR)",
    ),
    file(rf"^(?P<name>{PATH}:\d+): .+ ==> ", 0.8, cue=":[0-9]+: .* ==> "),
    # Stack traces and everything else with a colon
    file(rf"(?P<name>{PATH}:\d+):\d+", 0.5, cue=r"\.[a-z]{1,6}:[0-9]+:[0-9]+"),
    file(r"\((?P<name>\w+\.(?:java|kt|scala|groovy):\d+)\)", 0.3, cue=r"\.(java|kt|scala|groovy):[0-9]+\)"),
    file(r"\((?P<name>\w+\.clj[cs]?:\d+)\)", 0.6),
    file(rf"(?P<name>{BEGIN}[\w.@+~/\\-]*[\w-]\.(?:{CODE}):\d+)", 0.45, cue=r"\.[A-Za-z][A-Za-z0-9]{0,7}:[0-9]+"),
)
NAMED = (
    # kubectl, Helm and others that name the manifest they stumble over
    file(r"the path \"(?P<name>[^\"\s]+)\" (?:does not exist|cannot be accessed)", 0.95),
    file(rf"rror validating \"(?P<name>{PATH})\"", 0.95),
    file(rf"rror (?:parsing|reading|loading|decoding) \"?(?P<name>{PATH})\"?:", 0.9),
    file(rf"rror when (?:creating|applying|deleting|retrieving[^\"]*|patching|replacing) \"(?P<name>{PATH})\"", 0.95),
    file(rf"unable to (?:recognize|decode|parse) \"(?P<name>{PATH})\"", 0.95),
    file(rf"from \"(?P<name>{PATH})\": no matches for", 0.95),
    file(rf"kubectl .*(?:-f|--filename)[ =](?P<name>{PATH})", 0.55),
    file(rf"YAML parse error on (?P<name>{PATH})", 0.95),
    file(rf"[Ii]nvalid (?:workflow|configuration|config) file: ?`?(?P<name>{PATH}(?:#L\d+)?)", 0.9),
    file(
        rf"(?:parsing|[Uu]nable to parse|[Ff]ailed to parse|[Ee]rror in|[Ii]nvalid JSON in) "
        rf"['\"`]?(?P<name>{PATH})['\"`:]",
        0.8,
    ),
    # Formatters
    file(rf"would reformat (?P<name>{PATH})", 0.85),
    file(rf"ERROR: (?P<name>{PATH}) Imports are incorrectly sorted", 0.9),
    file(rf"^\[(?:warn|error)\] (?P<name>{PATH})(?::|$)", 0.62, cue=r"^\[(warn|error)\] .*\.[a-z]"),
    file(rf"^FILE: (?P<name>{PATH})$", 0.85),
    file(rf"^== \[(?P<name>{PATH})\] FAIL", 0.9),
    # What is missing or may not be read
    path(rf"No such file or directory: ['\"]{ANY}['\"]", 0.72),
    file(r"no such file or directory, \w+ '(?P<name>[^'\s]+)'", 0.72),
    file(r"\bopen (?P<name>[\w./\\~-]+): (?:no such file|permission denied|[Tt]he system cannot)", 0.72),
    path(
        r"^(?:\w+: )?(?:cannot (?:stat|access|open)|can't open(?: file)?|could not open(?: file)?) "
        rf"['\"`‘]?{ANY}['\"`’]?",
        0.7,
        cue="(cannot (stat|access|open)|can't open|could not open) ",
    ),
    path(rf"{ANY}: No such file or directory", 0.7),
    path(rf"{ANY}: Permission denied", 0.75),
    file(r"FileNotFoundException: (?P<name>[^\s(]+)", 0.7),
    file(rf"[Ff]ile (?:not found|does not exist): ['\"]?(?P<name>{PATH})", 0.72),
    path(rf"No rule to make target ['`]{ANY}'", 0.7),
    path(
        rf"(?:COPY|ADD) failed: .*?{ANY}:? (?:not found|no such file|does not exist)",
        0.85,
        cue="(COPY|ADD) failed: ",
    ),
    file(r"cache key: .*?\"(?P<name>/[^\"]*)\"(?:: |.*)not found", 0.85),
    file(r"failed to read dockerfile: open (?P<name>[^:\s]+)", 0.95),
    file(r"Local file `(?P<name>[^`]+)` does not exist", 0.95),
    file(rf"== Compilation error in file (?P<name>{PATH})", 0.95),
    file(r"Merge conflict in (?P<name>\S+)", 0.88),
)
HOSTS = (
    host(rf"ould not resolve host:? '?{HOST}"),
    host(rf"(?:ENOTFOUND|EAI_AGAIN) {HOST}"),
    host(rf"(?:ECONNREFUSED|ECONNRESET|ETIMEDOUT) {HOST}", 0.8),
    host(rf"failure resolving '{HOST}'"),
    host(rf"ould not resolve '{HOST}'"),
    host(rf"unable to resolve host (?:address )?[‘'`\"]?{HOST}"),
    host(rf"lookup {HOST}(?: on |:)", cue="lookup .*: (no such host|server misbehaving)|lookup .* on "),
    host(rf"ailed to connect to (?:https?://)?{HOST}"),
    host(rf"ould not connect to (?:https?://)?{HOST}", 0.7),
    host(rf"ConnectionPool\(host='{HOST}'"),
    host(rf"Cannot connect to host {HOST}:"),
    host(rf"UnknownHostException: {HOST}"),
    host(rf"unable to access 'https?://{HOST}", 0.85),
    host(
        rf"Connect(?:ion)? to {HOST}.*(?:timed out|refused|failed)",
        0.85,
        cue="Connect(ion)? to .*(timed out|refused|failed)",
    ),
    host(rf"https?://{HOST}.*(?:timeout|refused)", 0.7, cue="TLS handshake timeout|i/o timeout|connection refused"),
    host(rf"connect to host {HOST} port"),
    host(
        rf"Failed to (?:open TCP connection|connect|download .*?) (?:to )?(?:https?://)?{HOST}:\d+",
        0.85,
        cue="Failed to (open TCP|connect|download).*:[0-9]",
    ),
    host(rf"connect to {HOST}:\d+: ", 0.8),
)

PATTERNS: tuple[Pattern, ...] = (*WITH_LINE, *NAMED, *HOSTS)
