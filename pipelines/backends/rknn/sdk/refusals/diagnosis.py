"""From what the SDK says when it refuses a network, to the node and what to write.

Its own words name graph rules, operators as its rewrites call them, registers and Python's errors.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from pipelines.backends.rknn.file.provenance import Provenance
from pipelines.backends.rknn.recipe_line import recipe_line
from pipelines.backends.rknn.sdk.refusals import log
from pipelines.backends.rknn.sdk.refusals.lost_ends import without_effect
from pipelines.backends.rknn.sdk.refusals.refusal import BrokenRule, SdkRefusal, broken_rule
from pipelines.run.jobs.refusal import Refusal
from quant.report.source_network import Node, SourceNetwork


@dataclass(frozen=True)
class Patient:
    """What was compiled. network: the user's. target: its name in the recipe.

    rules: rewrites that fired before this call. left_out: those that are disabled already.
    idle_inputs: asks which inputs of the network change no output.
    """

    network: SourceNetwork
    target: str
    rules: Sequence[Mapping[str, Any]] = ()
    left_out: Sequence[str] = ()
    idle_inputs: Callable[[], Sequence[str]] = tuple


def explained(refusal: SdkRefusal, patient: Patient) -> Refusal:
    """The same refusal, with the node and what to do where the SDK's words are known."""
    found = (cause(refusal, patient) for cause in _CAUSES)
    return next((one for one in found if one), refusal)


@contextmanager
def diagnosed(patient: Patient) -> Iterator[None]:
    """Calls of the SDK whose refusals are explained."""
    try:
        yield
    except SdkRefusal as refusal:
        raise explained(refusal, patient) from refusal


def node_of(rule: BrokenRule, refusal: SdkRefusal, patient: Patient) -> str:
    """`MatMul `scores``: the first of the rule's operators that is of the user's network."""
    origin = _origin(refusal, patient)
    found = (origin.of_name(name) for _, name in rule.operators)
    node = next((node for node in found if node), None)
    return _called(node) if node else " ".join([*rule.operators[0]] if rule.operators else [])


def _called(node: Node) -> str:
    return f"{node.op} `{node.name}`".strip()


def _origin(refusal: SdkRefusal, patient: Patient) -> Provenance:
    """Names as the SDK's rewrites made them, back to the network's own."""
    fired = [
        {"rule": rule.rule, "removed": rule.removed, "added": rule.added}
        for rule in log.rules(refusal.seen)
    ]
    return Provenance(patient.network, [*patient.rules, *fired], [])


def _rule(refusal: SdkRefusal, patient: Patient) -> Refusal | None:
    rule = broken_rule(refusal.printed)
    if rule is None:
        return None
    node = node_of(rule, refusal, patient)
    options = {"disable_rules": [*patient.left_out, rule.name]}
    return Refusal(
        f"{refusal.what.partition(': ')[0]}: its graph rule `{rule.name}` fails at {node} "
        f"({rule.error})",
        f"leave the rule out, in recipe.yaml: {recipe_line(patient.target, options)}",
        options,
    )


_LIMIT = re.compile(r"REGTASK.*?limit: ?0x([0-9a-f]+), ?value: ?0x([0-9a-f]+)", re.I)
_AXIS = 0x1FFF  # a register holds an axis's last index in 13 bits
_CUT = (
    "end the network before it (`simplify: {rewrite: [cut_postprocessing]}` cuts a detector's head)"
)


def _register(refusal: SdkRefusal, patient: Patient) -> Refusal | None:
    """A register holds lengths less one; the compiler's table of layers tells whose they are."""
    match = _LIMIT.search(refusal.sentence)
    if match is None:
        return None
    limit, value = (int(number, 16) for number in match.groups())
    kind = "an axis" if limit == _AXIS else "a size"
    told = f"{kind} of {value + 1:,} is over the NPU's {limit + 1:,}"
    who = _of_length(value + 1, refusal, patient) if limit == _AXIS else []
    first = f", first at {who[0]}" if who else ""
    more = f" ({len(who)} layers have it)" if len(who) > 1 else ""
    return Refusal(
        f"{told}{first}{more}\n{refusal.what}",
        f"a file made like this fails on the board; {_CUT}, or make the axis shorter"
        if limit == _AXIS
        else refusal.advice,
    )


def _of_length(length: int, refusal: SdkRefusal, patient: Patient) -> list[str]:
    """The network's nodes whose layers compute on an axis of that length, in order."""
    origin = _origin(refusal, patient)
    runs = log.compilations(refusal.printed)
    layers = [layer for layer in runs[-1].layers if layer.op_type not in _MOVES] if runs else []
    has = [layer for layer in layers if any(length in shape for shape in _shapes(layer))]
    nodes = [origin.of_name(layer.name) for layer in has]
    return list(dict.fromkeys(_called(node) for node in nodes if node))


_MOVES = ("InputOperator", "OutputOperator", "Reshape")


def _shapes(layer: log.Layer) -> Iterator[tuple[int, ...]]:
    yield from (one for one in (*layer.input_shapes, *layer.output_shapes) if one)


_INPUTS = re.compile(r"input num: (\d+) in \S+ not match input num: (\d+) in model")


