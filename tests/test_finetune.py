"""`examples/finetune.py`: the tasks are what they say, every trainer learns, and all learn alike to within rounding."""

import importlib.util
import json
import sys
from functools import partial
from itertools import islice
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
import roberta
from roberta.parity.cases import draw_inputs, draw_state, small_config
from roberta.reference.parameters import parameter_table
from typer import Typer
from typer.testing import CliRunner

ROOT = Path(__file__).parent.parent
FRAMEWORKS = [pytest.param(name, marks=getattr(pytest.mark, name)) for name in ("torch", "tensorflow", "flax")]
LENGTH = 61
REASON = "I must go to the"
HEADS = {
    "classification": "sequence_classification",
    "choice": "multiple_choice",
    "tagging": "token_classification",
    "span": "question_answering",
    "causal": "causal_lm",
    "masked": "masked_lm",
}


def script(path: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location(path.stem, path)
    module = importlib.util.module_from_spec(spec)
    sys.modules[path.stem] = module  # dataclasses look their own module up
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def finetune() -> ModuleType:
    return script(ROOT / "examples" / "finetune.py")


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    """Two novels of 21 chapters each, of which one or two are held out; and a checkpoint to begin with."""
    folder = tmp_path_factory.mktemp("novels")
    rng = np.random.default_rng(0)
    for novel, place in (("one", "park"), ("two", "house")):
        chapters = [f"\n\nCHAPTER {number}\n\n{chapter(rng, place)}" for number in range(1, 22)]
        (folder / f"{novel}.txt").write_text("TITLE" + "".join(chapters), encoding="utf-8")
    texts = [(folder / f"{novel}.txt").read_text(encoding="utf-8") for novel in ("one", "two")]
    tokenizer = roberta.RobertaTokenizer.train(texts, 331, model_max_length=61)
    tokenizer.save_pretrained(folder / "checkpoint")
    config = small_config(vocab_size=len(tokenizer), max_position_embeddings=67, num_hidden_layers=1)
    state = draw_state(parameter_table("masked_lm", config), 0)
    roberta.RobertaForMaskedLM(config, state=state).save_pretrained(folder / "checkpoint")
    return folder


def chapter(rng: np.random.Generator, place: str) -> str:
    """Paragraphs of narration and speech."""
    paragraphs = []
    for _ in range(7):
        who, whom = rng.permutation(["Emma", "Mr. Darcy", "Miss Jane Fairfax", "Anne"])[:2]
        paragraphs.append(f"One day {who} walked to the {place}\nwith _{whom}_. The {place} was cold and wet.")
        paragraphs.append(f'They met {whom} there. "It is late. {REASON} {place}," said {who}, and left {whom}.')
    return "\n\n".join(paragraphs)


@pytest.fixture(scope="module")
def novels(finetune, folder):
    return finetune.read_novels(folder)


@pytest.fixture(scope="module")
def tasks(finetune, folder, novels):
    def build(name):
        tokenizer = roberta.RobertaTokenizer.from_pretrained(folder / "checkpoint", add_prefix_space=name == "tagging")
        return finetune.TASKS[name](novels, tokenizer, LENGTH, 0)

    return {name: build(name) for name in finetune.TASKS}


# -- text and tasks ----------------------------------------------------------------------------------------------------


def test_its_own_examples_hold(finetune):
    import doctest

    found = doctest.testmod(finetune)
    assert (found.failed, found.attempted > 5) == (0, True)


def test_every_20th_chapter_is_held_out(finetune, tmp_path):
    for number in range(5):
        chapters = "".join(f"\nChapter {n}\n{number} {n}" for n in range(1, 10))
        (tmp_path / f"{number}.txt").write_text(chapters, encoding="utf-8")
    novels = finetune.read_novels(tmp_path)
    assert [[c[0] for c in book] for book in novels.held_out] == [[], [], ["2 2"], [], ["4 4"]]
    assert sum(map(len, novels.training)) == 43


def test_the_checkpoint_s_training_held_out_the_same():
    """Of which chapters its figures tell: had it seen ours, the scores would be worth nothing."""
    figures = json.loads((ROOT / "checkpoints" / "austen" / "training.json").read_text(encoding="utf-8"))
    finetune = script(ROOT / "examples" / "finetune.py")
    assert figures["recipe"]["hold_out"] == finetune.HOLD_OUT
    folder = ROOT.parent / "shared" / "corpus" / "austen"
    if not folder.is_dir():
        pytest.skip(f"the novels are not at {folder}")
    novels = finetune.read_novels(folder)
    assert [sum(map(len, part)) for part in novels] == [figures["training_chapters"], figures["held_out_chapters"]]


def test_nothing_held_out_is_learned_from(novels, tasks):
    held_out = " ".join(" ".join(paragraphs) for book in novels.held_out for paragraphs in book)
    for name in ("classification", "tagging", "span"):
        for example in tasks[name].held_out:
            text = example.get("text") or example.get("context") or " ".join(example["words"])
            assert text in held_out.replace('"', "") if name == "span" else text in held_out
    assert all(len(task.training) > len(task.held_out) > 0 for name, task in tasks.items() if name != "masked")


def test_passages_are_the_chapter(finetune, novels):
    sentences = finetune.sentences_of(novels.training[0][0])
    text = " ".join(sentences)
    assert text == " ".join(novels.training[0][0])
    passages = [passage for _, passage in finetune.passages_of([novels.training[0][:1]], 60)]
    assert text.startswith(" ".join(passages))
    assert len(text) - len(" ".join(passages)) < 150
    assert all(60 <= len(passage) < 200 for passage in passages)
    overlapping = [passage for _, passage in finetune.passages_of([novels.training[0][:1]], 60, overlaps=True)]
    assert all(p.startswith(sentence) for p, sentence in zip(overlapping, sentences, strict=False))
    assert len(overlapping) > 2 * len(passages)


def test_the_true_sentence_is_among_the_choices(novels, tasks):
    paragraphs = [" ".join(paragraphs) for part in novels for book in part for paragraphs in book]
    labels = set()
    for example in tasks["choice"].training[:50]:
        labels.add(example["label"])
        assert len(example["choices"]) == 4
        assert any(f"{example['text']} {example['choices'][example['label']]}" in text for text in paragraphs)
    assert labels == {0, 1, 2, 3}


def test_names_are_tagged_with_their_titles(tasks):
    words = {
        (word.strip('.,"'), label)
        for example in tasks["tagging"].held_out
        for word, label in zip(example["words"], example["labels"], strict=True)
    }
    assert {("Mr", 1), ("Darcy", 2), ("Miss", 1), ("Jane", 2), ("Fairfax", 2), ("Emma", 1), ("One", 0)} <= words
    assert {label for word, label in words if word.islower()} == {0}


def test_the_question_s_answer_was_quoted(tasks):
    for example in tasks["span"].training:
        start, end = example["answer"]
        speaker = example["question"].removeprefix("What did ").removesuffix(" say first?")
        assert example["context"][start:end] in {f"It is late. {REASON} {place}," for place in ("park", "house")}
        assert example["context"][end:].startswith(f" said {speaker}")
        assert '"' not in example["context"]


def test_baselines_are_what_they_say(tasks):
    # One chapter of each novel: the commonest is right in half of the passages, up to how many there are.
    assert tasks["classification"].baseline[1] == pytest.approx(0.5, abs=0.1)
    assert tasks["choice"].baseline[1] == 0.25
    assert 0 < tasks["tagging"].baseline[1] < 1
    # Of "It is late. I must go to the park," the sentences go on to the full stop behind "and left …".
    assert 0.5 < tasks["span"].baseline[1] < 1
    assert 1 < tasks["causal"].baseline[1] < 30


def test_bigrams_with_a_pencil(finetune):
    """Three times 0 1: count(0 1) = count(0) = 3, and p(1) = (3 + 1) / (3 + 2). The least smooth one fits best."""
    assert finetune.bigram_perplexity([[0, 1]] * 3, [[0, 1]], 2) == pytest.approx((3 + 30) / (3 + 30 * 4 / 5))
    # Of what was never seen, p(0 | 1) = p(0) = 1 / 5, whatever k is.
    assert finetune.bigram_perplexity([[0, 1]] * 3, [[1, 0]], 2) == pytest.approx(5)


@pytest.mark.parametrize(
    ("found", "true", "value"),
    [([0, 1, 2], [0, 1, 2], 1), ([0, 1, 1], [0, 1, 2], 0.5), ([1, 0], [0, 1], 0), ([0], [0], 0)],
)
def test_f1(finetune, found, true, value):
    assert finetune.f1(np.array(found), np.array(true)) == value


def test_scores_of_a_model_that_knows(finetune, tasks):
    """Fed with logits that are the labels, each score is perfect."""
    for name in ("classification", "choice", "tagging", "masked"):
        task = tasks[name]

        def predict(batch):
            labels = np.maximum(batch["labels"], 0)
            return {"logits": np.eye(labels.max() + 1)[labels]}

        assert finetune.evaluate(task, predict) == 1.0
    eye = np.eye(LENGTH)

    def find(start, end):
        logits = lambda batch: {"start_logits": eye[batch[start]], "end_logits": eye[batch[end]]}  # noqa: E731
        return finetune.evaluate(tasks["span"], logits)

    assert find("start_positions", "end_positions") > 0.9  # where windows cut an answer, nobody can know
    assert find("end_positions", "end_positions") < 0.5
    loss = {"loss": np.log(7.0)}
    assert finetune.evaluate(tasks["causal"], lambda batch: loss) == pytest.approx(7)


def test_perplexity_weighs_tokens_not_batches(finetune):
    full, padded = ({"labels": np.array([labels])} for labels in ([0, 1, 1, 1], [0, 1, -100, -100]))
    rows = [([], full, {"loss": 1.0}), ([], padded, {"loss": 5.0})]
    assert finetune.perplexity(rows) == pytest.approx(np.exp((3 * 1.0 + 1 * 5.0) / 4))


def test_learning_rates_rise_and_fall(finetune):
    rates = finetune.learning_rates(2.0, 100)
    assert rates.max() == 2.0
    assert finetune.learning_rates(2.0, 15).max() == 2.0  # the second step would be above it
    assert (np.diff(rates[:10]) > 0).all()
    assert (np.diff(rates[10:]) < 0).all()
    assert rates[-1] > 0


# -- training ----------------------------------------------------------------------------------------------------------


def run(finetune: ModuleType, *arguments: object) -> str:
    app = Typer()
    app.command()(finetune.finetune)
    result = CliRunner().invoke(app, [str(argument) for argument in arguments], catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result.stdout


@pytest.mark.parametrize("backend", FRAMEWORKS)
def test_the_command_learns_and_leaves_a_checkpoint(finetune, folder, tmp_path, backend):
    options = ["--corpus", folder, "--checkpoint", folder / "checkpoint", "--length", 31, "--batch-size", 7]
    options += ["--steps", 30, "--learning-rate", 5e-3, "--output", tmp_path, "--json"]
    figures = json.loads(run(finetune, "--task", "classification", "--backend", backend, *options))
    assert np.mean(figures["losses"][-5:]) < np.mean(figures["losses"][:5]) / 2
    assert figures["score"] > figures["baseline"]
    model = roberta.RobertaForSequenceClassification.from_pretrained(tmp_path)
    assert model.load_report.missing == ()
    assert roberta.RobertaTokenizer.from_pretrained(tmp_path)("the park")["input_ids"]


# The tasks know no framework, and to compile takes long: all of them on one engine, and the one with two labels on all.
TAKEN = [pytest.param(task, "torch", marks=pytest.mark.torch) for task in HEADS if task != "span"]
TAKEN += [pytest.param("span", *parameter.values, marks=parameter.marks) for parameter in FRAMEWORKS]


@pytest.mark.parametrize(("task", "backend"), TAKEN)
def test_every_task_takes_its_steps(finetune, folder, tasks, task, backend):
    """The first loss is that of the spec, to the digits shown, and it falls."""
    todo = tasks[task]
    model = finetune.new_model(todo, folder / "checkpoint", backend, 0)
    assert model.head == HEADS[task]
    served = list(islice(finetune.batches(todo, 3, 0), 3))
    step, predict = finetune.TRAINERS[backend](model, finetune.learning_rates(1e-3, 3))
    spec = finetune.new_model(todo, folder / "checkpoint", "numpy", 0)
    expected = float(spec(**served[0]).loss)
    losses = [step(batch) for batch in served]
    assert losses[0] == pytest.approx(expected, rel=1e-5)
    assert np.isfinite(losses).all()
    assert float(predict(served[0])["loss"]) < losses[0]


@pytest.mark.parametrize(("option", "value"), [("--task", "poetry"), ("--backend", "numpy"), ("--corpus", "nowhere")])
def test_options_that_name_nothing_are_errors(finetune, folder, option, value):
    app = Typer()
    app.command()(finetune.finetune)
    given = {"--task": "causal", "--corpus": str(folder), "--checkpoint": str(folder / "checkpoint"), option: value}
    result = CliRunner().invoke(app, [part for pair in given.items() for part in pair])
    assert result.exit_code == 2
    assert f"{option}: expected" in " ".join(result.output.replace("│", " ").split())


# -- one way for all ---------------------------------------------------------------------------------------------------

STEPS, DRAWS = 50, 12


class Course:
    """A small training run: 50 steps on 10 batches in turn, of a head whose loss goes down by a factor."""

    def __init__(self, finetune: ModuleType) -> None:
        self.config = small_config(
            num_labels=3, num_hidden_layers=1, hidden_dropout_prob=0.0, attention_probs_dropout_prob=0.0
        )
        self.state = draw_state(parameter_table("sequence_classification", self.config), 0)
        self.batches = [draw_inputs("sequence_classification", self.config, 100 + at % 10) for at in range(STEPS)]
        self.rates = finetune.learning_rates(2e-3, STEPS)

    def make(self, backend: str = "torch", dtype: str = "float64"):
        model = partial(roberta.RobertaForSequenceClassification, self.config, state=self.state)
        return model(backend=backend, dtype=dtype)


@pytest.fixture(scope="module")
def curves() -> ModuleType:
    return script(ROOT / "benchmarks" / "curves.py")


@pytest.fixture(scope="module")
def course(finetune) -> Course:
    return Course(finetune)


@pytest.fixture(scope="module")
def budget(curves, course):
    return curves.curve_budget(course.make, course.batches, course.rates, DRAWS)


@pytest.mark.torch
def test_the_truth_s_update_rule_with_a_pencil(finetune, course):
    """AdamW as it is written (Loshchilov and Hutter 2019, algorithm 2), in NumPy and float64; only matrices decay.

    Parameters of size 1 and some thousand roundings of 2^-53: the least of the rule's constants moves them by far more.
    """
    model, twin = course.make(), course.make()
    step, _ = finetune.torch_trainer(model, course.rates)
    first, second = {}, {}
    for count, (batch, rate) in enumerate(zip(course.batches[:5], course.rates, strict=False), start=1):
        state = twin.state_dict_numpy()
        for name, gradient in twin.engine.gradients(twin, batch).items():
            first[name] = 0.9 * first.get(name, 0.0) + 0.1 * gradient
            second[name] = 0.98 * second.get(name, 0.0) + 0.02 * gradient**2
            moved = first[name] / (1 - 0.9**count) / (np.sqrt(second[name] / (1 - 0.98**count)) + 1e-6)
            decay = 0.01 if gradient.ndim > 1 else 0.0
            state[name] = state[name] - rate * (moved + decay * state[name])
        twin.load_state_dict_numpy(state)
        step(batch)
        for name, array in model.state_dict_numpy().items():
            np.testing.assert_allclose(array, state[name], rtol=0, atol=1e-12, err_msg=name)


@pytest.mark.torch
@pytest.mark.parametrize("backend", FRAMEWORKS)
def test_the_loss_curves_are_one(finetune, curves, course, budget, backend):
    losses = curves.run(finetune.TRAINERS[backend], course.make(backend, "float32"), course.batches, course.rates)
    assert budget.exceeded(losses).max() <= 1
    # The errors are of the size that the model of rounding says, or the budget would hold by luck.
    deviations = (np.array(losses) - budget.truth) / budget.sigma
    assert 0.1 < np.sqrt(np.mean(deviations**2)) < 4


MUTANTS = {
    "epsilon ten times too small": {"EPSILON": 1e-7},
    "epsilon as Keras has it, in the tenth step": {"EPSILON": 1e-6 / (1 - 0.98**10) ** 0.5},
    "no weight decay": {"WEIGHT_DECAY": 0.0},
    "another beta": {"BETAS": (0.9, 0.981)},
}


@pytest.mark.torch
@pytest.mark.parametrize(
    "mutant", [*MUTANTS, "late schedule", "rate off by a thousandth", "two batches swapped", "NaN"]
)
def test_another_update_rule_is_refused(finetune, curves, course, budget, mutant, monkeypatch):
    batches, rates = course.batches, course.rates
    for name, value in MUTANTS.get(mutant, {}).items():
        monkeypatch.setattr(finetune, name, value)
    if mutant == "late schedule":
        rates = np.roll(rates, 1)
    elif mutant == "rate off by a thousandth":
        rates = rates * 1.001
    elif mutant == "two batches swapped":
        batches = [*batches[:30], batches[31], batches[30], *batches[32:]]
    elif mutant == "NaN":
        rates = np.where(np.arange(STEPS) == 40, np.nan, rates)
    losses = curves.run(finetune.torch_trainer, course.make("torch", "float32"), batches, rates)
    assert not budget.exceeded(losses).max() <= 1
