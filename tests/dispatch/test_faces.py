"""One name for all engines, native classes, and subclasses of both."""

import copy
import pickle
import sys
import types
from dataclasses import FrozenInstanceError
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import roberta
from roberta import RobertaConfig
from roberta.dispatch import faces, registry
from roberta.dispatch.api import FACES
from roberta.reference.inputs import SIGNATURES
from roberta.reference.parameters import CLASS_NAMES

IDS = [[0, 5, 6, 2]]


class Doubled(roberta.RobertaForSequenceClassification):
    """A subclass as users of transformers write it: a constructor of its own, and `forward` overridden."""

    def __init__(self, config: RobertaConfig, factor: int = 2) -> None:
        super().__init__(config)
        self.factor = factor

    def forward(self, input_ids: Any, **inputs: Any) -> Any:
        return super().forward(input_ids, **inputs).logits * self.factor

    def get_config(self) -> dict[str, Any]:
        """What Keras asks its users to write where a constructor takes more."""
        return {**super().get_config(), "factor": self.factor}  # pyright: ignore[reportAttributeAccessIssue]

    def hello(self) -> str:
        return f"hello from {self.backend}"


# -- subclasses of a face ----------------------------------------------------------------------------------------------


def test_a_subclass_keeps_its_code_on_every_engine(backend: str, make_config: Any) -> None:
    config = make_config()
    mine = Doubled(config, backend=backend)
    plain = roberta.RobertaForSequenceClassification(config, backend=backend)
    assert isinstance(mine, Doubled)
    assert isinstance(mine, roberta.RobertaForSequenceClassification)
    assert isinstance(mine, type(plain))
    assert mine.hello() == f"hello from {backend}"
    wanted = 2 * plain(IDS).numpy()["logits"]
    assert np.array_equal(mine.engine.to_numpy(mine(IDS)), wanted)


def test_what_is_no_subclass_is_no_instance(backend: str, make_config: Any) -> None:
    plain = roberta.RobertaForSequenceClassification(make_config(), backend=backend)
    assert not isinstance(plain, Doubled)
    assert not isinstance(plain, roberta.RobertaForMaskedLM)


def test_a_subclass_is_loaded_and_converted_as_itself(backend: str, make_config: Any, tmp_path: Path) -> None:
    mine = Doubled(make_config(), backend="numpy")
    mine.save_pretrained(tmp_path)
    loaded = Doubled.from_pretrained(tmp_path, backend=backend)
    assert loaded.factor == 2
    assert loaded.backend == backend
    state, wanted = loaded.state_dict_numpy(), mine.state_dict_numpy()
    assert all(np.array_equal(state[name], wanted[name]) for name in wanted)


def test_a_model_of_a_subclass_survives_pickle_and_copy(backend: str, make_config: Any) -> None:
    mine = Doubled(make_config(), 3, backend=backend)
    for other in (pickle.loads(pickle.dumps(mine)), copy.deepcopy(mine)):  # noqa: S301  # our own bytes
        assert type(other) is type(mine)
        assert other.factor == 3
        assert np.array_equal(other.engine.to_numpy(other(IDS)), mine.engine.to_numpy(mine(IDS)))


@pytest.mark.torch
def test_what_a_subclass_adds_is_saved_and_loaded_on_pytorch(make_config: Any, tmp_path: Path) -> None:
    torch = pytest.importorskip("torch")

    class WithExtra(roberta.TorchRobertaModel):
        def __init__(self, config: RobertaConfig) -> None:
            super().__init__(config)
            self.extra = torch.nn.Linear(config.hidden_size, 2)

    mine = WithExtra(make_config())
    assert {"extra.weight", "extra.bias"} <= set(mine.state_dict_numpy())
    assert mine.num_parameters() == sum(p.numel() for p in mine.parameters())
    mine.save_pretrained(tmp_path)
    loaded = WithExtra.from_pretrained(tmp_path, strict=True)
    assert loaded.load_report.unexpected == ()
    assert torch.equal(loaded.extra.weight, mine.extra.weight)
    with pytest.raises(TypeError, match=r"extra\.weight, extra\.bias"):
        mine.resize_token_embeddings(60)
    with pytest.raises(TypeError, match=r"to_backend: .*extra\.weight, extra\.bias"):
        mine.to_backend("numpy")


@pytest.mark.flax
def test_what_a_subclass_adds_is_saved_and_loaded_on_flax(make_config: Any, tmp_path: Path) -> None:
    nnx = pytest.importorskip("flax.nnx")

    class WithExtra(roberta.FlaxRobertaModel):
        def __init__(self, config: RobertaConfig) -> None:
            super().__init__(config)
            self.extra = nnx.Linear(config.hidden_size, 2, rngs=nnx.Rngs(0))

    mine = WithExtra(make_config())
    mine.extra.kernel.set_value(mine.extra.kernel[...] + 1)
    mine.save_pretrained(tmp_path)
    loaded = WithExtra.from_pretrained(tmp_path, strict=True)
    assert np.array_equal(loaded.extra.kernel[...], mine.extra.kernel[...])