def _input_count(refusal: SdkRefusal, patient: Patient) -> Refusal | None:
    match = _INPUTS.search(refusal.sentence)
    if match is None:
        return None
    return without_effect(patient.idle_inputs(), refusal.sentence)


_SHAPE = re.compile(r"input shape (\[.*?\]) of '(.+?)' is not support")


def _dynamic(refusal: SdkRefusal, patient: Patient) -> Refusal | None:
    match = _SHAPE.search(refusal.printed)
    if match is None:
        return None
    return Refusal(
        f"the input `{match[2]}` has the open shape {match[1]}, and the SDK compiles fixed ones",
        f"fix it in recipe.yaml: inputs: {{{match[2]}: {{shape: [...]}}}}",
    )


_OPERATOR = re.compile(r"KeyError: '([A-Za-z]\w*)'|(?:op|operator)[ _]?(?:type)?[ :]+'?(\w+)")


def _operator(refusal: SdkRefusal, patient: Patient) -> Refusal | None:
    """An operator's type in the sentence: the network's nodes of that type."""
    for words in _OPERATOR.findall(refusal.sentence):
        kind = next(word for word in words if word)
        nodes = [node for node in patient.network.nodes.values() if node.op == kind]
        if nodes:
            more = f" and {len(nodes) - 1} more" if len(nodes) > 1 else ""
            return Refusal(
                f"{refusal.what}: the SDK can't read {_called(nodes[0])}{more}",
                refusal.advice
                or f"write {kind} with other operators, or cut the network before it",
            )
    return None


def _named(refusal: SdkRefusal, patient: Patient) -> Refusal | None:
    """A node or tensor of the network, as the SDK calls it, in the sentence."""
    origin = _origin(refusal, patient)
    for name in re.findall(r"['\"`\[]([^'\"`\[\]]+)['\"`\]]", refusal.sentence):
        node = origin.of_name(name)
        if node:
            return Refusal(f"{refusal.what} (at {_called(node)})", refusal.advice)
    return None


def _twin(refusal: SdkRefusal, patient: Patient) -> Refusal | None:
    """An output that another one is again: `y` and `Identity(y)`."""
    outputs = patient.network.outputs
    for name in re.findall(r"KeyError: '(.+?)'", refusal.sentence):
        twins = [
            node.outputs[0]
            for node in (patient.network.readers(name) if name in outputs else ())
            if node.op == "Identity" and node.outputs[0] in outputs
        ]
        if twins:
            kept = ", ".join(one for one in outputs if one not in twins)
            return Refusal(
                f"the output `{twins[0]}` is `{name}` again, and the SDK can't name both "
                f"({refusal.sentence})",
                f"keep one of them: `outputs: [{kept}]`; a torch network returns it once",
            )
    return None


_SEQUENCES = (
    *("ConcatFromSequence", "SequenceAt", "SequenceConstruct", "SequenceEmpty", "SequenceErase"),
    *("SequenceInsert", "SequenceLength", "SequenceMap", "SplitToSequence"),
)


def _sequence(refusal: SdkRefusal, patient: Patient) -> Refusal | None:
    """A list of tensors, of which the SDK has no word: it fails by Python's errors alone."""
    if "Error: " not in refusal.sentence:
        return None
    nodes = [node for node in patient.network.nodes.values() if node.op in _SEQUENCES]
    if not nodes:
        return None
    return Refusal(
        f"{refusal.what}: the SDK knows no sequences of tensors, which {_called(nodes[0])} is for",
        "export the network with Split and Concat in their place, or cut it before them",
    )


_CONSTANT = re.compile(r"All outputs (\[.*?\]) of model are constants")


def _constant(refusal: SdkRefusal, patient: Patient) -> Refusal | None:
    """All that hangs on a tensor without elements is one for the SDK."""
    match = _CONSTANT.search(refusal.printed)
    if match is None:
        return None
    return Refusal(
        f"{refusal.what}: the SDK takes the outputs {match[1]} for constants",
        "it does so where a part has no elements, as a Split of lengths [8, 0] makes one: export "
        "the network without that part",
    )


def _training(refusal: SdkRefusal, patient: Patient) -> Refusal | None:
    """A normalization by the mean of what is fed."""
    if "Training mode" not in refusal.sentence:
        return None
    kinds = ("BatchNormalization", "Dropout")
    nodes = [node for node in patient.network.nodes.values() if node.op in kinds]
    at = f" (at {_called(nodes[0])})" if nodes else ""
    return Refusal(
        f"{refusal.what}{at}",
        "export the network as it is used: `model.eval()` before torch.onnx.export, which has "
        "`training=TrainingMode.EVAL`",
    )


_CAUSES = (
    *(_rule, _register, _input_count, _dynamic, _twin, _training, _constant),
    *(_operator, _named, _sequence),
)


def names_of(rules: Sequence[Mapping[str, Any]], compiled: Iterable[str]) -> SourceNetwork:
    """The user's nodes by name alone, where only what the SDK made of them is at hand.

    A name that a rule added is the SDK's own, unless the rule took away one that was called so.
    """
    added = {name for rule in rules for name in rule["added"] if name not in rule["removed"]}
    known = dict.fromkeys([*compiled, *(name for rule in rules for name in rule["removed"])])
    nodes = [Node(name, "", (), (), frozenset(), 1) for name in known if name and name not in added]
    return SourceNetwork(nodes, {}, [])
