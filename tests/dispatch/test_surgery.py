"""Other sizes: of the vocabulary, and of attention."""

from typing import Any

import numpy as np
import pytest
import roberta
from roberta.dispatch.api import FACES
from roberta.parity.compare import compare_outputs
from roberta.parity.tolerances import budgets, flat_outputs
from roberta.reference.outputs import to_numpy
from roberta.reference.parameters import CLASS_NAMES, HEADS

HEAD = pytest.mark.parametrize("head", HEADS)
IDS = np.arange(2, 17).reshape(3, 5)
WORD = "roberta.embeddings.word_embeddings.weight"


def resized(model: Any, size: int, **options: Any) -> Any:
    model.resize_token_embeddings(size, **options)
    return model


def ids_of(head: str) -> Any:
    return IDS[:, None] if head == "multiple_choice" else IDS


# -- vocabulary --------------------------------------------------------------------------------------------------------


@HEAD
@pytest.mark.parametrize("size", [40, 53, 67])
def test_old_rows_stay_and_new_ones_are_drawn(head: str, size: int, backend: str, config: Any, make_model: Any) -> None:
    model = make_model(head, config, backend)
    before = model.state_dict_numpy()
    table = model.resize_token_embeddings(size, seed=5)
    assert type(table) is type(model.get_input_embeddings())
    after, kept = model.state_dict_numpy(), min(size, 53)
    assert model.config.vocab_size == size
    assert {name: array.shape for name, array in after.items()} == {name: p.shape for name, p in model.table.items()}
    for name, array in after.items():
        old = before[name]
        assert np.array_equal(array[:kept], old[:kept]) if array.shape != old.shape else np.array_equal(array, old)
    word = next(after[name] for name in after if name.endswith("word_embeddings.weight"))
    assert np.abs(word[kept:]).sum(-1).all()
    assert all(np.isfinite(array).all() for array in flat_outputs(model(ids_of(head))).values())


def test_logits_and_ties_follow_the_vocabulary(backend: str, config: Any, make_model: Any) -> None:
    model, old = make_model("masked_lm", config, backend), make_model("masked_lm", config, "numpy", dtype="float64")
    model.resize_token_embeddings(67)
    logits, state = model(IDS).numpy()["logits"], model.state_dict_numpy()
    assert logits.shape == (3, 5, 67)
    for spec, part in ((old, logits[..., :53]), (model.to_backend("numpy", "float64"), logits)):
        assert compare_outputs({"logits": part}, budgets(spec, {"input_ids": IDS}, "float32")[0])[0].passed
    assert np.array_equal(state["lm_head.decoder.weight"], state[WORD])
    assert np.array_equal(state["lm_head.decoder.bias"], state["lm_head.bias"])
    assert not state["lm_head.bias"][53:].any()
    model(IDS + 50)
    with pytest.raises(ValueError, match=r"\[0, 67\)"):
        model(IDS + 60)


def test_the_same_seed_draws_the_same_new_rows_on_every_engine(backend: str, config: Any, make_model: Any) -> None:
    one, other, another = (
        resized(make_model("masked_lm", config, b), 67, seed=seed).state_dict_numpy()[WORD]
        for b, seed in ((backend, 5), ("numpy", 5), ("numpy", 6))
    )
    assert np.array_equal(one, other)
    assert not np.array_equal(one[53:], another[53:])


def test_a_vocabulary_without_its_special_ids_is_refused(backend: str, make_config: Any, make_model: Any) -> None:
    model = make_model("masked_lm", make_config(eos_token_id=7), backend)
    with pytest.raises(ValueError, match=r"required at least 8, to keep the special ids, got 7"):
        model.resize_token_embeddings(7)
    assert resized(model, 8).config.vocab_size == 8


def test_resizing_keeps_dtype_mode_and_report(backend: str, config: Any) -> None:
    model = roberta.RobertaForMaskedLM(config, backend=backend, dtype="float64").train()
    model.resize_token_embeddings(67)
    assert (model.dtype_name, model.training) == ("float64", True)
    assert not model.eval().training


