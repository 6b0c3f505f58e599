"""A call that the SDK refused, and what its log says of a graph rule that failed in it."""

from __future__ import annotations

import re
from dataclasses import dataclass

from pipelines.backends.rknn.sdk.refusals import log
from pipelines.run.jobs.refusal import Refusal


class SdkRefusal(Refusal):
    """sentence: what the SDK says. printed: all that it printed in the call, seen: before too."""

    def __init__(
        self, what: str, advice: str = "", *, sentence: str = "", printed: str = "", seen: str = ""
    ) -> None:
        super().__init__(what, advice)
        self.sentence = sentence
        self.printed = printed
        self.seen = seen


@dataclass(frozen=True)
class BrokenRule:
    """A graph rule that raised. operators: (type, name) that it matched, as the SDK calls them."""

    name: str
    operators: tuple[tuple[str, str], ...]
    error: str


# 2.5.0 and 2.3.2 print what the rule matched, then how to disable it, then the traceback.
_MATCHED = re.compile(r"^Rule: (?P<rule>\w+)$(?P<subgraph>.*?)(?=^[DIWE] |\Z)", re.M | re.S)
_OPERATOR = re.compile(r"^Op type: (.+)\nOp name: (.+)$", re.M)
_DISABLE = re.compile(r"disable_rules=\['(\w+)'\]")
_FRAME = re.compile(r"in rknn\.api\.rules\.\w+\._p_(\w+)$", re.M)
_ERROR = re.compile(r"^(?:\w+\.)*(\w+(?:Error|Exception)): *(.*)$", re.M)


def broken_rule(printed: str) -> BrokenRule | None:
    """The rule that a call failed in, None where it failed elsewhere."""
    text = log.ANSI.sub("", printed)
    told = _DISABLE.findall(text) or _FRAME.findall(text)
    if not told:
        return None
    name = told[-1]
    matched = [match for match in _MATCHED.finditer(text) if match["rule"] == name]
    found = _OPERATOR.findall(matched[-1]["subgraph"]) if matched else []
    errors = [f"{kind}: {said}" for kind, said in _ERROR.findall(text)]
    return BrokenRule(name, tuple(found), errors[-1] if errors else "no reason given")
