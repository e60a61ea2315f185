"""The tools of the pipeline language: positions in YAML, predicates, templates, field schemas."""
