"""Files: what is written, what is read, what is said of files that lack, contradict or are damaged."""

import json
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import roberta
from roberta.dispatch import checkpoint
from roberta.dispatch.api import FACES
from roberta.files import places
from roberta.reference.parameters import CLASS_NAMES, HEADS, parameter_table
from safetensors import safe_open
from safetensors.numpy import load_file, save_file

HEAD = pytest.mark.parametrize("head", HEADS)
IDS = np.arange(2, 17).reshape(3, 5)
WORD, DECODER = "roberta.embeddings.word_embeddings.weight", "lm_head.decoder.weight"


def load(head: str, folder: Path, backend: str = "numpy", **options: Any) -> Any:
    return FACES[head].from_pretrained(folder, backend=backend, **options)


def same(one: Any, other: Any) -> bool:
    one, other = one.state_dict_numpy(), other.state_dict_numpy()
    return list(one) == list(other) and all(np.array_equal(one[n], other[n]) for n in one)


@pytest.fixture
def folder(tmp_path: Path, config: Any, make_model: Any) -> Path:
    """A saved masked language model."""
    make_model("masked_lm", config, "numpy").save_pretrained(tmp_path)
    return tmp_path


def rewrite(folder: Path, change: Any) -> None:
    """Change the tensors of a checkpoint."""
    tensors = load_file(folder / checkpoint.WEIGHTS)
    save_file(change(tensors), folder / checkpoint.WEIGHTS, metadata={"format": "pt"})


# -- round trips -------------------------------------------------------------------------------------------------------


@HEAD
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("kind", ["absolute", "relative_key"])
def test_what_is_saved_is_loaded_to_the_bit(
    head: str, dtype: str, kind: str, backend: str, make_config: Any, make_model: Any, tmp_path: Path
) -> None:
    config = make_config(position_embedding_type=kind, is_decoder=True, layer_norm_eps=3e-7)
    model = make_model(head, config, backend, dtype=dtype)
    model.save_pretrained(tmp_path)
    again = load(head, tmp_path, backend, dtype=dtype, strict=True)
    assert same(again, model)
    assert (again.dtype_name, again.training) == (dtype, False)
    assert again.config == model.config.replace(architectures=[CLASS_NAMES[head]], dtype=dtype)
    report = again.load_report
    assert (report.missing, report.unexpected, report.mismatched, report.random_outputs) == ((), (), (), ())
    assert set(report.loaded) == {name for name, p in model.table.items() if p.tied_to is None}


@pytest.mark.torch
@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_half_precision_files_are_read_by_every_engine_and_kept_by_those_that_can(
    dtype: str, config: Any, make_model: Any, tmp_path: Path
) -> None:
    import torch

    model = make_model("masked_lm", config, "torch", dtype=dtype)
    model.save_pretrained(tmp_path)
    assert json.loads((tmp_path / "config.json").read_text())["dtype"] == dtype
    with safe_open(tmp_path / checkpoint.WEIGHTS, framework="pt") as file:
        stored = file.get_tensor(WORD)
    assert torch.equal(stored, model.roberta.embeddings.word_embeddings.weight)
    for backend in ("numpy", "torch"):
        assert same(load("masked_lm", tmp_path, backend), model.to_backend(backend, "float32"))
    kept = load("masked_lm", tmp_path, "torch", dtype="auto")
    assert kept.dtype_name == dtype
    assert same(kept, model)
    with pytest.raises(ValueError, match=rf"numpy backend computes in .*got '{dtype}'"):
        load("masked_lm", tmp_path, "numpy", dtype="auto")


def test_a_file_is_laid_out_as_hf_lays_it_out(folder: Path, config: Any) -> None:
    assert sorted(path.name for path in folder.iterdir()) == ["config.json", "model.safetensors"]
    with safe_open(folder / checkpoint.WEIGHTS, framework="numpy") as file:
        assert file.metadata() == {"format": "pt"}
        table = parameter_table("masked_lm", config)
        assert set(file.keys()) == {name for name, p in table.items() if p.tied_to is None}
    written = json.loads((folder / "config.json").read_text())
    assert (written["architectures"], written["model_type"]) == (["RobertaForMaskedLM"], "roberta")


