"""Records failing CI jobs: real toolchains, an injected fault, the log and its known truth."""
