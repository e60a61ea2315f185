"""What builds stand on: git, apt/dnf/apk, containers, Kubernetes, Terraform, cloud, links, policies."""

# ruff: noqa: E501  (a regular expression that is folded can't be read or searched for)

from __future__ import annotations

from typing import Final

from processor.logs.patterns.base import Pattern, errors

PATTERNS: Final[tuple[Pattern, ...]] = (
    *errors(
        "git",
        10,
        r"^fatal: ",
        r"^error: (?:pathspec|failed to push|Your local|could not apply|RPC|unable to|cannot lock|object file|Server|The requested|invalid|src refspec)",
        r"^CONFLICT |Automatic merge failed|Merge conflict|^<{7} |detected dubious ownership|Host key verification failed|Permission denied \(publickey|Repository not found|remote: (?:error|fatal|Repository|Permission|Invalid)",
        r"early EOF|unexpected disconnect|the remote end hung up|index-pack failed|shallow update|reference is not a tree|couldn't find remote ref|Remote branch .+ not found",
        r"not our ref|Unable to checkout|did not contain|Fetched in submodule path|Smudge error|git-lfs",
    ),
    *errors(
        "packages",
        10,
        r"^E: (?:Unable to|Failed to|Package|Version|The repository|Some|Sub-process|dpkg|Could not|Release|Couldn't|Invalid|Type|The)",
        r"^Err:\d+ |^W: (?:Failed to fetch|GPG error|The repository)|^W: .+(?:404|Could not resolve)|has no installation candidate|Unmet dependencies|unmet dependencies|Depends: .+ but it is not|held broken packages|NO_PUBKEY|is not signed|does not have a Release file|no longer has a Release",
        r"^dpkg: error|dpkg-deb: error|returned an error code|post-installation script|Hash Sum mismatch|Clearsigned file isn't valid",
        r"^ERROR: (?:unable to select|unsatisfiable|\d+ errors?;|.+\(no such package\)|.+: (?:temporary error|UNTRUSTED|BAD|IO ERROR|network))|\(no such package\):|required by: ",
        r"^(?:Error: )?(?:No package .+ available|Unable to find a match|Nothing to do|Failed to download metadata|Cannot retrieve|No match for argument)|nothing provides|conflicting requests|package .+ requires .+, but none|Problem: ",
        r"^Error: (?:No available formula|.+ not installed|An exception occurred|.+: |No formulae)|brew: command not found|Warning: .+ is already installed and up",
        r"^(?:\S+ - )?not (?:found|installed)|exec: \S+: not found|executable file not found",
    ),
    *errors(
        "containers",
        10,
        r"no such manifest|manifest (?:for .+ not found|unknown)|pull access denied|repository does not exist|ImagePullBackOff|ErrImagePull|toomanyrequests|no matching manifest|denied: requested access|unauthorized: |not found: manifest|failed to resolve source metadata|failed to solve|image .+ not found",
        r"^The command '.+' returned a non-zero code|executor failed running|did not complete successfully: exit code",
        r"^(?:COPY|ADD) failed|failed to compute cache key|Dockerfile parse error|unknown instruction|^ > \[.+\]:?$|^ERROR(?: \[|: failed)|OCI runtime|exec format error|starting container process caused|container_linux\.go",
        r"CrashLoopBackOff|Error from server|Error: (?:INSTALLATION|UPGRADE|release)|helm\S* .*failed|error validating|timed out waiting for the condition|Insufficient (?:cpu|memory)|FailedScheduling|unable to recognize",
        r"^(?:│|\|) Error: |^Error: .+(?:Invalid|Unsupported|Missing|Failed|Error|Reference|Inconsistent)|Error acquiring the state lock|terraform .+ failed",
        r"system failure|prepare environment|Cannot connect to the Docker daemon|no space left|lost communication|runner (?:system )?failure|No runner|agent (?:went|is) offline|hudson\.|java\.io\.EOFException|Slave went offline",
        r"Resource not accessible by integration|secret .+ (?:not found|is required)|Input required and not supplied|Unable to resolve action|Unable to find (?:version|environment|package|reusable)|Unrecognized named-value|The workflow is not valid|HttpError|Version .+ (?:was )?not found|Bad credentials",
    ),
    *errors(
        "policy",
        9,
        r"\b(?:licen[cs]e|dependency|version) .*(?:not (?:allowed|permitted|approved)|forbidden|denied|violation|banned|mismatch)",
        r"\b(?:vulnerabilit(?:y|ies)|CVE-\d{4}-\d+|GHSA-\w{4}-\w{4}-\w{4}|RUSTSEC-\d{4}-\d+|PYSEC-\d{4}-\d+)\b",
        r"(?:Changelog|CHANGELOG|changelog).*(?:missing|required|entry|not)|must be signed|DCO|commit message .*(?:invalid|must|not)|subject may not be empty|commitlint",
        r"Quality Gate .*(?:FAILED|failed)|coverage .*(?:below|less than|under|not met|does not meet)|threshold|\bRule violated for ",
        r"\bDependabot encountered\b|\bsecurity_update_not\w+|\bdependency_file_not\w+",
    ),
    *errors(
        "links",
        8,
        r"^[ \t]*\[?(?:✖|✗|×|\[✖\]|ERROR)\]?\s+https?://|→ Status: [45]\d\d|\[✖\]|dead links? found|broken links?|Status: [45]\d\d",
        r"^[ \t]*\d+\.\s+(?:\[L\d+\] )?(?:[345]\d\d|Timeout|Error|The|Failed|SSL|Connection|Redirect)\b.*https?://|^> (?:Links|Dupes|Issues|Summary)|^Issues :-?\(",
        r"(?:is not a valid link|linking to internal hash|External link .+ failed|HTML-Proofer found \d+|htmlproofer|internally linking to|broken\(|404 No error)",
        r"^(?:\S+:\d+:\d*:? ?)MD\d{3}/|^\S+\.md:\d+(?::\d+)? |alphabetical|not sorted|sort order|should be (?:sorted|before|after)",
    ),
)
