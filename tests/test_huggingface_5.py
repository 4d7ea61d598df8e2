"""transformers 5, in a folder of its own beside the pinned release 4: it reads what we save, and computes the same."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import roberta
from roberta.parity.compare import compare_outputs
from roberta.parity.tolerances import budgets
from roberta.reference.parameters import CLASS_NAMES, HEADS

pytestmark = [pytest.mark.hf, pytest.mark.slow]
SIZES: Any = {
    "vocab_size": 101, "hidden_size": 14, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 17,
    "max_position_embeddings": 31, "type_vocab_size": 2,
}  # fmt: skip
IDS = np.arange(5, 17).reshape(3, 4)
TEXTS = ["It is a truth", " a <mask>é  😀", ""]
PROGRAM = """
import json, sys
import numpy as np, torch, transformers
from pathlib import Path

folder, told = Path(sys.argv[1]), {}
assert transformers.__version__.startswith("5."), transformers.__version__
for path in sorted(folder.glob("Roberta*")):
    model, info = getattr(transformers, path.name).from_pretrained(path, output_loading_info=True)
    ids = np.load(path / "ids.npy")
    with torch.no_grad():
        outputs = model.eval()(torch.from_numpy(ids))
    arrays = {name: value.numpy() for name, value in outputs.items() if torch.is_tensor(value)}
    np.savez(folder / f"{path.name}.npz", **arrays)
    told[path.name] = {name: sorted(map(str, found)) for name, found in info.items() if found}
tokenizer = transformers.AutoTokenizer.from_pretrained(folder / "tokenizer")
told["ids"] = [tokenizer(text)["input_ids"] for text in json.loads(sys.argv[2])]
print(json.dumps(told))
"""


@pytest.fixture(scope="module")
def environment(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Where Python finds release 5 first; PyTorch and NumPy are the environment's."""
    folder = tmp_path_factory.mktemp("transformers")
    install = [sys.executable, "-m", "pip", "install", "--quiet", "--target", str(folder), "transformers>=5,<6"]
    subprocess.run(install, check=True, capture_output=True)  # noqa: S603  (our own)
    return {**os.environ, "PYTHONPATH": str(folder), "HF_HUB_OFFLINE": "1"}


def test_release_5_reads_every_head_and_the_tokenizer(environment: dict[str, str], tmp_path: Path) -> None:
    models = {}
    for head in HEADS:
        name = CLASS_NAMES[head]
        config = roberta.RobertaConfig(**SIZES, is_decoder=head == "causal_lm")
        models[name] = getattr(roberta, name)(config, backend="numpy")
        models[name].save_pretrained(tmp_path / name)
        np.save(tmp_path / name / "ids.npy", IDS[None] if head == "multiple_choice" else IDS)
    tokenizer = roberta.RobertaTokenizer.from_pretrained("austen")
    tokenizer.save_pretrained(tmp_path / "tokenizer")
    run = [sys.executable, "-c", PROGRAM, str(tmp_path), json.dumps(TEXTS)]
    done = subprocess.run(run, env=environment, cwd=tmp_path, capture_output=True, text=True)  # noqa: S603  (our own)
    assert done.returncode == 0, done.stderr[-3000:]
    told = json.loads(done.stdout.splitlines()[-1])
    assert told.pop("ids") == [tokenizer(text)["input_ids"] for text in TEXTS]
    assert told == {name: {} for name in models}  # nothing missing, unexpected or of another shape
    for name, model in models.items():
        inputs = {"input_ids": np.load(tmp_path / name / "ids.npy")}
        permitted, _ = budgets(model.to_backend("numpy", "float64").eval(), inputs, "float32")
        theirs = dict(np.load(tmp_path / f"{name}.npz"))
        compared = compare_outputs(theirs, {key: permitted[key] for key in theirs})
        assert compared
        assert all(comparison.passed for comparison in compared), [str(each) for each in compared]