@pytest.mark.tensorflow
def test_what_a_subclass_adds_is_not_lost_without_a_word_on_keras(make_config: Any, tmp_path: Path) -> None:
    keras = pytest.importorskip("keras")

    class WithExtra(roberta.TFRobertaModel):
        def __init__(self, config: RobertaConfig) -> None:
            super().__init__(config)
            self.extra = keras.layers.Dense(2)
            self.extra.build((None, config.hidden_size))

    with pytest.raises(TypeError, match=r"dense/kernel.*model\.save\("):
        WithExtra(make_config()).save_pretrained(tmp_path)


def test_a_subclass_of_a_native_class_stays_on_its_engine(make_config: Any) -> None:
    class Mine(roberta.NumpyRobertaModel):
        pass

    assert isinstance(Mine(make_config()), Mine)
    with pytest.raises(TypeError, match=r"Mine: required its own engine, 'numpy', got 'torch'.*RobertaModel"):
        Mine(make_config(), backend="torch")


@pytest.mark.parametrize("name", ["head", "engine", "table"])
def test_names_of_the_models_own_are_refused(name: str, make_config: Any) -> None:
    class Mine(roberta.NumpyRobertaModel):
        def __init__(self, config: RobertaConfig) -> None:
            super().__init__(config)
            setattr(self, name, 3)

    with pytest.raises(TypeError, match=rf"Mine: '{name}' is a name of the model's own; call yours my_{name}"):
        Mine(make_config())
    with pytest.raises(TypeError, match=rf"required a class without '{name}'"):
        type("Other", (roberta.RobertaModel,), {name: 3})


def test_a_constructor_with_arguments_of_its_own_is_loaded_and_converted(
    backend: str, make_config: Any, tmp_path: Path
) -> None:
    class Mine(roberta.RobertaModel):
        def __init__(self, config: RobertaConfig, factor: int = 2) -> None:
            super().__init__(config, dtype="float64", add_pooling_layer=False)
            self.factor, self.config = factor, config

    mine = Mine(make_config(), backend=backend)
    mine.save_pretrained(tmp_path)
    loaded = Mine.from_pretrained(tmp_path, backend=backend, factor=5, strict=True)
    assert (loaded.factor, loaded.dtype_name, loaded.load_report.missing) == (5, "float64", ())
    assert "pooler_output" not in loaded(IDS)
    assert "pooler_output" not in loaded.to_backend("numpy")(IDS)
    with pytest.raises(TypeError, match="a constructor of its own"):
        loaded.resize_token_embeddings(60)


@pytest.mark.flax
def test_layers_of_nnx_follow_the_mode_and_keep_their_statistics(make_config: Any, tmp_path: Path) -> None:
    nnx = pytest.importorskip("flax.nnx")

    class Mine(roberta.FlaxRobertaModel):
        def __init__(self, config: RobertaConfig) -> None:
            super().__init__(config)
            self.drop, self.norm = nnx.Dropout(0.9, rngs=nnx.Rngs(0)), nnx.BatchNorm(3, rngs=nnx.Rngs(0))

    mine = Mine(make_config())
    assert (mine.drop.deterministic, mine.norm.use_running_average) == (True, True)
    assert mine.train().drop.deterministic is False
    mine.norm.mean.set_value(mine.norm.mean[...] + 5)
    mine.save_pretrained(tmp_path)
    assert float(Mine.from_pretrained(tmp_path).norm.mean[0]) == 5


# -- native classes ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("head", FACES)
def test_a_native_class_is_a_subclass_of_its_face_and_goes_by_its_name(head: str, backend: str) -> None:
    native = FACES[head].on(backend)
    assert issubclass(native, FACES[head])
    assert getattr(roberta, native.__name__) is native
    assert pickle.loads(pickle.dumps(native)) is native  # noqa: S301  # our own bytes
    assert native.__doc__


@pytest.mark.parametrize("head", FACES)
def test_written_signatures_are_those_of_the_table(head: str) -> None:
    import inspect

    shown = inspect.signature(FACES[head].__call__).parameters
    assert tuple(shown)[1:] == SIGNATURES[head]
    assert FACES[head].__name__ == CLASS_NAMES[head]


def test_a_third_partys_model_can_be_pickled(monkeypatch: pytest.MonkeyPatch, make_config: Any) -> None:
    engine = types.ModuleType("somebodys_engine")
    numpy_engine = registry.load("numpy")
    vars(engine).update({name: getattr(numpy_engine, name) for name in registry.INTERFACE})
    monkeypatch.setitem(sys.modules, "somebodys_engine", engine)
    known = registry.backends()
    known["somebodys"] = registry.Backend("somebodys", "somebodys_engine", "numpy", "pip install somebodys")
    monkeypatch.setattr(registry, "backends", lambda: known)
    model = roberta.RobertaForMaskedLM(make_config(), backend="somebodys")
    other = pickle.loads(pickle.dumps(model))  # noqa: S301  # our own bytes
    assert type(other) is type(model)
    assert type(other).__name__ == "SomebodysRobertaForMaskedLM"
    assert np.array_equal(other(IDS).logits, model(IDS).logits)


