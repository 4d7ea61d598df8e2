"""Probes as folders: a port that knows nothing but the files passes, a wrong one fails, and damage is named."""

import json
import shutil

import ml_dtypes
import numpy as np
import pytest
import roberta
from roberta.dispatch.api import FACES
from roberta.dispatch.checkpoint import read_safetensors
from roberta.parity.cases import draw_case, small_config
from roberta.parity.folders.exporting import export
from roberta.parity.folders.folder import Folder, judge
from roberta.parity.probes.battery import battery
from roberta.parity.probes.probe import Probe
from roberta.parity.references import saved_head
from roberta.parity.tolerances import flat_outputs
from safetensors.numpy import save_file

NAMES = ("text", "padding on the left", "hidden states", "labels", "cache, padding on the left", "tiny sums")


@pytest.fixture(scope="module")
def model():
    case = draw_case("causal_lm", 0, is_decoder=True)
    return roberta.RobertaForCausalLM(case.config, backend="numpy", state=case.state)


@pytest.fixture(scope="module")
def exported(model, tmp_path_factory):
    probes = [probe for probe in battery("causal_lm", model.config) if probe.name in NAMES]
    return export(tmp_path_factory.mktemp("parity") / "folder", model, probes)


@pytest.fixture
def folder(exported, tmp_path):
    """A copy that may be spoiled."""
    return shutil.copytree(exported, tmp_path / "copy")


def port(folder):
    """What a port in another language does, with the engine in float32: outputs by the files alone."""
    manifest = json.loads((folder / "manifest.json").read_text())
    weights = read_safetensors(folder / "weights.safetensors")
    weights |= {name: weights[source] for name, source in manifest["weights"]["tied"].items()}
    config = roberta.RobertaConfig.from_dict(manifest["config"])
    written = {}
    for probe in manifest["probes"]:
        own = read_safetensors(folder / probe["folder"] / "weights.safetensors") if probe["has_weights"] else {}
        engine = FACES[manifest["head"]](config, backend="numpy", state={**weights, **own})
        given = read_safetensors(folder / probe["folder"] / "inputs.safetensors")
        written[probe["folder"]] = answers(engine, probe["calls"], given)
    return written


def answers(engine, calls, given):
    found, past = {}, None
    for number, call in enumerate(calls):
        inputs = {name.split(".")[1]: value for name, value in given.items() if name.startswith(f"{number}.")}
        inputs |= dict.fromkeys(call["asks"], True)
        output = engine(**inputs, past_key_values=past if call["continues"] else None)
        past = output.get("past_key_values")
        found |= {f"{number}.{name}": np.array(value, order="C") for name, value in flat_outputs(output).items()}
    return found


@pytest.fixture(scope="module")
def outputs(exported):
    return port(exported)


def write(outputs, where):
    where.mkdir(exist_ok=True)
    for name, tensors in outputs.items():
        save_file(tensors, where / f"{name}.safetensors")
    return where


def probe_of(exported, folder):
    return next(entry.name for entry in Folder(exported).probes if entry.folder == folder)


def verdicts(audit):
    return {finding.probe: finding.status for finding in audit.findings}


def test_a_port_that_reads_the_files_alone_passes(exported, outputs, tmp_path):
    audit = judge(exported, write(outputs, tmp_path / "outputs"))
    assert audit.passed
    assert verdicts(audit) == dict.fromkeys((f.probe for f in audit.findings), "passed")
    assert set(verdicts(audit)) == set(NAMES)
    assert all(finding.worst.extent < 1 and finding.worst.error > 0 for finding in audit.findings)
    assert audit.settings["dtype"] == "float32"
    assert audit.coverage()["cache"] == ("none", "continued")
    text = next(finding for finding in audit.findings if finding.probe == "text")
    assert text.tokens == (36, 3)


