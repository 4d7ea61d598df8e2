"""The mirror: each engine has the spec's definitions, all of them, in the spec's order, and the tables say what else.

So two files of one name can be read side by side. What an engine has beside, or lacks, stands here with its reason; a
name with an underscore is an engine's own affair.
"""

from __future__ import annotations

import ast
from collections.abc import Iterable, Mapping
from pathlib import Path

import pytest
import roberta

ROOT = Path(roberta.__file__).resolve().parent
#: File -> the one that all engines' follow.
SPEC = {
    **{name: f"reference/{name}.py" for name in ("layers", "embeddings", "attention", "encoder", "heads", "losses")},
    "weights": "backends/arrays/weights.py",
}
ENGINES = ("numba", "pytorch", "tensorflow", "flax")
#: The methods by which a framework's users call a module.
CALLS = {"forward", "__call__", "call"}

#: File -> what computes nothing, so that all engines take it from the spec, or share it in another form.
SHARED = {
    "layers": {},
    "embeddings": {},
    "attention": dict.fromkeys(
        ("Cache", "length", "key_count", "Context", "of_layer", "has_source", "Attended"), "records"
    ),
    "encoder": {
        **dict.fromkeys(("LayerOutput", "BodyOutput"), "records"),
        **dict.fromkeys(("collected", "extended_cache"), "they keep what was computed"),
    },
    "heads": {"HEAD_FUNCTIONS": "an engine's heads are classes: HEADS"},
    "losses": {
        "IGNORE_INDEX": "a constant",
        **dict.fromkeys(("Criteria", "head_losses"), "the way to share the following"),
        **dict.fromkeys(
            ("problem_type", "token_loss", "causal_loss", "sequence_loss", "choice_loss", "span_loss"),
            "they say which labels belong to which logits; what computes is an argument",
        ),
    },
    "weights": {},
}
_CALLED = "an entry of ACTIVATIONS calls the framework's"
#: Engine -> file -> what it lacks besides.
LACKING: Mapping[str, Mapping[str, Mapping[str, str]]] = {
    "numba": {
        "layers": {
            "softmax": "a part of the kernels of attention",
            **dict.fromkeys(("dropout", "keep_all"), "the spec's: it draws NumPy's numbers"),
            **dict.fromkeys(("gelu_new", "relu", "silu"), "kernels, each with the dense layer before it"),
            "tanh": "the spec's, after a dense layer",
        },
        "embeddings": dict.fromkeys(("position_ids", "token_count", "resolve_position_ids"), "the spec's: integers"),
        "attention": {
            **dict.fromkeys(("is_attended", "is_source_attended"), "the spec's: booleans"),
            "merge_heads": "the kernel writes the heads side by side",
            "masked_heads": "the spec's, on the path that keeps the probabilities",
            "keys_and_values": "one product with the query: split_heads",
        },
        "encoder": {"call_context": "the spec's: masks"},
        "losses": dict.fromkeys(("mean_squared_error", "binary_cross_entropy", "within"), "the spec's: one array each"),
        "weights": dict.fromkeys(
            ("state_dict_numpy", "to_native", "to_numpy", "dtype_name", "is_tracing", "devices", "device_of",
             "frozen_names"),
            "those of backends/arrays",
        ),
    },
    "pytorch": {
        "layers": {"keep_all": "nn.Dropout in evaluation mode"},
    },
    "tensorflow": {},
    "flax": {
        "layers": {
            "keep_all": "dropout without a key",
            **dict.fromkeys(("gelu_new", "relu", "silu", "tanh"), _CALLED),
        },
    },
}  # fmt: skip
_MODULE = {"HEADS": "head -> class", "Head": "what the classes have in common", "run": "each class's function"}
_TABLE = {"get_input_embeddings": "in the form that the framework's users expect"}
_CHUNKS = {"chunked_feed_forward": "saves memory, which the spec need not"}
_ADDED = {"added_shapes": "names what a subclass has added"}
_TRAINING = {"freeze": "a verb of engines that train", "gradients": "a verb of engines that train"}
#: Engine -> file -> what it has besides.
BESIDE: Mapping[str, Mapping[str, Mapping[str, str]]] = {
    "numba": {
        "attention": {
            "is_explicit": "chooses between the two paths",
            "probabilities": "the explicit path",
            "residual": "the end of both sublayers, in one kernel",
        },
        "layers": {"FUSED": "activation -> the kernel that has it with the dense layer"},
        "embeddings": {"table_rows": "which rows of which table, for one kernel"},
        "heads": {"Head": "keeps the packed parameters", "tree": "and reads them", "HEADS": "head -> class"},
        "weights": {
            "SELF": "the projections that are packed together",
            "CROSS": "the projections that are packed together",
            "pack_dense": "lays dense layers out for their products",
        },
    },
    "pytorch": {
        "layers": {
            "widened": "half precision is summed in single",
            "embedding": "a table as a module",
            **dict.fromkeys(("Part", "hear"), "a module whose hooks see tensors alone"),
        },
        "attention": {
            "Heads": "what self- and cross-attention have in common",
            "fused": "PyTorch's own path",
            "Residual": "the end of both sublayers, a module of the checkpoint's tree",
        },
        "encoder": {
            **_CHUNKS,
            **dict.fromkeys(("Intermediate", "Encoder"), "modules of the checkpoint's tree"),
            "alone": "a layer can be called by itself",
            "run": "the bare model's",
        },
        "heads": {**_MODULE, **_TABLE},
        "weights": {
            **_TRAINING,
            **_ADDED,
            "no_gradients": "PyTorch records them unless told",
            "has_values": "tensors of the meta device have none",
            "wants_gradient": "PyTorch's tensors say it",
            "own_dtype": "PyTorch's users have no names for it",
        },
    },
    "tensorflow": {
        "layers": {
            **dict.fromkeys(("widened", "sizes"), "half precision, and lengths that are unknown while tracing"),
            **dict.fromkeys(("Part", "output"), "a Keras layer that a checkpoint's path leads to"),
            **dict.fromkeys(("build", "save_own_variables", "load_own_variables"), "methods that Keras calls"),
            "Embedding": "a table as a Keras layer",
            "WEIGHT": "how Keras begins one",
            "Draws": "the dropout of a call",
            **dict.fromkeys(("Replay", "from_start", "next"), "what is computed again draws the same"),
        },
        "embeddings": {},
        "encoder": {
            **_CHUNKS,
            "recomputed": "saves memory in training",
            "parts": "what a body and the bare model are built of",
        },
        "heads": {**_MODULE, **_TABLE, "bias": "the decoder's other name", "flattened": "lengths may be unknown"},
        "weights": {
            **_TRAINING,
            "part_at": "the layer at a checkpoint's path",
            "require_nameable": "what a subclass has added has no name there",
        },
    },
    "flax": {
        "layers": {
            "REMEDIES": "how to get a dtype that JAX lacks",
            "PRECISION": "of products",
            "kernel": "compiles an equation",
            "dtypes": "float64 only where JAX is told so",
            "at_least_single": "half precision is summed in single",
            "elementwise": "an activation without taps",
            "parameter": "an nnx.Param without numbers",
            **dict.fromkeys(("rows", "Embedding"), "a table as an NNX module"),
            **dict.fromkeys(("set_view", "key"), "methods of dropout that NNX and attention call"),
        },
        "attention": {
            **dict.fromkeys(
                ("FixedCache", "grown", "followed_by", "Slots", "init_cache", "require_sizes", "first_token",
                 "with_past", "require_room"),
                "a cache of fixed size, for compiled steps",
            ),
            **dict.fromkeys(("is_shown_and_visible", "Terms", "terms", "mixed"), "equations that are compiled alone"),
        },
        "encoder": {**_CHUNKS, "recomputed": "saves memory in training"},
        "heads": {
            **_MODULE,
            **_TABLE,
            **dict.fromkeys(("base_model", "options"), "what NNX wants to know of a module"),
            **dict.fromkeys(("training", "train", "eval"), "PyTorch's words for NNX's modes"),
            **dict.fromkeys(("compute_dtype", "compute_in"), "NNX's second dtype"),
            **dict.fromkeys(
                ("is_gradient_checkpointing", "gradient_checkpointing_enable", "gradient_checkpointing_disable"),
                "less memory in training",
            ),
            "init_cache": "a cache of fixed size",
        },
        "weights": {
            **_TRAINING,
            **_ADDED,
            **dict.fromkeys(("named_parameter", "any_parameter"), "ways into an NNX module"),
        },
    },
}  # fmt: skip
CASE = pytest.mark.parametrize("case", [(engine, name) for engine in ENGINES for name in SPEC], ids="-".join)


