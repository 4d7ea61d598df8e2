"""The paper's own files, by their published layout: both generations, the oldest with query, key and value in one."""

import argparse
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import roberta
import torch
from roberta.files.formats import fairseq

D, F, V, T, N = 8, 12, 23, 18, 2


def tensors(head: str, norm: str, is_joined: bool, classes: tuple[str, ...] = ()) -> dict[str, Any]:
    """What fairseq's encoder has; `head` is encoder. or decoder., `norm` the first norm's name."""
    torch.manual_seed(0)
    body = f"{head}sentence_encoder."
    shapes: dict[str, tuple[int, ...]] = {
        f"{body}embed_tokens.weight": (V, D), f"{body}embed_positions.weight": (T, D),
        f"{body}{norm}.weight": (D,), f"{body}{norm}.bias": (D,),
        f"{head}lm_head.weight": (V, D), f"{head}lm_head.bias": (V,), f"{head}lm_head.dense.weight": (D, D),
        f"{head}lm_head.dense.bias": (D,), f"{head}lm_head.layer_norm.weight": (D,),
        f"{head}lm_head.layer_norm.bias": (D,),
    }  # fmt: skip
    for layer in range(N):
        at = f"{body}layers.{layer}."
        parts = ["q_proj", "k_proj", "v_proj"]
        if is_joined:
            shapes |= {f"{at}self_attn.in_proj_weight": (3 * D, D), f"{at}self_attn.in_proj_bias": (3 * D,)}
        else:
            shapes |= {f"{at}self_attn.{part}.weight": (D, D) for part in parts}
            shapes |= {f"{at}self_attn.{part}.bias": (D,) for part in parts}
        shapes |= {
            f"{at}self_attn.out_proj.weight": (D, D), f"{at}self_attn.out_proj.bias": (D,),
            f"{at}self_attn_layer_norm.weight": (D,), f"{at}self_attn_layer_norm.bias": (D,),
            f"{at}fc1.weight": (F, D), f"{at}fc1.bias": (F,), f"{at}fc2.weight": (D, F), f"{at}fc2.bias": (D,),
            f"{at}final_layer_norm.weight": (D,), f"{at}final_layer_norm.bias": (D,),
        }  # fmt: skip
    for name in classes:
        at = f"classification_heads.{name}."
        shapes |= {f"{at}dense.weight": (D, D), f"{at}dense.bias": (D,), f"{at}out_proj.weight": (3, D),
                   f"{at}out_proj.bias": (3,)}  # fmt: skip
    found = {name: torch.randn(shape) for name, shape in shapes.items()}
    found[f"{head}lm_head.weight"] = found[f"{body}embed_tokens.weight"]
    return found


SETTINGS: dict[str, Any] = {
    "encoder_layers": N, "encoder_embed_dim": D, "encoder_ffn_embed_dim": F, "encoder_attention_heads": 2,
    "activation_fn": "relu", "dropout": 0.2, "attention_dropout": 0.3, "arch": "roberta_base", "max_positions": 16,
}  # fmt: skip
#: Generation -> its prefix, the name of its first norm, whether query, key and value are one, and its settings.
GENERATIONS: dict[str, tuple[str, str, bool, dict[str, Any]]] = {
    "first": ("decoder.", "emb_layer_norm", False, {"args": argparse.Namespace(**SETTINGS), "extra_state": None}),
    "second": ("encoder.", "layernorm_embedding", False, {"args": None, "cfg": {"model": {**SETTINGS, "_name": "x"}}}),
    "with a namespace": ("encoder.", "layernorm_embedding", False, {"cfg": {"model": argparse.Namespace(**SETTINGS)}}),
    "joined": ("decoder.", "emb_layer_norm", True, {"args": argparse.Namespace(**SETTINGS)}),
}


