"""As much of PromQL as the linter's rules need: which series an expression reads, and inside of which functions."""

import re
from dataclasses import dataclass

WORDS = {"by", "without", "on", "ignoring", "group_left", "group_right", "and", "or", "unless", "offset", "bool"}
LISTS_LABELS = {"by", "without", "on", "ignoring", "group_left", "group_right"}
TOKEN = re.compile(
    r'(?P<text>"(?:[^"\\]|\\.)*")|(?P<name>[a-zA-Z_:][a-zA-Z0-9_:]*)|(?P<braces>\{[^}]*\})|(?P<range>\[[^]]*\])'
    r"|(?P<open>\()|(?P<close>\))|(?P<variable>\$\w+)|(?P<number>[0-9.]+(e-?[0-9]+)?)|(?P<other>.)",
    re.DOTALL,
)


@dataclass
class Selector:
    """A series that is read: `functions` are those around it, the innermost last."""

    metric: str
    matchers: str
    window: str
    functions: list


def selectors(expr: str) -> list[Selector]:
    found, functions, previous = [], [], ""
    for token in TOKEN.finditer(expr):
        kind, text = token.lastgroup, token.group()
        if text.isspace():
            continue
        if kind == "open":
            functions.append(previous)
        elif kind == "close":
            functions.pop()
        elif kind == "braces" and found:
            found[-1].matchers = text
        elif kind == "range" and found:
            found[-1].window = text[1:-1]
        elif kind == "name" and text not in WORDS and not (functions and functions[-1] in LISTS_LABELS):
            if not is_call(expr, token.end()):
                found.append(Selector(text, "", "", list(functions)))
        previous = text if kind == "name" else ""
    return found


def is_call(expr: str, end: int) -> bool:
    """Whether what ends here is a function or an aggregation: `sum(…)`, `sum by (…) (…)`."""
    return re.match(r"\s*(\(|(by|without)\b)", expr[end:]) is not None