def plain(names: Iterable[str]) -> list[str]:
    """Names without case and underscores: a class and the function of the same meaning are one definition."""
    return [name.lower().replace("_", "") for name in names]


def definitions(path: Path) -> list[str]:
    """The functions, classes, methods and tables of a file, each where it comes first."""
    found = [name for node in ast.parse(path.read_text(encoding="utf-8")).body for name in defined(node)]
    return list(dict.fromkeys(plain(name for name in found if not name.startswith("_"))))


def defined(node: ast.stmt) -> list[str]:
    """What one statement defines. A class stands where its call stands: that is the function that it mirrors."""
    if isinstance(node, ast.FunctionDef):
        return [node.name]
    if isinstance(node, ast.ClassDef):
        methods = [part.name for part in node.body if isinstance(part, ast.FunctionDef)]
        inside = [node.name if name in CALLS else name for name in methods]
        return inside if CALLS & set(methods) else [node.name, *inside]
    targets = node.targets if isinstance(node, ast.Assign) else [getattr(node, "target", None)]
    return [target.id for target in targets if isinstance(target, ast.Name) and target.id.isupper()]


@CASE
def test_an_engine_has_every_definition_of_the_spec_in_its_order_and_no_other_than_is_said(case):
    engine, name = case
    spec, own = definitions(ROOT / SPEC[name]), definitions(ROOT / f"backends/{engine}/{name}.py")
    shared, lacking, beside = (plain(table.get(name, {})) for table in (SHARED, LACKING[engine], BESIDE[engine]))
    wanted = [each for each in spec if each not in shared and each not in lacking]
    assert [each for each in own if each not in shared and each not in beside] == wanted