def test_new_rows_around_the_mean_have_a_billionth_of_the_covariance(config: Any, make_model: Any) -> None:
    model = make_model("masked_lm", config.replace(tie_word_embeddings=False), "numpy")
    old = model.state_dict_numpy()
    model.resize_token_embeddings(20053, mean_resizing=True, seed=3)
    new = model.state_dict_numpy()
    for name in (WORD, "lm_head.decoder.weight"):
        assert np.array_equal(new[name][:53], old[name])
        drawn, rows = new[name][53:].astype(np.float64), old[name].astype(np.float64)
        # of 20,000 draws the mean and the covariance are known to their standard errors, six of which are allowed
        spread = np.sqrt(1e-9 * rows.var(0, ddof=1))
        assert (np.abs(drawn.mean(0) - rows.mean(0)) < 6 * spread / np.sqrt(20000) + 1e-8).all()
        size = np.sqrt(np.outer(spread**2, spread**2) * 2 / 20000)
        assert (np.abs(np.cov(drawn.T) - 1e-9 * np.cov(rows.T)) < 6 * size + 1e-16).all()
    assert np.allclose(new["lm_head.bias"][53:], old["lm_head.bias"].mean())


def test_the_vocabulary_is_padded_to_a_multiple(config: Any, make_model: Any) -> None:
    model = make_model("masked_lm", config, "numpy")
    assert resized(model, None, pad_to_multiple_of=8).config.vocab_size == 56
    assert resized(model, 57, pad_to_multiple_of=8).config.vocab_size == 64
    assert resized(model, 64, pad_to_multiple_of=8).config.vocab_size == 64
    with pytest.raises(TypeError, match=r"pad_to_multiple_of: required an integer of at least 1, got 0"):
        model.resize_token_embeddings(64, pad_to_multiple_of=0)


@pytest.mark.parametrize("size", ["60", 60.0, True, [60]], ids=repr)
def test_a_size_that_is_no_integer_is_refused(size: Any, config: Any, make_model: Any) -> None:
    with pytest.raises(TypeError, match=r"resize_token_embeddings: required an integer, .* got"):
        make_model("model", config, "numpy").resize_token_embeddings(size)


@pytest.mark.parametrize(
    "name", [pytest.param(n, marks=getattr(pytest.mark, n)) for n in ("torch", "tensorflow", "flax")]
)
def test_what_is_frozen_stays_so_when_sizes_change(name: str, config: Any, make_model: Any) -> None:
    model = make_model("masked_lm", config, name)
    one = {"lm_head.layer_norm.weight"}
    table = {n for n in model.table if n == WORD or model.table[n].tied_to == WORD}
    model.engine.freeze(model, one | table)
    frozen = model.engine.frozen_names(model)
    assert {WORD, *one} <= frozen <= one | table
    resized(model, 67).prune_heads({0: [1]})
    assert model.engine.frozen_names(model) == frozen
    assert model.lm_head.decoder.weight is model.roberta.embeddings.word_embeddings.weight


@pytest.mark.torch
def test_resized_parameters_of_torch_are_tied_and_trained(config: Any, make_model: Any) -> None:
    model = resized(make_model("masked_lm", config, "torch"), 67)
    assert model.lm_head.decoder.weight is model.roberta.embeddings.word_embeddings.weight
    model(IDS, labels=IDS).loss.backward()
    assert model.roberta.embeddings.word_embeddings.weight.grad.shape == (67, 21)


# -- heads -------------------------------------------------------------------------------------------------------------


@HEAD
@pytest.mark.parametrize("kind", ["absolute", "relative_key_query"])
def test_a_pruned_head_is_a_silent_head(head: str, kind: str, backend: str, make_config: Any, make_model: Any) -> None:
    config = make_config(position_embedding_type=kind)
    masked, pruned = make_model(head, config, "numpy", dtype="float64"), make_model(head, config, backend)
    mask = np.array([[1, 0, 1], [0, 1, 0]])
    given = {"input_ids": ids_of(head), "head_mask": mask}
    permitted, _ = budgets(masked, given, "float32")
    assert pruned.prune_heads({0: [1], 1: [0, 2]}) is pruned
    assert pruned.config.pruned_heads == {0: [1], 1: [0, 2]}
    found = flat_outputs(pruned(ids_of(head)))
    assert all(comparison.passed for comparison in compare_outputs(found, permitted))


def test_pruning_adds_up_by_the_original_numbers(backend: str, config: Any, make_model: Any) -> None:
    at_once, in_turn = (make_model("model", config, backend) for _ in range(2))
    at_once.prune_heads({0: [0, 2]})
    in_turn.prune_heads({0: [0]}).prune_heads({0: [0, 2]})
    assert in_turn.config.pruned_heads == at_once.config.pruned_heads == {0: [0, 2]}
    one, other = at_once.state_dict_numpy(), in_turn.state_dict_numpy()
    assert all(np.array_equal(one[name], other[name]) for name in one)
    assert one["encoder.layer.0.attention.self.query.weight"].shape == (7, 21)


