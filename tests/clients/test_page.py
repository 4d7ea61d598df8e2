"""docs/clients.md is made of the docstrings of these tests: `python tests/clients/test_page.py` writes it anew."""

from __future__ import annotations

import ast
from pathlib import Path

FOLDER = Path(__file__).parent
PAGE = FOLDER.parent.parent / "docs" / "clients.md"
#: File -> what its clients are clients of.
FILES = {"test_pytorch": "PyTorch", "test_keras": "Keras", "test_flax": "Flax", "test_tokenizers": "the tokenizers"}
OPENING = """# Clients

What other people's libraries do with a model or a tokenizer of this package, each as its own quick start has it. Every
line is a test in `tests/clients`, which runs with the releases that the extra `clients` names; this page is made of
their docstrings.
"""
CLOSING = """
## What does not work, and what to do

| client | why | instead |
|---|---|---|
| transformers' own `Trainer`, saving | it asks for its base class before it writes config.json, and refuses tied weights | `from roberta.clients.transformers import Trainer`; of another trainer, `class Mine(SavesCheckpoints, TheirTrainer)` |
| `torchinfo.summary(model, input_data=inputs)` | it takes tensors, tuples and dicts; our records are none | `input_data={**inputs, "return_dict": False}` |
| PEFT's prefix tuning of an encoder | it hands keys and values to heads that have no such argument | prompt tuning, or LoRA |
| pipelines log "The model 'Torch…' is not supported" | they know their own class names only | nothing: the results are those of transformers' class |
| a question-answering pipeline with `RobertaTokenizer` | it reads texts by transformers' slow tokenizers in a way of their own | `RobertaTokenizerFast` |
| transformers' own `Trainer`, padding without a collator | it pads for tokenizers of its base class only | `data_collator=DataCollatorWithPadding(tokenizer)`, or `from roberta.clients.transformers import Trainer` |
| `model.base_model.save_pretrained(folder)` | a body is a part of a model, and has no file of its own | `model.save_pretrained(folder)`, of which `RobertaModel.from_pretrained(folder)` reads the body |
| `set_input_embeddings(nn.Embedding(other, sizes))` | it would contradict the configuration | `resize_token_embeddings(size)` first |
| `RobertaConfig(gradient_checkpointing=True)` | transformers 4 reads it of old files only | `model.gradient_checkpointing_enable()` |
| `config._attn_implementation`, `config.sub_configs`, `isinstance(model, GenerationMixin)` | transformers' inside | nothing: what a call asks for chooses the kernel; `model.can_generate()` |
| Keras' `model.quantize("int8")` | it knows its own layers only | `model.export("model.tflite", format="litert", optimizations=[tf.lite.Optimize.DEFAULT])` |
| Keras' `layer.enable_lora(rank)` | its own `Dense` and `Embedding` have it; our layers keep the checkpoint's shapes | freeze the body, `model.roberta.trainable = False`, and train the head; or PEFT on PyTorch |
| a functional model made within `with keras.RematScope():` | Keras' own functional models cannot be called so in `fit` | only our model within the scope, `keras.Model(…)` after it |
| `export` of a `keras.Model` of one's own around ours | Keras makes up inputs of the dtype of computing, and ids are integers | `model.export(folder, input_signature=[{"input_ids": tf.TensorSpec([None, None], tf.int32), …}])` |
| assisted decoding (`assistant_model=`) | not built | `generate` with the model alone |
"""  # noqa: E501


def page() -> str:
    """The page, as the tests have it."""
    parts = [OPENING]
    for stem, name in FILES.items():
        path = FOLDER / f"{stem}.py"
        if path.exists():
            parts.append(f"\n## Of {name}\n\n| client | tested in |\n|---|---|\n")
            parts += [f"| {line} | `{test}` |\n" for test, line in clients(path)]
    calls = old_calls(FOLDER / "test_flax.py")
    parts.append("\n### From transformers' Flax classes\n\n| there | here |\n|---|---|\n")
    parts += [f"| `{old}` | `{new}` |\n" for old, new in calls.items()]
    return "".join([*parts, CLOSING])


def clients(path: Path) -> list[tuple[str, str]]:
    """Test -> the first line of its docstring."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    tests = [node for node in tree.body if isinstance(node, ast.FunctionDef) and node.name.startswith("test_")]
    return [(node.name, (ast.get_docstring(node) or "").partition("\n")[0]) for node in tests]


def old_calls(path: Path) -> dict[str, str]:
    """A call of transformers' Flax classes -> the same here, as the table `CALLS` of a test has them."""
    for node in ast.parse(path.read_text(encoding="utf-8")).body:
        if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name) and node.targets[0].id == "CALLS":
            return ast.literal_eval(node.value)
    raise LookupError(f"{path}: there is no CALLS")


def test_the_page_says_what_the_tests_do() -> None:
    assert PAGE.read_text(encoding="utf-8") == page()


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
