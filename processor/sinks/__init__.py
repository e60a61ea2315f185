"""Where records go: nouns, one a file."""
