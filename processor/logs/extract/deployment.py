"""Helm charts, Terraform providers and modules, Ansible collections and roles, kinds of Kubernetes resources."""

from __future__ import annotations

from processor.logs.extract.patterns import Pattern, package

PROVIDER = r"(?:registry\.(?:terraform|opentofu)\.\w+/)?(?P<name>[\w-]+/[\w-]+)"


def chart(regex: str, weight: float) -> Pattern:
    """A pattern for a Helm chart."""
    return package("helm", regex, weight)


def terraform(regex: str, weight: float) -> Pattern:
    """A pattern for a Terraform or OpenTofu provider or module."""
    return package("terraform", regex, weight)


def other(regex: str, weight: float) -> Pattern:
    """A pattern for something that no registry's package-URL type covers."""
    return package("generic", regex, weight)


PATTERNS: tuple[Pattern, ...] = (
    chart(r"chart \"(?P<name>[\w./-]+)\"(?: version \"(?P<version>[^\"]+)\")? (?:not found|matching)", 0.95),
    chart(r"chart \"(?P<name>[\w./-]+)\" matching (?P<version>\S+) not found", 1.0),
    chart(r"no chart version found for (?P<name>[\w.-]+?)-(?P<version>[\w.^~<>=*]*)$", 0.95),
    chart(r"failed to download \"(?P<name>[\w./-]+)\"", 0.95),
    chart(r"missing in charts/ directory: (?P<name>[\w.-]+)", 0.95),
    chart(r"ependency (?:update )?\"(?P<name>[\w.-]+)\".*(?:no repository|not found)", 0.9),
    chart(r"valid version for (?:repositories|dependency) \"?(?P<name>[\w.-]+)", 0.95),
    other(r"no matches for kind \"(?P<name>\w+)\" in version \"(?P<version>[^\"]+)\"", 0.62),
    terraform(rf"available versions for provider {PROVIDER}", 1.0),
    terraform(rf"locked provider {PROVIDER} (?P<version>\S+) does not match", 1.0),
    terraform(rf"^\W*- provider {PROVIDER}: required by this configuration", 0.95),
    terraform(rf"Error while installing {PROVIDER} (?P<version>v\S+?):? ", 1.0),
    terraform(rf"Provider {PROVIDER} (?P<version>v?\S+) does not have a package", 1.0),
    terraform(rf"failed to instantiate provider \"{PROVIDER}\"", 0.9),
    terraform(rf"[Cc]ould not (?:load|find) (?:the )?(?:schema for )?provider {PROVIDER}", 0.9),
    terraform(r"Provider \"(?P<name>[\w./-]+)\" not available for installation", 1.0),
    terraform(r"No provider \"(?P<name>[\w./-]+)\" plugins meet the constraint \"(?P<version>[^\"]+)\"", 1.0),
    terraform(r"no available version(?: of|s for) (?:module|provider) \"?(?P<name>[\w./-]+\w)", 1.0),
    terraform(r"available version of module \"(?P<name>[\w./-]+)\"", 1.0),
    terraform(r"Could not download module \"(?P<name>[\w./-]+)\"", 0.95),
    terraform(r"The module address \"(?P<name>[\w./-]+)\" could not be", 0.95),
    terraform(r"Module \"(?P<name>[\w./-]+)\" .*cannot be found", 0.9),
    terraform(rf"Installing {PROVIDER} (?P<version>v[\d.]+)", 0.15),
    package("generic", r"does not support (?P<name>Terraform|OpenTofu) version (?P<version>[\d.]+\d)", 0.95),
    other(r"couldn't resolve module/action '(?P<name>\w+\.\w+)(?:\.\w+)?'", 0.95),
    other(r"the role '(?P<name>[\w./-]+)' was not found", 0.95),
    other(r"^- (?P<name>[\w.-]+) was NOT installed successfully", 0.95),
    package("generic", r"^\* (?P<name>\w+\.\w+):(?P<version>[<>=*]\S*) \(", 0.85, cue="^[*] [a-z_]+[.][a-z_]+:[<>=*]"),
)