def save(folder: Path, generation: str, classes: tuple[str, ...] = (), is_zip: bool = True) -> dict[str, Any]:
    head, norm, is_joined, settings = GENERATIONS[generation]
    state = tensors(head, norm, is_joined, classes)
    torch.save({"model": state, "last_optimizer_state": {"step": 3}, **settings}, folder / "model.pt",
               _use_new_zipfile_serialization=is_zip)  # fmt: skip
    return {name: tensor.numpy() for name, tensor in state.items()}


@pytest.mark.parametrize("is_zip", [True, False])
@pytest.mark.parametrize("generation", GENERATIONS)
def test_each_generation_is_loaded_on_every_engine(generation: str, is_zip: bool, backend: str, tmp_path: Path) -> None:
    state = save(tmp_path, generation, is_zip=is_zip)
    model = roberta.RobertaForMaskedLM.from_pretrained(tmp_path, backend=backend, strict=True)
    report, config = model.load_report, model.config
    assert (report.missing, report.unexpected, report.source.format) == ((), (), "fairseq")
    assert (config.hidden_size, config.intermediate_size, config.vocab_size, config.num_hidden_layers) == (D, F, V, N)
    assert (config.max_position_embeddings, config.type_vocab_size, config.layer_norm_eps) == (T, 1, 1e-5)
    assert (config.hidden_act, config.hidden_dropout_prob, config.attention_probs_dropout_prob) == ("relu", 0.2, 0.3)
    head = GENERATIONS[generation][0]
    found = model.state_dict_numpy()
    at, own = f"{head}sentence_encoder.layers.1.", "roberta.encoder.layer.1."
    assert np.array_equal(found[f"{own}output.dense.weight"], state[f"{at}fc2.weight"])
    assert np.array_equal(found["lm_head.layer_norm.bias"], state[f"{head}lm_head.layer_norm.bias"])
    key = (state[f"{at}self_attn.in_proj_weight"][D : 2 * D] if generation == "joined"
           else state[f"{at}self_attn.k_proj.weight"])  # fmt: skip
    assert np.array_equal(found[f"{own}attention.self.key.weight"], key)
    assert not found["roberta.embeddings.token_type_embeddings.weight"].any()