def test_the_metaclass_of_a_framework_is_joined_once(backend: str) -> None:
    native = registry.load(backend).HEADS["model"]
    assert faces.metaclass_of(native) is faces.metaclass_of(native)
    assert isinstance(FACES["model"].on(backend), faces.Face)


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        (lambda: roberta.RobertaModel(), r"required a RobertaConfig, got NoneType.*from_pretrained\(folder\)"),
        (
            lambda: roberta.RobertaModel(RobertaConfig(11, 4, 1, 2, 7), sed=3),
            r"unknown option 'sed'.*Did you mean 'seed'",
        ),
        (lambda: roberta.RobertaModel.from_pretrained("austen", bakend="torch"), r"'bakend'\. Did you mean 'backend'"),
        (
            lambda: roberta.RobertaModel.from_pretrained("austen", hiden_act="relu"),
            r"'hiden_act'\. Did you mean 'hidden_act'",
        ),
        (lambda: roberta.RobertaModel.from_pretrained("austen", from_tf=True), r"'from_tf'\. Leave it out"),
        (lambda: roberta.RobertaModel.from_pretrained("austen", state={}), r"unknown argument 'state'"),
    ],
)
def test_what_is_misspelt_is_told_with_the_nearest_name(wrong: Any, said: str) -> None:
    with pytest.raises(TypeError, match=said):
        wrong()


def test_the_older_name_of_dtype_is_the_dtype() -> None:
    options: Any = {"torch_dtype": "float64"}
    assert roberta.RobertaForMaskedLM.from_pretrained("austen", backend="numpy", **options).dtype == "float64"


# -- a model and its configuration -------------------------------------------------------------------------------------


@pytest.mark.parametrize("head", FACES)
def test_a_fresh_model_has_dropout_off_on_every_engine(head: str, backend: str, make_config: Any) -> None:
    overrides = {"num_labels": 2} if head == "question_answering" else {}
    model = FACES[head](make_config(hidden_dropout_prob=0.5, **overrides), backend=backend)
    assert model.training is False
    rows = [IDS] if head == "multiple_choice" else IDS
    once, again = (next(iter(model(rows).numpy().values())) for _ in range(2))
    assert np.array_equal(once, again)
    assert model.train().training is True


def test_the_configuration_of_a_model_cannot_be_edited(backend: str, make_config: Any) -> None:
    model = roberta.RobertaForTokenClassification(make_config(num_labels=3), backend=backend)
    with pytest.raises(FrozenInstanceError, match=r"num_labels: .* stays 3\. .*config\.replace\(num_labels=5\)"):
        model.config.num_labels = 5
    with pytest.raises(FrozenInstanceError, match=r"layer_norm_eps"):
        model.config.layer_norm_eps = 1e-12
    with pytest.raises(FrozenInstanceError, match=r"config\.replace"):
        model.config.id2label[7] = "another"
    with pytest.raises(FrozenInstanceError, match=r"config\.replace"):
        model.config.pruned_heads[0] = [0]
    with pytest.raises(FrozenInstanceError, match=r"config\.replace"):
        del model.config.num_attention_heads
    with pytest.raises(ValueError, match="problem_type"):
        model.config.problem_type = "junk"
    with pytest.raises(FrozenInstanceError, match="hidden_size"):
        model.config.update({"use_cache": False, "hidden_size": 7})
    assert model.config.use_cache is True
    with pytest.raises(AttributeError, match=r"config: .*config\.replace"):
        model.config = make_config()
    assert model(IDS).numpy()["logits"].shape == (1, 4, 3)


def test_what_a_model_reads_at_each_call_can_be_edited(backend: str, make_config: Any) -> None:
    model = roberta.RobertaForTokenClassification(make_config(num_labels=2), backend=backend)
    model.config.output_hidden_states = True
    model.config.id2label = {"0": "no", "1": "yes"}
    assert (model.config.id2label[1], model.config.label2id["yes"]) == ("yes", 1)
    assert "hidden_states" in model(IDS)
    assert model.config.replace(num_labels=5).num_labels == 5


def test_the_configuration_stays_frozen_when_sizes_change_and_in_copies(backend: str, make_config: Any) -> None:
    config = make_config()
    model = roberta.RobertaForMaskedLM(config, backend=backend)
    model.resize_token_embeddings(config.vocab_size + 2)
    assert model.config.vocab_size == config.vocab_size + 2
    for same in (model, copy.deepcopy(model), pickle.loads(pickle.dumps(model))):  # noqa: S301  # our own bytes
        assert same.config.is_frozen
    config.vocab_size = 7  # the caller's own stays free