@pytest.mark.parametrize(
    "spoil",
    [
        lambda x: x * np.float32(1 + 1e-4),
        lambda x: np.roll(x, 1, 0),
        lambda x: x[..., :-1].copy(),
        lambda x: np.full_like(x, np.nan),
    ],
    ids=["scaled", "rolled", "cut", "NaN"],
)
def test_a_port_with_one_wrong_output_fails_in_that_probe_alone(exported, outputs, tmp_path, spoil):
    for folder, tensors in outputs.items():
        wrong = {**outputs, folder: {**tensors, "0.logits": spoil(tensors["0.logits"])}}
        audit = judge(exported, write(wrong, tmp_path / folder))
        assert not audit.passed
        failed = [f for f in audit.findings if f.status == "failed"]
        assert [(f.worst.name, f.probe) for f in failed] == [("0.logits", probe_of(exported, folder))]


def test_what_stands_at_padding_may_be_anything(exported, outputs, tmp_path):
    mask = read_safetensors(exported / "01-text" / "inputs.safetensors")["0.attention_mask"]
    logits = np.where(mask[..., None] == 1, outputs["01-text"]["0.logits"], np.nan)
    wrong = {**outputs, "01-text": {**outputs["01-text"], "0.logits": logits}}
    assert judge(exported, write(wrong, tmp_path / "padding")).passed
    logits = np.where(mask[..., None] == 0, outputs["01-text"]["0.logits"], np.nan)
    wrong["01-text"]["0.logits"] = logits
    assert not judge(exported, write(wrong, tmp_path / "real")).passed


def test_the_mean_square_is_judged_where_the_manifest_has_a_limit(folder, outputs, tmp_path):
    written = write(outputs, tmp_path / "outputs")
    manifest = json.loads((folder / "manifest.json").read_text())
    for limit, passes in ((10.0, True), (1e-3, False)):
        manifest["probes"][0]["calls"][0]["outputs"]["logits"]["rms_limit"] = limit
        (folder / "manifest.json").write_text(json.dumps(manifest))
        assert judge(folder, written).passed is passes


def test_what_is_not_there_is_not_passed(exported, outputs, tmp_path):
    nothing = judge(exported, write({}, tmp_path / "none"))
    assert not nothing.passed
    assert set(verdicts(nothing).values()) == {"not covered"}
    some = judge(exported, write({"01-text": outputs["01-text"]}, tmp_path / "some"))
    assert some.passed
    assert [finding.probe for finding in some.not_covered] == [name for name in verdicts(some) if name != "text"]
    without = {name: value for name, value in outputs["01-text"].items() if name != "0.logits"}
    lacking = judge(exported, write({"01-text": without}, tmp_path / "lacking"))
    assert verdicts(lacking)["text"] == "failed"
    assert "did not return it" in lacking.findings[0].worst.problem


def test_outputs_that_were_asked_for_are_required_and_others_are_judged_if_given(exported, outputs, tmp_path):
    (states,) = (name for name in outputs if name.endswith("hidden-states"))
    lacking = {name: value for name, value in outputs[states].items() if "hidden_states" not in name}
    assert not judge(exported, write({states: lacking}, tmp_path / "asked")).passed
    without_cache = {n: v for n, v in outputs["01-text"].items() if "past" not in n}
    assert judge(exported, write({"01-text": without_cache}, tmp_path / "less")).passed
    wrong = {**outputs["01-text"], "0.past_key_values.0.0": outputs["01-text"]["0.past_key_values.0.0"] + 1}
    assert not judge(exported, write({"01-text": wrong}, tmp_path / "more")).passed


def test_npz_and_other_floating_types_are_read(exported, outputs, tmp_path):
    (tmp_path / "npz").mkdir()
    np.savez(tmp_path / "npz" / "01-text.npz", **{n: v.astype(np.float64) for n, v in outputs["01-text"].items()})
    assert judge(exported, tmp_path / "npz").passed
    coarse = {name: value.astype(ml_dtypes.bfloat16) for name, value in outputs["01-text"].items()}
    audit = judge(exported, write({"01-text": coarse}, tmp_path / "coarse"))
    assert verdicts(audit)["text"] == "failed"  # read, and too coarse for float32
    assert audit.findings[0].worst.problem is None