def test_it_computes_what_the_paper_s_code_does(tmp_path: Path) -> None:
    """fairseq's own layers are PyTorch's: its encoder put together of them, in float64."""
    state = {name: torch.from_numpy(array).double() for name, array in save(tmp_path, "first").items()}
    model = roberta.RobertaForMaskedLM.from_pretrained(tmp_path, dtype="float64")
    ids = torch.tensor([[0, 5, 9, 7, 2]])
    functional, body = torch.nn.functional, "decoder.sentence_encoder."

    def norm(x: Any, name: str) -> Any:
        return functional.layer_norm(x, (D,), state[f"{name}.weight"], state[f"{name}.bias"], 1e-5)

    def linear(x: Any, name: str) -> Any:
        return functional.linear(x, state[f"{name}.weight"], state[f"{name}.bias"])

    places = torch.arange(2, 7)  # fairseq counts from padding's number on
    x = state[f"{body}embed_tokens.weight"][ids] + state[f"{body}embed_positions.weight"][places]
    x = norm(x, f"{body}emb_layer_norm")
    for layer in range(N):
        at = f"{body}layers.{layer}."
        q, k, v = (linear(x, f"{at}self_attn.{part}_proj").view(1, 5, 2, D // 2).transpose(1, 2) for part in "qkv")
        mixed = functional.scaled_dot_product_attention(q, k, v).transpose(1, 2).reshape(1, 5, D)
        x = norm(x + linear(mixed, f"{at}self_attn.out_proj"), f"{at}self_attn_layer_norm")
        x = norm(x + linear(torch.relu(linear(x, f"{at}fc1")), f"{at}fc2"), f"{at}final_layer_norm")
    hidden = norm(functional.gelu(linear(x, "decoder.lm_head.dense")), "decoder.lm_head.layer_norm")
    logits = functional.linear(hidden, state["decoder.lm_head.weight"], state["decoder.lm_head.bias"])
    np.testing.assert_allclose(model(ids.numpy()).logits, logits.numpy(), rtol=0, atol=1e-12)


def test_one_classification_head_is_the_classifier_and_of_two_none_is(tmp_path: Path) -> None:
    state = save(tmp_path, "first", ("mnli",))
    model = roberta.RobertaForSequenceClassification.from_pretrained(tmp_path, strict=True)
    assert model.config.num_labels == 3
    assert np.array_equal(
        model.state_dict_numpy()["classifier.out_proj.bias"], state["classification_heads.mnli.out_proj.bias"]
    )
    save(tmp_path, "first", ("mnli", "rte"))
    with pytest.warns(UserWarning, match=r"lacks 4 parameters \(classifier"):
        both = roberta.RobertaForSequenceClassification.from_pretrained(tmp_path)
    assert any(name.startswith("classification_heads.rte") for name in both.load_report.unexpected)


def test_a_config_json_beside_it_wins(tmp_path: Path) -> None:
    save(tmp_path, "first")
    config = roberta.RobertaForMaskedLM.from_pretrained(tmp_path).config
    config.replace(layer_norm_eps=1e-3).save_pretrained(tmp_path)
    assert roberta.RobertaForMaskedLM.from_pretrained(tmp_path).config.layer_norm_eps == 1e-3
    assert roberta.RobertaForMaskedLM.from_pretrained(tmp_path / "model.pt").config.layer_norm_eps == 1e-3


def test_the_file_itself_may_be_named(tmp_path: Path) -> None:
    save(tmp_path, "second")
    (tmp_path / "model.pt").rename(tmp_path / "checkpoint_best.pt")
    model = roberta.RobertaForMaskedLM.from_pretrained(tmp_path / "checkpoint_best.pt", strict=True)
    assert model.load_report.source.files[0].name == "checkpoint_best.pt"


# -- its vocabulary ----------------------------------------------------------------------------------------------------


def put_vocabulary(folder: Path) -> None:
    pieces = {"a": 0, "b": 1, "ab": 2, "\u0120a": 3}
    (folder / "encoder.json").write_text(json.dumps(pieces))
    (folder / "vocab.bpe").write_text("#version: 0.2\na b\n\u0120 a\n")
    (folder / "dict.txt").write_text("2 900\n0 80\n3 7\n1 5\nmadeupword0000 0\n")


def test_the_dictionary_counts_the_pieces_anew(tmp_path: Path) -> None:
    put_vocabulary(tmp_path)
    found = fairseq.vocabulary_of(tmp_path)
    assert found is not None
    tokens = ["<s>", "<pad>", "</s>", "<unk>", "ab", "a", "\u0120a", "b", "madeupword0000", "<mask>"]
    assert found[0] == {token: place for place, token in enumerate(tokens)}
    assert found[1].splitlines()[1] == "a b"
    assert fairseq.vocabulary_of(tmp_path / "nowhere") is None


@pytest.mark.parametrize(
    ("file", "content", "kind", "said"),
    [
        ("dict.txt", "2 900\n0\n", ValueError, r"dict.txt, line 2: required a number of GPT-2's and a count, got '0'"),
        ("dict.txt", "2 900\n2 900\n", ValueError, "each piece once, got 'ab' twice"),
        ("encoder.json", "[1]", ValueError, "encoder.json: required a JSON object"),
        ("encoder.json", "[" * 100_000, ValueError, "encoder.json: required a JSON object"),
        ("encoder.json", None, FileNotFoundError, "needs encoder.json or vocab.json beside it"),
        ("vocab.bpe", None, FileNotFoundError, "needs vocab.bpe or merges.txt beside it"),
    ],
)
def test_a_dictionary_that_is_none_is_refused(
    file: str, content: str | None, kind: type[Exception], said: str, tmp_path: Path
) -> None:
    put_vocabulary(tmp_path)
    (tmp_path / file).unlink()
    if content is not None:
        (tmp_path / file).write_text(content)
    with pytest.raises(kind, match=said):
        fairseq.vocabulary_of(tmp_path)