def test_a_head_mask_of_full_size_still_fits_a_pruned_model(backend: str, config: Any, make_model: Any) -> None:
    model = make_model("model", config, backend).prune_heads({1: [0]})
    spec = make_model("model", config, "numpy", dtype="float64")
    mask = np.array([[1, 0.5, 0], [0.25, 1, 0.5]])
    permitted, _ = budgets(spec, {"input_ids": IDS, "head_mask": mask * [[1, 1, 1], [0, 1, 1]]}, "float32")
    found = flat_outputs(model(IDS, head_mask=mask))
    assert all(comparison.passed for comparison in compare_outputs(found, permitted))


@pytest.mark.parametrize(
    ("heads", "part"),
    [({2: [0]}, "layers in [0, 2)"), ({0: [3]}, "heads in [0, 3)"), ({0: [0, 1, 2]}, "no head left")],
    ids=["no such layer", "no such head", "none left"],
)
def test_heads_that_cannot_be_pruned_are_refused_and_the_model_stays(
    heads: Any, part: str, backend: str, config: Any, make_model: Any
) -> None:
    model = make_model("model", config, backend)
    before = model(IDS).numpy()["last_hidden_state"]
    with pytest.raises(ValueError, match="pruned_heads") as error:
        model.prune_heads(heads)
    assert part in str(error.value)
    assert np.array_equal(model(IDS).numpy()["last_hidden_state"], before)


@pytest.mark.parametrize("heads", [[0], 0, {0: 1}, {0: "1"}, {"0": [1]}, {0: [0.5]}, {0: ["a"]}, None], ids=repr)
def test_what_names_no_heads_is_refused_with_an_example(heads: Any, config: Any, make_model: Any) -> None:
    with pytest.raises(TypeError, match=r"prune_heads: required layer -> list of heads, such as \{0: \[1, 2\]\}, got "):
        make_model("model", config, "numpy").prune_heads(heads)


@pytest.mark.parametrize("heads", [{0: {1}}, {0: (1,)}, {np.int64(0): np.array([1])}, {0: range(1, 2)}], ids=repr)
def test_heads_come_in_any_collection(heads: Any, config: Any, make_model: Any) -> None:
    assert make_model("model", config, "numpy").prune_heads(heads).config.pruned_heads == {0: [1]}


@pytest.mark.hf
@pytest.mark.parametrize("head", ["model", "masked_lm", "multiple_choice"])
def test_pruning_gives_what_transformers_gives_and_loads_there(
    head: str, backend: str, make_config: Any, make_model: Any, tmp_path: Any
) -> None:
    import torch
    import transformers

    ours = make_model(head, make_config(), backend, dtype="float64")
    ours.save_pretrained(tmp_path / "whole")
    theirs = getattr(transformers, CLASS_NAMES[head])
    settings = {"dtype": torch.float64, "attn_implementation": "eager"}
    peer = theirs.from_pretrained(tmp_path / "whole", **settings).eval()
    peer.prune_heads({0: [2], 1: [0, 1]})  # it makes new layers of float32, whatever the model is; these hold as much
    ours.prune_heads({0: [2], 1: [0, 1]}).save_pretrained(tmp_path / "pruned")
    again = theirs.from_pretrained(tmp_path / "pruned", **settings).eval()
    ids = ids_of(head)
    got = ours(ids)[0]
    got = got.detach().numpy() if backend == "torch" else got
    with torch.no_grad():
        for model in (peer, again):
            wanted = model.double()(torch.from_numpy(ids))[0].numpy()
            assert np.abs(got - wanted).max() < 1e-10 * np.abs(wanted).max()
    loaded = FACES[head].from_pretrained(tmp_path / "pruned", backend=backend, dtype="float64", strict=True)
    assert loaded.config.pruned_heads == {0: [2], 1: [0, 1]}
    peer.save_pretrained(tmp_path / "theirs")
    from_theirs = FACES[head].from_pretrained(tmp_path / "theirs", backend=backend, dtype="float64", strict=True)
    one, other = loaded.state_dict_numpy(), from_theirs.state_dict_numpy()
    assert all(np.array_equal(one[name], other[name]) for name in one)