@pytest.mark.parametrize(
    ("name", "part"),
    [
        ("01-text.safetensors", "damaged or no safetensors file"),
        ("01-text.npz", "no npz file: write it with numpy.savez"),
    ],
)
def test_a_file_that_cannot_be_read_is_broken(exported, tmp_path, name, part):
    (tmp_path / name).write_bytes(b"nonsense")
    audit = judge(exported, tmp_path)
    assert audit.findings[0].status == "broken"
    assert part in audit.findings[0].reason
    assert not audit.passed


@pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
def test_a_damaged_npz_is_broken(exported, outputs, tmp_path, save):
    path = tmp_path / "01-text.npz"
    save(path, **outputs["01-text"])
    content = bytearray(path.read_bytes())
    content[2000:2100] = 100 * b"?"
    path.write_bytes(content)
    finding = judge(exported, tmp_path).findings[0]
    assert finding.status == "broken"
    assert "01-text.npz cannot be read" in finding.reason


def test_names_that_the_truth_lacks_and_texts_are_broken(exported, outputs, tmp_path):
    misspelt = {**outputs["01-text"], "0.logit": outputs["01-text"]["0.logits"]}
    finding = judge(exported, write({"01-text": misspelt}, tmp_path / "misspelt")).findings[0]
    assert finding.status == "broken"
    assert "0.logit," in finding.reason
    (tmp_path / "texts").mkdir()
    np.savez(tmp_path / "texts" / "01-text.npz", **{"0.logits": np.array(["a"])})
    finding = judge(exported, tmp_path / "texts").findings[0]
    assert (finding.status, "required real numbers, got 0.logits of <U1" in finding.reason) == ("broken", True)


def test_files_of_no_probe_are_named(exported, outputs, tmp_path):
    with pytest.raises(ValueError, match=r"got '1-text'; did you mean 01-text.safetensors\?"):
        judge(exported, write({"1-text": outputs["01-text"]}, tmp_path / "misnamed"))
    write({"01-text": outputs["01-text"]}, tmp_path / "twice")
    (tmp_path / "twice" / "01-text.npz").touch()
    with pytest.raises(ValueError, match=r"required one file for each probe, got 01-text.npz as well"):
        judge(exported, tmp_path / "twice")
    with pytest.raises(FileNotFoundError, match="required a folder with the port's outputs"):
        judge(exported, tmp_path / "nowhere")


# -- damage ------------------------------------------------------------------------------------------------------------


def changed(change):
    def damage(folder):
        manifest = json.loads((folder / "manifest.json").read_text())
        change(manifest)
        (folder / "manifest.json").write_text(json.dumps(manifest))

    return damage


def flip(folder):
    content = bytearray((folder / "01-text/limit.safetensors").read_bytes())
    content[-1] ^= 1
    (folder / "01-text/limit.safetensors").write_bytes(content)


DAMAGES = {
    "no manifest": (lambda f: (f / "manifest.json").unlink(), FileNotFoundError, "found no manifest.json"),
    "no JSON": (lambda f: (f / "manifest.json").write_text("{"), ValueError, "manifest.json is damaged"),
    "a list": (lambda f: (f / "manifest.json").write_text("[]"), ValueError, "manifest.json is damaged"),
    "another version": (changed(lambda m: m.update(version=2)), ValueError, "required version 1 .* got 2"),
    "no head": (changed(lambda m: m.pop("head")), ValueError, "it lacks head"),
    "half a probe": (changed(lambda m: m["probes"][0].pop("calls")), ValueError, "damaged: KeyError"),
    "half a call": (changed(lambda m: m["probes"][0]["calls"][0].pop("asks")), ValueError, "damaged: TypeError"),
    "a missing file": (lambda f: (f / "01-text/truth.safetensors").unlink(), ValueError, "truth.* got no such file"),
    "a flipped bit": (flip, ValueError, "limit.safetensors is damaged: required SHA-256"),
    "a way out": (changed(lambda m: m["files"].update({"../x": "0"})), ValueError, "'../x', which lies outside"),
    "no hash": (
        changed(lambda m: m["files"].pop("01-text/truth.safetensors")), ValueError, "no hash of 01-text/truth",
    ),
}  # fmt: skip


