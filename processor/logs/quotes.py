"""Lines that repeat what people wrote, or that say all is well: whatever they mention did not happen on them.

A commit message, a command that is echoed, a line of source in a stack trace, the title of a passed test or a hit of
grep can read word for word like a fault ("No space left on device"). What tells them is what stands around the words.
Text that somebody prints as a line of its own, letter for letter as a tool would, can't be told from the tool's.
"""

from __future__ import annotations

import re
from typing import Final

_QUOTES: Final = re.compile(
    "|".join(
        (
            # git and CI systems naming a commit: its hash, then its message
            r"^(?:HEAD is now at|Previous HEAD position was) [0-9a-f]{7,40} ",
            r"^(?:[*|] )*(?=[0-9a-f]*[a-f])[0-9a-f]{7,40} ",
            r"^\[[\w./ ()-]+ [0-9a-f]{7,40}\] ",
            r"^(?:[Cc]ommit message|Merge (?:branch|pull request|remote-tracking branch)|Merged? [0-9a-f]{7,40})\b",
            r"^\s*(?:export |declare -x )?\w*(?:MESSAGE|TITLE|BODY|SUBJECT|DESCRIPTION)\w*\s?[=:]",
            # commands that are echoed
            r"^(?:\+{1,5}|\$|>>>) ",
            r"^##\[(?:group|command)\]",
            r"^\[command\]",
            # source code in stack traces and code frames
            r"^>?\s*(?:\d+ \|\s*)?(?:raise|throw(?: new)?|echo|printf?|println!?|assert\w*|expect)[ (!]",
            r"^>?\s*(?:\d+ \|\s*)?(?:console|log(?:ger)?)\.\w+\(",
            # tests that passed, or are named before they run
            r"^\s*(?:✓|✔|√|(?<!not )ok \d+\b|PASS(?:ED)?\b|=== RUN\b|--- PASS:|\[ +(?:OK|RUN) +\])",
            r"(?:\.\.\. ?ok|\bPASSED(?:\s+\[ *\d+%\])?|\bOK)$",
            # hits of grep: unlike compilers it puts no space after the line's number
            r"^[\w./-]+\.\w+:\d+:[^\s\d:]",
        )
    )
)


def quotes(line: str) -> bool:
    """Whether what `line` mentions is only told of."""
    return _QUOTES.search(line) is not None