@CASE
def test_the_tables_say_nothing_that_is_not_so(case):
    engine, name = case
    spec, own = definitions(ROOT / SPEC[name]), definitions(ROOT / f"backends/{engine}/{name}.py")
    lacking, beside = plain(LACKING[engine].get(name, {})), plain(BESIDE[engine].get(name, {}))
    assert [each for each in lacking if each not in spec or each in own] == []
    assert [each for each in beside if each not in own or each in spec] == []
    assert [each for each in plain(SHARED[name]) if each not in spec] == []


@pytest.mark.parametrize("change", ["gone", "moved", "new"])
def test_the_mirror_is_not_blind(change, tmp_path):
    lines = (ROOT / "backends/numba/encoder.py").read_text(encoding="utf-8").replace("def pooler", "def pool")
    altered = {"gone": "", "moved": "\ndef pooler(): ...\n", "new": "\ndef pooler(): ...\ndef more(): ...\n"}[change]
    (tmp_path / "encoder.py").write_text(lines.replace("def pool(", "def _pool(") + altered, encoding="utf-8")
    shared = plain(SHARED["encoder"]) + plain(LACKING["numba"]["encoder"])
    wanted = [each for each in definitions(ROOT / SPEC["encoder"]) if each not in shared]
    assert definitions(ROOT / "backends/numba/encoder.py") == wanted
    assert definitions(tmp_path / "encoder.py") != wanted