@pytest.mark.parametrize(("damage", "error", "message"), DAMAGES.values(), ids=DAMAGES)
def test_a_damaged_folder_is_an_error_that_names_the_file(folder, outputs, tmp_path, damage, error, message):
    written = write(outputs, tmp_path / "outputs")
    assert judge(folder, written).passed
    damage(folder)
    with pytest.raises(error, match=message):
        judge(folder, written)


# -- writing -----------------------------------------------------------------------------------------------------------


def test_the_manifest_and_the_page_say_what_is_there(exported, model):
    manifest = json.loads((exported / "manifest.json").read_text())
    there = {path.relative_to(exported).as_posix() for path in exported.rglob("*") if path.is_file()}
    assert there == {*manifest["files"], "manifest.json", "README.md"}
    assert manifest["weights"]["tied"]["lm_head.decoder.bias"] == "lm_head.bias"
    assert manifest["head"] == "causal_lm"
    page = (exported / "README.md").read_text()
    assert all(f"`{probe['folder']}`" in page for probe in manifest["probes"])
    assert read_safetensors(exported / "weights.safetensors")["lm_head.bias"].dtype == np.float32
    tiny = next(probe for probe in manifest["probes"] if probe["name"] == "tiny sums")
    own = read_safetensors(exported / tiny["folder"] / "weights.safetensors")
    assert 0 < len(own) < len(model.table)


def test_limits_are_infinite_where_nothing_is_judged(exported):
    mask = read_safetensors(exported / "01-text" / "inputs.safetensors")["0.attention_mask"]
    limit = read_safetensors(exported / "01-text" / "limit.safetensors")["0.logits"]
    assert np.array_equal(np.isfinite(limit), np.broadcast_to(mask[..., None] == 1, limit.shape))


def test_a_checkpoint_is_exported_as_the_head_that_it_was_saved_as(model, tmp_path):
    model.save_pretrained(tmp_path / "checkpoint")
    assert saved_head(tmp_path / "checkpoint") == "causal_lm"
    probes = battery("causal_lm", model.config)[:1]
    written = export(tmp_path / "a", tmp_path / "checkpoint", probes)
    assert json.loads((written / "manifest.json").read_text())["head"] == "causal_lm"
    other = export(tmp_path / "b", tmp_path / "checkpoint", probes, head="token_classification")
    manifest = json.loads((other / "manifest.json").read_text())
    assert manifest["weights"]["seeded"] == ["classifier.weight", "classifier.bias"]
    config = json.loads((tmp_path / "checkpoint/config.json").read_text())
    del config["architectures"]
    (tmp_path / "checkpoint/config.json").write_text(json.dumps(config))
    with pytest.raises(ValueError, match=r"head: required one of \['model'.*name it"):
        export(tmp_path / "c", tmp_path / "checkpoint")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"dtype": "fp16"}, r"dtype: required one of \['float64'.*got 'fp16'"),
        ({"head": "masked"}, r"head: required one of .*got 'masked'"),
        ({"head": "model"}, r"head: required 'causal_lm', the model's own, or None, got 'model'"),
    ],
)
def test_wrong_arguments_are_named(model, tmp_path, options, message):
    with pytest.raises(ValueError, match=message):
        export(tmp_path / "folder", model, **options)
    assert list(tmp_path.iterdir()) == []


def test_a_folder_with_something_in_it_is_left_as_it_is(model, tmp_path):
    (tmp_path / "mine").touch()
    with pytest.raises(FileExistsError, match="required a new or an empty folder"):
        export(tmp_path, model, battery("causal_lm", model.config)[:1])
    assert [path.name for path in tmp_path.iterdir()] == ["mine"]


def test_a_failure_while_exporting_leaves_nothing(model, tmp_path):
    broken = Probe("x", ("y",), battery("causal_lm", small_config(vocab_size=500, is_decoder=True))[1].calls)
    with pytest.raises(ValueError, match="input_ids"):
        export(tmp_path / "folder", model, [*battery("causal_lm", model.config)[:1], broken])
    assert list(tmp_path.iterdir()) == []