# -- counting ----------------------------------------------------------------------------------------------------------


@pytest.mark.hf
@HEAD
@pytest.mark.parametrize("exclude", [False, True])
def test_parameters_are_counted_as_transformers_counts_them(
    head: str, exclude: bool, backend: str, make_config: Any, make_model: Any
) -> None:
    import transformers

    config = make_config(position_embedding_type="relative_key", is_decoder=True, add_cross_attention=True)
    peer = getattr(transformers, CLASS_NAMES[head])(transformers.RobertaConfig(**config.to_dict()))
    model = make_model(head, config, backend)
    assert model.num_parameters(exclude_embeddings=exclude) == peer.num_parameters(exclude_embeddings=exclude)


@pytest.mark.torch
def test_frozen_parameters_are_left_out_where_only_trainable_ones_count(config: Any, make_model: Any) -> None:
    model = make_model("masked_lm", config, "torch")
    total = model.num_parameters()
    model.roberta.embeddings.word_embeddings.weight.requires_grad_(False)
    assert model.num_parameters() == total
    assert model.num_parameters(only_trainable=True) == total - 53 * 21


# -- the word table ----------------------------------------------------------------------------------------------------


def table_of(model: Any) -> Any:
    table = model.get_input_embeddings()
    return to_numpy(getattr(table, "weight", table))


@HEAD
def test_the_word_table_that_is_got_is_the_one_that_was_set(
    backend: str, head: str, config: Any, make_model: Any
) -> None:
    model = make_model(head, config, backend)
    new = np.random.default_rng(3).standard_normal((config.vocab_size, config.hidden_size)).astype(np.float32)
    model.set_input_embeddings(new)
    np.testing.assert_array_equal(table_of(model), new)
    if head in {"causal_lm", "masked_lm"}:
        np.testing.assert_array_equal(model.state_dict_numpy()["lm_head.decoder.weight"], new)


def test_the_word_table_of_one_model_can_be_given_to_another(backend: str, config: Any, make_model: Any) -> None:
    giver, taker = make_model("masked_lm", config, backend, seed=1), make_model("model", config, backend, seed=2)
    assert not np.array_equal(table_of(giver), table_of(taker))
    taker.set_input_embeddings(giver.get_input_embeddings())
    np.testing.assert_array_equal(table_of(giver), table_of(taker))


@pytest.mark.parametrize(
    "name", [pytest.param(n, marks=getattr(pytest.mark, n)) for n in ("torch", "tensorflow", "flax")]
)
def test_the_frameworks_own_embedding_layer_is_taken_for_its_table(name: str, config: Any, make_model: Any) -> None:
    layer, wanted = own_layer(name)
    for taker in (make_model("model", config, name), make_model("masked_lm", config, "numpy")):
        taker.set_input_embeddings(layer)
        np.testing.assert_array_equal(table_of(taker), wanted)


def own_layer(name: str) -> tuple[Any, Any]:
    """The framework's layer of 53 rows, and its table."""
    if name == "torch":
        import torch

        layer = torch.nn.Embedding(53, 21)
        return layer, layer.weight.detach().numpy()
    if name == "tensorflow":
        import keras

        layer = keras.layers.Embedding(53, 21)
        layer.build()
        return layer, layer.embeddings.numpy()
    from flax import nnx

    layer = nnx.Embed(53, 21, rngs=nnx.Rngs(0))
    return layer, np.asarray(layer.embedding[...])


@pytest.mark.parametrize("value", ["x", None, 5, object()], ids=["text", "none", "number", "object"])
def test_what_has_no_table_is_refused(value: Any, config: Any, make_model: Any) -> None:
    for verb in ("set_input_embeddings", "set_output_embeddings"):
        with pytest.raises(TypeError, match=rf"{verb}: expected an array \(V, D\) or an embedding layer"):
            getattr(make_model("masked_lm", config, "numpy"), verb)(value)


def test_a_word_table_of_another_size_is_refused_with_the_way_to_change_it(
    backend: str, config: Any, make_model: Any
) -> None:
    model = make_model("masked_lm", config, backend)
    with pytest.raises(ValueError, match=r"\(V, D\) = \(53, 21\), got \(5, 21\).*resize_token_embeddings"):
        model.set_input_embeddings(np.zeros((5, config.hidden_size), np.float32))
