"""Where events come from: nouns, one a file."""
