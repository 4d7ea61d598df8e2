"""Where an audit says that a wrong engine departs: every mutant, seen in four ways, against where it is wrong.

    python benchmarks/localisation.py [--heads masked_lm] [--ways taps,box,peer,onnx]

    taps    the NumPy engine with the mistake, which has every value by the spec's names
    box     the same, of which nothing is seen but its answer; it takes probe weights
    peer    transformers' PyTorch class with the mistake's configuration and weights, seen by hooks
    onnx    its exported graph in ONNX Runtime, whose values have no names of ours

The last two can have only the mistakes that are in configuration or weights. Right is the operation where the mistake
is, or, where only layers are seen, its layer.
"""

from __future__ import annotations

import tempfile
import warnings
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer
from rich.console import Console
from rich.table import Table
from roberta.dispatch.api import FACES
from roberta.parity import Call, Probe, audit
from roberta.parity.candidates import Capabilities
from roberta.parity.cases import Case, draw_case
from roberta.parity.findings import Departure
from roberta.parity.mistakes.mutants import MUTANTS
from roberta.parity.mistakes.wrong_engines import Mutant
from roberta.reference.parameters import CLASS_NAMES
from roberta.reference.taps import symbols

NAMES = ("input_ids", "attention_mask", "token_type_ids")


def main(
    heads: Annotated[str, typer.Option(help="Heads, separated by commas.")] = "masked_lm",
    ways: Annotated[str, typer.Option(help="Of taps, box, peer, onnx.")] = "taps,box,peer,onnx",
) -> None:
    """Print how often each way finds the place, and each mutant for which it does not."""
    warnings.simplefilter("ignore")
    table = Table("head", "way", "refused", "right", "of those")
    for head in heads.split(","):
        for way in ways.split(","):
            found = list(_found(head, way))
            refused = [(mutant, departure) for mutant, departure, is_refused in found if is_refused]
            right = [mutant for mutant, departure in refused if _is_right(mutant, departure, head)]
            share = len(right) / max(len(refused), 1)
            table.add_row(head, way, f"{len(refused)} of {len(found)}", str(len(right)), f"{share:.0%}")
            for mutant, departure in refused:
                if mutant not in right:
                    print(f"{head} {way} {mutant.name} ({mutant.place}): {departure}")
    Console(width=140).print(table)


def _found(head: str, way: str) -> Iterator[tuple[Mutant, Departure | None, bool]]:
    """Each mutant with a place, where the audit says that it departs, and whether it was refused at all."""
    for mutant in MUTANTS:
        is_data = mutant.slip is None and not (mutant.inputs or mutant.outputs or mutant.keeps)
        if head not in mutant.heads or not mutant.place or (way in {"peer", "onnx"} and not is_data):
            continue
        case = draw_case(head, 0, **dict(mutant.case))
        if way in {"peer", "onnx"} and case.config.position_embedding_type != "absolute":
            continue
        reference = FACES[head].on("numpy")(case.config, state=case.state)
        inputs = {name: value for name, value in case.inputs.items() if way != "onnx" or name in NAMES}
        probe = Probe("case", ("the mutant",), (Call(inputs),))
        found = audit(_candidate(mutant, case, way), reference, [probe], power=False)
        yield mutant, found.departure, not found.passed


def _candidate(mutant: Mutant, case: Case, way: str) -> Any:
    if way in {"taps", "box"}:
        wrong = mutant.candidate(case)
        if way == "box":
            outputs = frozenset({"logits", "last_hidden_state", "pooler_output", "start_logits", "end_logits", "loss"})
            flags = {"output_hidden_states", "output_attentions"}
            wrong.capabilities = Capabilities(wrong.capabilities.inputs - flags, outputs, takes_weights=True)
        return wrong
    model = _peer(mutant.loaded(case))
    return model if way == "peer" else _exported(model, case)


def _peer(case: Case) -> Any:
    import torch
    import transformers

    model = getattr(transformers, CLASS_NAMES[case.head])(transformers.RobertaConfig(**case.config.to_dict()))
    model.load_state_dict({name: torch.tensor(np.array(value)) for name, value in case.state.items()}, strict=False)
    return model.eval()


def _exported(model: Any, case: Case) -> str:
    import torch

    class Exported(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.model = model

        def forward(self, *inputs: Any) -> Any:
            return self.model(**dict(zip(NAMES, inputs, strict=True)), return_dict=True)[0]

    path = Path(tempfile.mkdtemp()) / "model.onnx"
    given: Mapping[str, Any] = {name: torch.tensor(case.inputs[name]) for name in NAMES}
    output = "last_hidden_state" if case.head == "model" else "logits"
    torch.onnx.export(
        Exported(), tuple(given.values()), str(path), dynamo=False, input_names=list(NAMES), output_names=[output]
    )
    return str(path)


def _is_right(mutant: Mutant, departure: Departure | None, head: str) -> bool:
    """Whether the place is the mutant's; or, where layers are all that is seen, in its layer or sublayer."""
    if departure is None:
        return False
    if mutant.departs_at(departure.place) or mutant.name in departure.suspects:
        return True
    config = draw_case(head, 0, **dict(mutant.case)).config
    first = next((name for name in symbols(head, config) if mutant.departs_at(name)), "")
    return departure.evidence in {"hidden states", "inputs", "graph"} and _layer(first) == _layer(departure.place)


def _layer(place: str) -> str:
    """The layer of a tap, or what it is in besides: embeddings, pooler, head."""
    parts = place.removeprefix("roberta.").split(".")
    return ".".join(parts[:3]) if parts[0] == "encoder" else parts[0]


if __name__ == "__main__":
    typer.run(main)