def test_a_failure_while_writing_leaves_the_old_checkpoint(
    folder: Path, config: Any, make_model: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = {path.name: path.read_bytes() for path in folder.iterdir()}

    def fail(_handle: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", fail)
    with pytest.raises(OSError, match="No space left"):
        make_model("masked_lm", config, "numpy", seed=1).save_pretrained(folder)
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before


def test_saving_makes_folders_and_says_where_a_file_is_in_the_way(folder: Path, config: Any, make_model: Any) -> None:
    model = make_model("model", config, "numpy")
    model.save_pretrained(folder / "a" / "b")
    assert same(load("model", folder / "a" / "b"), model)
    with pytest.raises(NotADirectoryError, match=r"config.json is a file; a folder is needed"):
        model.save_pretrained(folder / "config.json")


def test_saving_changes_no_model(folder: Path, backend: str, config: Any, make_model: Any) -> None:
    model = make_model("masked_lm", config, backend)
    before = model.config.to_dict()
    model.save_pretrained(folder)
    assert model.config.to_dict() == before


# -- one checkpoint, other heads ---------------------------------------------------------------------------------------


@HEAD
def test_a_bare_models_file_fits_every_head(
    head: str, backend: str, config: Any, make_model: Any, tmp_path: Path
) -> None:
    body = make_model("model", config, "numpy")
    body.save_pretrained(tmp_path)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model = load(head, tmp_path, backend)
    state, wanted = model.state_dict_numpy(), body.state_dict_numpy()
    prefix = "" if head == "model" else "roberta."
    shared = [name for name in wanted if prefix + name in state]
    assert len(shared) >= len(wanted) - 2  # the pooler has no use in most heads
    assert all(np.array_equal(state[prefix + name], wanted[name]) for name in shared)
    report = model.load_report
    assert set(report.missing) == {n for n, p in model.table.items() if not n.startswith(prefix) and not p.tied_to}
    assert set(report.unexpected) == {name for name in wanted if prefix + name not in state}


@HEAD
def test_every_heads_file_fits_the_bare_model(
    head: str, backend: str, config: Any, make_model: Any, tmp_path: Path
) -> None:
    source = make_model(head, config, "numpy")
    source.save_pretrained(tmp_path)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model = load("model", tmp_path, backend)
    prefix = "" if head == "model" else "roberta."
    state, wanted = model.state_dict_numpy(), source.state_dict_numpy()
    assert all(np.array_equal(state[n], wanted[prefix + n]) for n in state if prefix + n in wanted)
    has_pooler = head in {"model", "multiple_choice"}
    assert model.load_report.missing == (() if has_pooler else ("pooler.dense.weight", "pooler.dense.bias"))
    without = load("model", tmp_path, backend, add_pooling_layer=False, strict=True)
    assert without.load_report.missing == ()


def test_language_models_exchange_their_files(folder: Path, backend: str) -> None:
    masked, causal = load("masked_lm", folder, backend), load("causal_lm", folder, backend, strict=True)
    assert same(masked, causal)


def test_missing_parameters_are_warned_of_with_the_outputs_that_they_spoil(folder: Path, backend: str) -> None:
    with pytest.warns(UserWarning, match=r"lacks 2 parameters \(classifier.weight, classifier.bias\).*train.*: logits"):
        model = load("token_classification", folder, backend)
    assert model.load_report.random_outputs == ("logits",)
    with pytest.warns(UserWarning, match=r"RobertaModel: .* lacks 2 parameters .*pooler_output"):
        assert load("model", folder, backend).load_report.random_outputs == ("pooler_output",)
    with pytest.warns(UserWarning, match="start_logits, end_logits"):
        load("question_answering", folder, backend)


def test_a_missing_body_spoils_everything(folder: Path, backend: str) -> None:
    rewrite(folder, lambda tensors: {n: v for n, v in tensors.items() if "layer.1.output.dense" not in n})
    with pytest.warns(UserWarning, match="lacks 2 parameters"):
        model = load("masked_lm", folder, backend)
    assert model.load_report.random_outputs == ("logits", "hidden_states")
    assert "missing: roberta.encoder.layer.1.output.dense.weight" in str(model.load_report)


def test_strictness_makes_an_error_of_what_is_missing(folder: Path, backend: str) -> None:
    with pytest.raises(ValueError, match="lacks 2 parameters"):
        load("token_classification", folder, backend, strict=True)


@pytest.mark.filterwarnings("ignore:.*lacks 2 parameters")
def test_a_seed_draws_missing_parameters_alike_on_every_engine(folder: Path, backend: str) -> None:
    one, spec = (load("token_classification", folder, b, seed=7) for b in (backend, "numpy"))
    other = load("token_classification", folder, backend, seed=8)
    assert same(one, spec)
    assert not same(one, other)


# -- ties and spellings ------------------------------------------------------------------------------------------------


def test_the_word_table_wins_over_the_decoders_weight(folder: Path, backend: str) -> None:
    rewrite(folder, lambda tensors: {**tensors, DECODER: tensors[WORD] + 1})
    word = load_file(folder / checkpoint.WEIGHTS)[WORD]
    state = load("masked_lm", folder, backend, strict=True).state_dict_numpy()
    assert np.array_equal(state[WORD], word)
    assert np.array_equal(state[DECODER], word)


def test_the_decoders_weight_stands_in_for_a_missing_word_table(folder: Path, backend: str) -> None:
    rewrite(folder, lambda tensors: {(DECODER if n == WORD else n): v for n, v in tensors.items()})
    word = load_file(folder / checkpoint.WEIGHTS)[DECODER]
    assert np.array_equal(load("masked_lm", folder, backend, strict=True).state_dict_numpy()[WORD], word)


def test_the_decoders_bias_wins_over_the_heads(folder: Path, backend: str) -> None:
    rewrite(folder, lambda tensors: {**tensors, "lm_head.decoder.bias": tensors["lm_head.bias"] + 1})
    bias = load_file(folder / checkpoint.WEIGHTS)["lm_head.decoder.bias"]
    state = load("masked_lm", folder, backend, strict=True).state_dict_numpy()
    assert np.array_equal(state["lm_head.bias"], bias)
    assert np.array_equal(state["lm_head.decoder.bias"], bias)


def test_an_untied_decoder_keeps_its_own_weight(folder: Path, backend: str) -> None:
    rewrite(folder, lambda tensors: {**tensors, DECODER: tensors[WORD] + 1})
    model = load("masked_lm", folder, backend, strict=True, tie_word_embeddings=False)
    state = model.state_dict_numpy()
    assert np.array_equal(state[DECODER], state[WORD] + 1)
    model.save_pretrained(folder / "again")
    assert DECODER in load_file(folder / "again" / checkpoint.WEIGHTS)


def test_old_names_of_layer_norms_are_read_and_buffers_passed_over(folder: Path, backend: str) -> None:
    wanted = load("masked_lm", folder, backend)

    def as_of_old(tensors: Any) -> Any:
        spelled = {
            n.replace("LayerNorm.weight", "LayerNorm.gamma").replace("LayerNorm.bias", "LayerNorm.beta"): v
            for n, v in tensors.items()
        }
        return {**spelled, "roberta.embeddings.position_ids": np.arange(23)[None]}

    rewrite(folder, as_of_old)
    model = load("masked_lm", folder, backend, strict=True)
    assert same(model, wanted)
    assert model.load_report.unexpected == ()
    converted = model.load_report.converted
    assert converted["roberta.embeddings.LayerNorm.gamma"] == "roberta.embeddings.LayerNorm.weight"
    assert len(converted) == 10


def test_what_a_head_has_no_use_for_is_reported(folder: Path, backend: str) -> None:
    rewrite(folder, lambda tensors: {**tensors, "somebody.elses": np.zeros(3, np.float32)})
    report = load("masked_lm", folder, backend, strict=True).load_report
    assert report.unexpected == ("somebody.elses",)
    assert "unexpected: somebody.elses" in str(report)
    assert f"tied: {DECODER} = {WORD}" in str(report)


# -- contradictions ----------------------------------------------------------------------------------------------------


def test_weights_that_contradict_the_config_are_refused_with_both_shapes(folder: Path, backend: str) -> None:
    with pytest.raises(
        ValueError, match=r"(?s)contradicts its config.*word_embeddings.weight: the config says \(59, 21\)"
    ) as e:
        load("masked_lm", folder, backend, vocab_size=59)
    assert "the file has (53, 21)" in str(e.value)
    assert "ignore_mismatched_sizes=True" in str(e.value)


def test_another_number_of_labels_draws_the_classifier_anew_where_that_is_allowed(
    backend: str, make_config: Any, make_model: Any, tmp_path: Path
) -> None:
    source = make_model("token_classification", make_config(num_labels=7), "numpy")
    source.save_pretrained(tmp_path)
    assert load("token_classification", tmp_path, backend, strict=True).config.num_labels == 7
    with pytest.raises(ValueError, match=r"classifier.weight: the config says \(11, 21\), the file has \(7, 21\)"):
        load("token_classification", tmp_path, backend, num_labels=11)
    with pytest.warns(UserWarning, match=r"lacks 2 parameters \(classifier.weight, classifier.bias\)"):
        model = load("token_classification", tmp_path, backend, num_labels=11, ignore_mismatched_sizes=True)
    assert model.load_report.mismatched == ("classifier.weight", "classifier.bias")
    assert model(IDS).logits.shape == (3, 5, 11)
    assert np.array_equal(model.state_dict_numpy()[WORD], source.state_dict_numpy()[WORD])


def test_overrides_are_fields_and_anything_else_is_refused(folder: Path, backend: str) -> None:
    assert load("masked_lm", folder, backend, layer_norm_eps=0.5).config.layer_norm_eps == 0.5
    with pytest.raises(TypeError, match=r"unknown argument 'layer_norm_epsilon'.*'layer_norm_eps'"):
        load("masked_lm", folder, backend, layer_norm_epsilon=0.5)


def test_a_config_may_be_given_in_place_of_the_files(folder: Path, backend: str, make_config: Any) -> None:
    own = make_config(hidden_act="relu")
    model = load("masked_lm", folder, backend, config=own, layer_norm_eps=0.5)
    assert (model.config.hidden_act, model.config.layer_norm_eps, own.layer_norm_eps) == ("relu", 0.5, 1e-5)


# -- shards ------------------------------------------------------------------------------------------------------------


def shard(folder: Path, names: tuple[str, str] = ("model-1-of-2.safetensors", "model-2-of-2.safetensors")) -> None:
    tensors = load_file(folder / checkpoint.WEIGHTS)
    (folder / checkpoint.WEIGHTS).unlink()
    halves = [dict(list(tensors.items())[i::2]) for i in range(2)]
    for name, half in zip(names, halves, strict=True):
        save_file(half, folder / name)
    weight_map = {tensor: name for name, half in zip(names, halves, strict=True) for tensor in half}
    (folder / checkpoint.INDEX).write_text(json.dumps({"metadata": {"total_size": 1}, "weight_map": weight_map}))


def test_shards_are_put_together(folder: Path, backend: str) -> None:
    wanted = load("masked_lm", folder, backend)
    shard(folder)
    assert same(load("masked_lm", folder, backend, strict=True), wanted)


@pytest.mark.parametrize("path", ["../outside.safetensors", "a/../../outside.safetensors", "{absolute}"])
def test_an_index_that_leaves_its_folder_is_refused_though_the_file_is_there(folder: Path, path: str) -> None:
    inner = folder / "inner"
    load("masked_lm", folder).save_pretrained(inner)
    shard(inner)
    outside = folder / "outside.safetensors"
    save_file({"x": np.zeros(1)}, outside)
    index = json.loads((inner / checkpoint.INDEX).read_text())
    index["weight_map"]["lm_head.bias"] = path.format(absolute=outside)
    (inner / checkpoint.INDEX).write_text(json.dumps(index))
    with pytest.raises(ValueError, match=r"names '.*outside.safetensors', which lies outside the folder; do not trust"):
        load("masked_lm", inner)


def test_shards_may_be_links_as_in_the_hubs_cache(folder: Path, backend: str) -> None:
    wanted = load("masked_lm", folder, backend)
    snapshot, blobs = folder / "snapshot", folder / "blobs"
    wanted.save_pretrained(snapshot)
    shard(snapshot)
    blobs.mkdir()
    for path in list(snapshot.iterdir()):
        path.rename(blobs / path.name)
        path.symlink_to(Path("..") / "blobs" / path.name)
    assert same(load("masked_lm", snapshot, backend, strict=True), wanted)


def test_a_missing_shard_is_named(folder: Path) -> None:
    shard(folder)
    (folder / "model-2-of-2.safetensors").unlink()
    with pytest.raises(
        FileNotFoundError, match=r"names 'model-2-of-2.safetensors', which is missing; download or copy"
    ):
        load("masked_lm", folder)


@pytest.mark.parametrize("content", ["{", "[]", "{}", '{"weight_map": ["a"]}', '{"weight_map": {"x": 3}}'])
def test_an_index_that_is_none_says_what_it_should_be(folder: Path, content: str) -> None:
    shard(folder)
    (folder / checkpoint.INDEX).write_text(content)
    with pytest.raises(ValueError, match=r'index.json: required a JSON object with "weight_map": name -> file'):
        load("masked_lm", folder)


# -- options of saving -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("size", [7000, "7KB", "7.0 kB", "7000B"])
def test_what_is_too_large_for_a_file_is_written_in_shards_as_hf_writes_them(
    size: Any, backend: str, config: Any, make_model: Any, tmp_path: Path
) -> None:
    model = make_model("masked_lm", config, backend)
    model.save_pretrained(tmp_path, max_shard_size=size)
    index = json.loads((tmp_path / checkpoint.INDEX).read_text())
    shards = sorted(set(index["weight_map"].values()))
    count = len(shards)
    assert count > 3
    assert shards == [f"model-{i:05}-of-{count:05}.safetensors" for i in range(1, count + 1)]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["config.json", *shards, checkpoint.INDEX]
    tensors = {shard: load_file(tmp_path / shard) for shard in shards}
    sizes = {shard: sum(array.nbytes for array in part.values()) for shard, part in tensors.items()}
    assert all(total <= 7000 or len(tensors[shard]) == 1 for shard, total in sizes.items())
    assert {n: shard for shard, part in tensors.items() for n in part} == index["weight_map"]
    sources = [p for p in model.table.values() if p.tied_to is None]
    wanted = {"total_size": 4 * model.num_parameters(), "total_parameters": model.num_parameters()}
    assert (index["metadata"], len(index["weight_map"])) == (wanted, len(sources))
    assert same(load("masked_lm", tmp_path, backend, strict=True), model)


@pytest.mark.hf
def test_transformers_cuts_and_reads_shards_alike(config: Any, make_model: Any, tmp_path: Path) -> None:
    import transformers

    model = make_model("masked_lm", config, "torch")
    model.save_pretrained(tmp_path, max_shard_size="9KB")
    peer = transformers.RobertaForMaskedLM.from_pretrained(tmp_path)
    assert all(np.array_equal(peer.state_dict()[n].numpy(), a) for n, a in model.state_dict_numpy().items())
    peer.save_pretrained(tmp_path / "theirs", max_shard_size="9KB")
    ours, theirs = (json.loads((at / checkpoint.INDEX).read_text()) for at in (tmp_path, tmp_path / "theirs"))
    assert ours["metadata"] == theirs["metadata"]
    assert set(ours["weight_map"]) == set(theirs["weight_map"])
    assert same(load("masked_lm", tmp_path / "theirs", strict=True), load("masked_lm", tmp_path))


@pytest.mark.parametrize("sizes", [("7KB", "5GB"), ("5GB", "7KB"), ("7KB", "9KB"), ("9KB", "7KB"), ("7KB", "7KB")])
def test_a_later_checkpoint_leaves_nothing_of_an_earlier_one(
    sizes: tuple[str, str], config: Any, make_model: Any, tmp_path: Path
) -> None:
    first, second = (make_model("masked_lm", config, "numpy", seed=seed) for seed in range(2))
    (tmp_path / "model-notes.safetensors").touch()
    first.save_pretrained(tmp_path, max_shard_size=sizes[0])
    second.save_pretrained(tmp_path, max_shard_size=sizes[1])
    second.save_pretrained(tmp_path / "alone", max_shard_size=sizes[1])
    alone = {path.name for path in (tmp_path / "alone").iterdir()}
    assert {path.name for path in tmp_path.iterdir()} == {*alone, "alone", "model-notes.safetensors"}
    assert same(load("masked_lm", tmp_path, strict=True), second)


@pytest.mark.parametrize("sizes", [("5GB", "7KB"), ("7KB", "9KB"), ("7KB", "7KB")])
@pytest.mark.parametrize("count", range(7))
def test_an_interrupt_between_two_files_never_mixes_generations(
    sizes: tuple[str, str], count: int, config: Any, make_model: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second = (make_model("masked_lm", config, "numpy", seed=seed) for seed in range(2))
    first.save_pretrained(tmp_path, max_shard_size=sizes[0])
    moves = 0
    real = Path.replace

    def interrupted(self: Path, target: Any) -> Path:
        nonlocal moves
        if Path(target).parent == tmp_path:
            moves += 1
            if moves > count:
                raise KeyboardInterrupt
        return real(self, target)

    monkeypatch.setattr(Path, "replace", interrupted)
    with pytest.raises(KeyboardInterrupt):
        second.save_pretrained(tmp_path, max_shard_size=sizes[1])
    monkeypatch.undo()
    try:
        found = load("masked_lm", tmp_path, strict=True)
    except FileNotFoundError as error:
        assert "no weights in" in str(error)  # noqa: PT017  # either is right: nothing, or one whole generation
    else:
        assert same(found, first) or same(found, second)


@pytest.mark.parametrize(("size", "at"), [("7KB", 3), ("5GB", 2)], ids=["the third shard", "the config"])
def test_a_failure_while_one_of_the_files_is_written_leaves_the_old_checkpoint(
    size: str, at: int, folder: Path, config: Any, make_model: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    calls: list[int] = []

    def fail(handle: int) -> None:
        calls.append(handle)
        if len(calls) == at:
            raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", fail)
    with pytest.raises(OSError, match="No space left"):
        make_model("masked_lm", config, "numpy", seed=1).save_pretrained(folder, max_shard_size=size)
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before


def test_what_hf_can_be_told_is_taken_where_it_asks_for_nothing(folder: Path, config: Any, make_model: Any) -> None:
    neutral = {
        "safe_serialization": True,
        "push_to_hub": False,
        "variant": None,
        "token": None,
        "is_main_process": True,
    }
    model = make_model("masked_lm", config, "numpy", seed=1)
    model.save_pretrained(folder, max_shard_size="5GB", state_dict=None, **neutral)
    assert same(load("masked_lm", folder), model)


@pytest.mark.parametrize(
    ("option", "kind", "said"),
    [
        ({"safe_serialization": 3}, ValueError, 'safe_serialization: required True, got 3; .*format="pytorch"'),
        (
            {"format": "onnx"},
            ValueError,
            "format: required one of 'safetensors', 'pytorch', 'h5', 'msgpack', got 'onnx'",
        ),
        ({"dtype": "float8"}, ValueError, "dtype: required one of float32, .*got 'float8'"),
        ({"push_to_hub": "yes"}, ValueError, r"push_to_hub: required False, got 'yes'; type True .*repo_id="),
        ({"variant": "fp16"}, ValueError, "variant: required None, got 'fp16'; .*folder of its own"),
        ({"max_shard_sise": 3}, TypeError, "unknown option 'max_shard_sise'; .*Did you mean 'max_shard_size'"),
        ({"max_shard_size": "5 gigs"}, ValueError, "max_shard_size: required .*\"5GB\".*got '5 gigs'"),
        ({"max_shard_size": "1.2.3GB"}, ValueError, "max_shard_size: .*got '1.2.3GB'"),
        ({"max_shard_size": 0}, ValueError, "max_shard_size: .*got 0"),
        ({"max_shard_size": True}, ValueError, "max_shard_size: .*got True"),
        ({"max_shard_size": None}, ValueError, "max_shard_size: .*got None"),
    ],
    ids=repr,
)
def test_what_is_not_done_here_is_refused_before_anything_is_written(
    option: dict[str, Any], kind: type[Exception], said: str, config: Any, make_model: Any, tmp_path: Path
) -> None:
    with pytest.raises(kind, match=f"{said}"):
        make_model("masked_lm", config, "numpy").save_pretrained(tmp_path / "new", **option)
    assert not (tmp_path / "new").exists()


def test_only_the_main_process_writes(config: Any, make_model: Any, tmp_path: Path) -> None:
    make_model("masked_lm", config, "numpy").save_pretrained(tmp_path / "new", is_main_process=False)
    assert not (tmp_path / "new").exists()


def test_a_given_state_is_written_in_place_of_the_model_s(
    backend: str, config: Any, make_model: Any, tmp_path: Path
) -> None:
    model, other = make_model("masked_lm", config, backend), make_model("masked_lm", config, backend, seed=1)
    state = other.state_dict_numpy()
    model.save_pretrained(tmp_path, state_dict=state)
    assert same(load("masked_lm", tmp_path, backend, strict=True), other)
    for bad, said in (
        ({**state, "foo": state[WORD]}, r"save_pretrained: state_dict: .*no use for 1 \(foo\)"),
        ({name: state[name] for name in state if "dense" not in name}, "lacks"),
        ({**state, "lm_head.layer_norm.weight": np.ones(1, np.float32)}, r"the state has \(1,\)"),
        ({**state, "lm_head.layer_norm.weight": np.full(21, 1e300)}, "finite in float32"),
    ):
        with pytest.raises(ValueError, match=said):
            model.save_pretrained(tmp_path, state_dict=bad)
    assert same(load("masked_lm", tmp_path, backend, strict=True), other)


# -- damage and absence ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "damage",
    [lambda b: b"", lambda b: b[:100], lambda b: b[:-7], lambda b: b"PK" + b[2:], lambda b: b"\xff" * 64],
    ids=["empty", "cut in the header", "cut at the end", "another format", "noise"],
)
def test_a_damaged_file_is_named_with_what_to_do(folder: Path, damage: Any) -> None:
    path = folder / checkpoint.WEIGHTS
    path.write_bytes(damage(path.read_bytes()))
    with pytest.raises(ValueError, match=r"model.safetensors is damaged or no safetensors file .*download it again"):
        load("masked_lm", folder)


def test_a_folder_without_weights_lists_what_was_looked_for_and_what_is_there(folder: Path) -> None:
    (folder / checkpoint.WEIGHTS).rename(folder / "weights.bin")
    with pytest.raises(FileNotFoundError) as error:
        load("masked_lm", folder)
    for part in (checkpoint.WEIGHTS, checkpoint.INDEX, "config.json", "weights.bin", "tf_model.h5", "model.pt"):
        assert part in str(error.value)


def test_an_adapter_alone_says_what_to_do(folder: Path) -> None:
    (folder / checkpoint.WEIGHTS).unlink()
    (folder / "adapter_config.json").write_text("{}")
    with pytest.raises(FileNotFoundError, match=r"no weights in .*an adapter of PEFT: merge it into its model"):
        load("masked_lm", folder)


def test_a_folder_without_a_config_says_so(folder: Path) -> None:
    (folder / "config.json").unlink()
    with pytest.raises(FileNotFoundError, match=r"no config.json at .*give a folder that holds one"):
        load("masked_lm", folder)


def test_folders_below_that_have_a_config_are_named(folder: Path) -> None:
    """A trainer's folder has its checkpoints in it."""
    run = folder / "run"
    for name in ("checkpoint-4", "checkpoint-8"):
        (run / name).mkdir(parents=True)
        (run / name / "config.json").write_text("{}")
    with pytest.raises(FileNotFoundError, match=r"no config.json .*; those in it that do: checkpoint-4, checkpoint-8"):
        roberta.RobertaModel.from_pretrained(run)
    (run / "adapter_config.json").write_text("{}")
    with pytest.raises(FileNotFoundError, match=r"holds an adapter of PEFT; .*PeftModel.from_pretrained"):
        roberta.RobertaModel.from_pretrained(run)


@pytest.mark.parametrize("name", ["no_such_folder", "./no/such", "/no/such", "~/no_such"])
def test_a_checkpoint_that_is_nowhere_is_said_with_what_would_do(name: str) -> None:
    with pytest.raises(
        FileNotFoundError, match=rf"no checkpoint '{name}': give an existing folder or one of \['austen'"
    ):
        roberta.RobertaModel.from_pretrained(name)


def test_a_hub_id_without_its_client_says_how_to_get_that(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(places, "find_spec", lambda _: None)
    with pytest.raises(FileNotFoundError, match=r'no checkpoint \'some/model\'.*pip install "roberta\[hub\]"'):
        checkpoint.locate("some/model")


def test_the_hub_is_asked_for_the_revision_and_the_config_for_its_fields(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, make_config: Any
) -> None:
    hub = pytest.importorskip("huggingface_hub", reason="the extra `hub`")
    roberta.RobertaModel(make_config(), backend="numpy").save_pretrained(tmp_path / "inside")
    asked: dict[str, Any] = {}

    def download(repository: str, **options: Any) -> Path:
        asked.update(options)
        return tmp_path

    monkeypatch.setattr(hub, "snapshot_download", download)
    options: dict[str, Any] = {"revision": "v2", "token": "t", "local_files_only": True}
    model = roberta.RobertaModel.from_pretrained("some/model", subfolder="inside", hidden_act="relu", **options)
    assert {name: asked[name] for name in options} == options
    assert model.config.hidden_act == "relu"


def test_a_hub_that_fails_says_why(monkeypatch: pytest.MonkeyPatch) -> None:
    hub = pytest.importorskip("huggingface_hub", reason="the extra `hub`")

    def unreachable(*_args: object, **_options: object) -> None:
        raise OSError("no route to host")

    monkeypatch.setattr(hub.HfApi, "model_info", unreachable)
    with pytest.raises(OSError, match=r"'some/model' is neither a folder here nor .*no route to host"):
        checkpoint.locate("some/model")


def test_a_loaded_model_owns_its_numbers(folder: Path, backend: str) -> None:
    """They may lie in the file: what becomes of one model, or of the file, is nothing to another."""
    first, second = (roberta.RobertaForMaskedLM.from_pretrained(folder, backend=backend) for _ in range(2))
    before = (folder / "model.safetensors").read_bytes()
    state = {name: np.array(array) for name, array in first.state_dict_numpy().items()}
    first.load_state_dict_numpy({name: array + 1 for name, array in state.items()})
    assert (folder / "model.safetensors").read_bytes() == before
    first.save_pretrained(folder)
    for name, array in second.state_dict_numpy().items():
        np.testing.assert_array_equal(array, state[name])
        np.testing.assert_array_equal(first.state_dict_numpy()[name], state[name] + 1)


def test_a_state_that_was_given_is_copied(folder: Path, backend: str) -> None:
    config = roberta.RobertaConfig.from_pretrained(folder)
    state = checkpoint.read_tensors(folder)
    model = roberta.RobertaForMaskedLM(config, backend=backend, state=state)
    name = "lm_head.dense.bias"
    state[name][:] = 7
    assert not (model.state_dict_numpy()[name] == 7).any()
