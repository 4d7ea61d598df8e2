"""Fine-tune the shipped checkpoint on a task made from the novels that it has read, with the framework of your choice.

    python examples/finetune.py --task classification --backend torch     which of six novels is this passage from?
    python examples/finetune.py --task choice --backend tensorflow        which of four sentences comes next?
    python examples/finetune.py --task tagging --backend flax             which words are names?
    python examples/finetune.py --task span                               what did Emma say?
    python examples/finetune.py --task causal                             how does the text go on?
    python examples/finetune.py --task masked                             which words are hidden, in one novel?

A task is a list of examples and a collator: NumPy, whatever the framework. A trainer is a step and a prediction: some
fifteen lines for each framework, with one update rule, AdamW, so that without dropout all three go the same way. Every
20th chapter is for the score alone; the checkpoint has not seen it either.

The file reads from the text to the score: text, tasks, scores, trainers, run.
"""

from __future__ import annotations

import json
import math
import re
import time
import warnings
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, NamedTuple

import numpy as np
import roberta
import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from roberta import tokenizer as data

Example = Mapping[str, Any]
Batch = Mapping[str, Any]
Outputs = Mapping[str, np.ndarray]
console = Console(soft_wrap=True)

# -- text ----------------------------------------------------------------------------------------------------------

HEADING = re.compile(r"^[ \t]*chapter[ \t]+(?:[ivxlc]+|\d+)\.?[ \t]*$", re.IGNORECASE | re.MULTILINE)
SENTENCE_END = re.compile(r"""(?<!\bMr)(?<!\bMrs)(?<!\bDr)(?<!\bSt)[.!?]["')]*\s+(?=["'(]*[A-Z])""")
HOLD_OUT = 20  # as in the checkpoint's training: its held-out chapters are ours
TITLES = frozenset({"Mr.", "Mrs.", "Miss", "Lady", "Sir", "Captain", "Colonel", "Admiral", "Dr."})
QUOTATION = re.compile(r"""(?<![^\s(])"(\w[^"]*[^"\s])"(?!\w)""")
SPEAKER = re.compile(r"\b(?:said|cried|replied|answered|exclaimed|added) (s?he|(?:[A-Z][a-z]+\.? )?[A-Z][a-z]+)")

Chapter = list[str]  # of paragraphs


class Novels(NamedTuple):
    """The chapters of each novel: to learn from, and to be measured on."""

    training: list[list[Chapter]]
    held_out: list[list[Chapter]]


def read_novels(folder: Path) -> Novels:
    """Read the texts of a folder, and hold out every 20th chapter of all, counted through in the order of the names."""
    files = sorted(folder.glob("*.txt"))
    if not files:
        message = f"--corpus: expected a folder with the novels as *.txt, found none in {folder}"
        raise typer.BadParameter(message)
    novels, count = Novels([[] for _ in files], [[] for _ in files]), 0
    for index, file in enumerate(files):
        for chapter in HEADING.split(file.read_text(encoding="utf-8"))[1:]:
            count += 1
            (novels.training if count % HOLD_OUT else novels.held_out)[index].append(paragraphs_of(chapter))
    return novels


def paragraphs_of(chapter: str) -> Chapter:
    r"""Blank lines part paragraphs; within one, line breaks are the printer's, and underscores mark his italics.

    >>> paragraphs_of("Between _them_ it was\nmore.\n\nSixteen years.")
    ['Between them it was more.', 'Sixteen years.']
    """
    return [" ".join(block.replace("_", "").split()) for block in re.split(r"\n\s*\n", chapter) if block.strip()]


def sentences_of(chapter: Chapter) -> list[str]:
    """Cut after . ! ? (and closing quotes) where a capital follows, but not after "Mr." and the like.

    >>> sentences_of(['"Oh!" said Mr. Knightley. "Ah? Well."'])
    ['"Oh!" said Mr. Knightley.', '"Ah?', 'Well."']
    """
    ends = [[match.end() for match in SENTENCE_END.finditer(paragraph)] for paragraph in chapter]
    cuts = [(p, a, b) for p, e in zip(chapter, ends, strict=True) for a, b in zip([0, *e], [*e, len(p)], strict=True)]
    return [paragraph[begin:end].strip() for paragraph, begin, end in cuts]


def passages_of(chapter: Chapter, size: int, shares_sentences: bool = False) -> Iterator[str]:
    """Join sentences until they have `size` characters; then begin behind them, or behind the first of them."""
    sentences = sentences_of(chapter)
    begin = end = 0
    while end < len(sentences):
        end += 1
        if len(passage := " ".join(sentences[begin:end])) >= size:
            yield passage
            begin = end = begin + 1 if shares_sentences else end


# -- tasks ---------------------------------------------------------------------------------------------------------


class Score(NamedTuple):
    """How good predictions are.

    Attributes:
        name: what is measured.
        value: how much of it; "perplexity" is the better the lower, all others the higher.
    """

    name: str
    value: float


@dataclass(frozen=True)
class Task:
    """What there is to learn.

    Attributes:
        head: the class of the model.
        overrides: of the checkpoint's configuration.
        training: examples to learn from.
        held_out: examples to be measured on.
        collate: examples, and a place (epoch, index) that decides about random things -> a batch.
        measure: the batches of `held_out` with their examples and outputs -> how good they are.
        baseline: who does without the model, and how good he is; None: the checkpoint before training.
    """

    head: Any
    overrides: Mapping[str, Any]
    training: Sequence[Any]
    held_out: Sequence[Any]
    collate: Callable[[Sequence[Any], tuple[int, int]], Batch]
    measure: Callable[[Sequence[tuple[Sequence[Any], Batch, Outputs]]], Score]
    baseline: tuple[str, float] | None


def classification(novels: Novels, tokenizer: Any, length: int, seed: int) -> Task:
    """Which novel is this passage from? Baseline: always the one with most passages."""
    parts = [
        [
            {"text": text, "label": label}
            for label, book in enumerate(part)
            for c in book
            for text in passages_of(c, 160)
        ]
        for part in novels
    ]
    common = Counter(example["label"] for example in parts[0]).most_common(1)[0][0]
    baseline = float(np.mean([example["label"] == common for example in parts[1]]))
    collator = data.SequenceClassificationCollator(tokenizer=tokenizer, max_length=length, padding="max_length")
    head, overrides = roberta.RobertaForSequenceClassification, {"num_labels": len(novels.training)}
    return Task(head, overrides, *parts, lambda e, _: collator(e), accuracy, ("always the commonest novel", baseline))


def choice(novels: Novels, tokenizer: Any, length: int, seed: int) -> Task:
    """Which of four sentences comes next? The other three are from anywhere in the novels. Baseline: chance."""
    rng = np.random.default_rng([seed, 1])
    parts = [list(choices([s for s in map(sentences_of, sum(part, [])) if len(s) > 3], rng)) for part in novels]
    collator = data.MultipleChoiceCollator(tokenizer=tokenizer, max_length=length, padding="max_length")
    return Task(
        roberta.RobertaForMultipleChoice, {}, *parts, lambda e, _: collator(e), accuracy, ("a guess", 1 / CHOICES)
    )


CHOICES = 4


def choices(chapters: Sequence[Sequence[str]], rng: np.random.Generator) -> Iterator[Example]:
    """Yield for every second sentence from the third on: the two before it, itself, and three others among which it is."""
    for sentences in chapters:
        for at in range(2, len(sentences), 2):
            elsewhere = [chapters[int(rng.integers(len(chapters)))] for _ in range(CHOICES - 1)]
            options = [other[int(rng.integers(len(other)))] for other in elsewhere]
            label = int(rng.integers(CHOICES))
            options.insert(label, sentences[at])
            yield {"text": f"{sentences[at - 2]} {sentences[at - 1]}", "choices": options, "label": label}


def tagging(novels: Novels, tokenizer: Any, length: int, seed: int) -> Task:
    """Which words are names? 1 begins a name, 2 goes on with it. Baseline: every capitalised word is one."""
    names = names_in([sentence.split() for book in novels.training for c in book for sentence in sentences_of(c)])
    texts = [[p.split() for book in part for c in book for p in passages_of(c, 160)] for part in novels]
    parts = [[{"words": words, "labels": tags_of(words, names)} for words in part] for part in texts]
    collator = data.TokenClassificationCollator(tokenizer=tokenizer, max_length=length, padding="max_length")
    guesses = [tags_where([core(word)[:1].isupper() for word in example["words"]]) for example in parts[1]]
    found = f1(np.concatenate(guesses), np.concatenate([example["labels"] for example in parts[1]]))
    baseline = ("every capitalised word is a name", found)
    head = roberta.RobertaForTokenClassification
    return Task(head, {"num_labels": 3}, *parts, lambda e, _: collator(e), tag_f1, baseline)


def core(word: str) -> str:
    """Take off what is around a word, and the genitive.

    >>> core('("Emma\\'s,')
    'Emma'
    """
    return re.sub(r"(?:'s)?\W*$", "", re.sub(r"^\W+", "", word))


def names_in(sentences: Sequence[Sequence[str]]) -> frozenset[str]:
    """Words that inside sentences are capitalised at least 5 times, and 20 times as often as not: the rule of the task."""
    inside = Counter(core(word) for words in sentences for word in words[1:])
    capitals = {word: count for word, count in inside.items() if word[:1].isupper() and len(word) > 1 and count >= 5}
    return frozenset(word for word, count in capitals.items() if count >= 20 * inside[word.lower()]) - TITLES


def tags_of(words: Sequence[str], names: frozenset[str]) -> list[int]:
    """Tag names, and titles in front of them.

    >>> tags_of('"Mr. Darcy and Jane," said she'.split(), frozenset({"Darcy", "Jane"}))
    [1, 2, 0, 1, 0, 0]
    """
    is_name = [core(word) in names for word in words]
    is_title = [word.lstrip("\"'(") in TITLES and name for word, name in zip(words, [*is_name[1:], False], strict=True)]
    return tags_where([name or title for name, title in zip(is_name, is_title, strict=True)])


def tags_where(is_name: Sequence[bool]) -> list[int]:
    """1 where a name begins, 2 where it goes on."""
    return [int(now) * (1 + before) for before, now in zip([False, *is_name], is_name, strict=False)]


def span(novels: Novels, tokenizer: Any, length: int, seed: int) -> Task:
    """What did Emma say? The quotation marks are gone. Baseline: who knows which sentences, and takes them whole."""
    parts = [
        [e for book in part for c in book for p in passages_of(c, 120, True) for e in questions(p)] for part in novels
    ]
    collator = data.QuestionAnsweringCollator(tokenizer=tokenizer, max_length=length, padding="max_length", stride=8)
    found = float(np.mean([overlap(whole_sentences(e), e["answer"]) for e in parts[1]]))

    def measure(rows: Any) -> Score:
        answers = [
            a[1:3]
            for e, _, out in rows
            for a in collator.answers(e, out["start_logits"], out["end_logits"], max_tokens=length)
        ]
        true = [example["answer"] for examples, *_ in rows for example in examples]
        return Score("F1 of characters", float(np.mean(list(map(overlap, answers, true)))))

    baseline = ("the sentences that hold it", found)
    return Task(roberta.RobertaForQuestionAnswering, {}, *parts, lambda e, _: collator(e), measure, baseline)


def whole_sentences(example: Example) -> tuple[int, int]:
    """The characters of the sentences that the answer touches."""
    cuts = [0, *(match.end() for match in SENTENCE_END.finditer(example["context"])), len(example["context"])]
    start, end = example["answer"]
    return max(cut for cut in cuts if cut <= start), min(cut for cut in cuts if cut >= end)


def questions(passage: str) -> Iterator[Example]:
    """Yield a question where there are one or two quotations and something around them.

    >>> list(questions('He came at last. "Yes. I am here," said Emma, smiling.'))
    [{'question': 'What did Emma say first?', 'context': 'He came at last. Yes. I am here, said Emma, smiling.', 'answer': (17, 32)}]
    """
    match = QUOTATION.search(passage)
    is_first = match and match.start() == passage.index('"')
    if is_first and passage.count('"') in {2, 4} and len(match[1]) + 20 < len(passage):
        speaker = SPEAKER.search(passage.replace(match[0], " "))
        question = f"What did {speaker[1] if speaker else 'somebody'} say first?"
        answer = match.start(), match.start() + len(match[1])
        yield {"question": question, "context": passage.replace('"', ""), "answer": answer}


def overlap(found: Sequence[int], true: Sequence[int]) -> float:
    """F1 of the characters of two spans.

    >>> overlap((0, 6), (3, 6))
    0.6666666666666666
    """
    common = max(0, min(found[1], true[1]) - max(found[0], true[0]))
    return 2 * common / (found[1] - found[0] + true[1] - true[0])


def causal(novels: Novels, tokenizer: Any, length: int, seed: int) -> Task:
    """How does the text go on? Baseline: who knows how often each token follows each."""
    parts = [list(data.pack_full_sentences(encoded(sum(part, []), tokenizer), length)) for part in novels]
    collator = data.CausalLMCollator(tokenizer=tokenizer, max_length=length, padding="max_length")
    baseline = ("bigrams, as smooth as is best for them", bigram_perplexity(*parts, len(tokenizer)))
    overrides = {"is_decoder": True, "use_cache": False}
    return Task(roberta.RobertaForCausalLM, overrides, *parts, lambda e, _: collator(e), perplexity, baseline)


def masked(novels: Novels, tokenizer: Any, length: int, seed: int) -> Task:
    """Which words are hidden, in one novel? Whole words are, as the checkpoint does not know it. Baseline: itself."""
    training, held_out = (list(data.pack_full_sentences(encoded(part[0], tokenizer), length)) for part in novels)
    collator = data.MaskedLMCollator(
        tokenizer=tokenizer, max_length=length, padding="max_length", seed=seed, whole_words="spelling"
    )
    head, masks = roberta.RobertaForMaskedLM, 4  # of each held-out row
    return Task(
        head, {}, training, held_out * masks, lambda e, at: collator(e, epoch=at[0], index=at[1]), accuracy, None
    )


def encoded(chapters: Sequence[Chapter], tokenizer: Any) -> Iterator[list[list[int]]]:
    """Turn chapters into sentences of ids; the space goes with the sentence that it precedes."""
    for chapter in chapters:
        texts = [f" {sentence}" for sentence in sentences_of(chapter)]
        yield tokenizer(texts, add_special_tokens=False, verbose=False)["input_ids"] if texts else []


def bigram_perplexity(training: Sequence[Sequence[int]], held_out: Sequence[Sequence[int]], size: int) -> float:
    """p(b | a) = (count(a b) + k p(b)) / (count(a) + k), with the k of four that suits the held-out text best."""
    pairs = Counter(pair for row in training for pair in zip(row, row[1:], strict=False))
    first = np.bincount([a for a, _ in pairs.elements()], minlength=size)  # V
    alone = np.bincount([b for _, b in pairs.elements()], minlength=size) + 1.0  # V
    asked = [pair for row in held_out for pair in zip(row, row[1:], strict=False)]
    a, b = np.array(asked).T
    both = np.array([pairs[pair] for pair in asked])
    prior = (alone / alone.sum())[b]
    return min(float(np.exp(-np.log((both + k * prior) / (first[a] + k)).mean())) for k in (30, 100, 300, 1000))


TASKS = {task.__name__: task for task in (classification, choice, tagging, span, causal, masked)}

# -- scores --------------------------------------------------------------------------------------------------------


def accuracy(rows: Sequence[tuple[Any, Batch, Outputs]]) -> Score:
    """The share of labels that are the largest logit's; -100 does not count."""
    counted = [(out["logits"].argmax(-1) == b["labels"])[b["labels"] != -100] for _, b, out in rows]
    return Score("accuracy", float(np.concatenate(counted).mean()))


def tag_f1(rows: Sequence[tuple[Any, Batch, Outputs]]) -> Score:
    """F1 of the words that begin a name or go on with one."""
    parts = [(out["logits"].argmax(-1)[b["labels"] != -100], b["labels"][b["labels"] != -100]) for _, b, out in rows]
    return Score("F1 of words in names", f1(*(np.concatenate(column) for column in zip(*parts, strict=True))))


def f1(found: np.ndarray, true: np.ndarray) -> float:
    """2 correct / (found + true), of all that is not 0."""
    return float(2 * ((found == true) & (true > 0)).sum() / ((found > 0).sum() + (true > 0).sum()))


def perplexity(rows: Sequence[tuple[Any, Batch, Outputs]]) -> Score:
    """exp of the mean loss of all tokens that are guessed; a batch's loss is the mean over its own."""
    counts = [(batch["labels"][:, 1:] != -100).sum() for _, batch, _ in rows]
    return Score("perplexity", math.exp(np.average([float(out["loss"]) for *_, out in rows], weights=counts)))


# -- trainers ------------------------------------------------------------------------------------------------------

BETAS, EPSILON, WEIGHT_DECAY = (0.9, 0.98), 1e-6, 0.01
Step = Callable[[Batch], float]
Predict = Callable[[Batch], Outputs]


def learning_rates(peak: float, steps: int, warmup: float = 0.1) -> np.ndarray:
    """Rise linearly over the first tenth of the steps, fall linearly to zero: the rate of each step."""
    rising = np.arange(1, steps + 1) / max(1.0, warmup * steps)
    falling = np.arange(steps, 0, -1) / max(1.0, (1 - warmup) * steps)
    return peak * np.minimum(1.0, np.minimum(rising, falling))


def torch_trainer(model: Any, rates: np.ndarray) -> tuple[Step, Predict]:
    """PyTorch's own AdamW. Matrices decay, vectors do not, as in all trainers here."""
    import torch

    decays = [{"params": [p for p in model.parameters() if (p.ndim > 1) == is_matrix], "weight_decay": decay}
              for is_matrix, decay in ((True, WEIGHT_DECAY), (False, 0.0))]  # fmt: skip
    optimizer, schedule = torch.optim.AdamW(decays, betas=BETAS, eps=EPSILON), iter(rates)

    def step(batch: Batch) -> float:
        for group, rate in zip(optimizer.param_groups, [next(schedule)] * 2, strict=True):
            group["lr"] = rate
        optimizer.zero_grad()
        loss = model.train()(**batch).loss
        loss.backward()
        optimizer.step()
        return loss.item()

    @torch.no_grad()
    def predict(batch: Batch) -> Outputs:
        return model.eval()(**batch).numpy()

    return step, predict


def tensorflow_trainer(model: Any, rates: np.ndarray) -> tuple[Step, Predict]:
    """Keras's AdamW, compiled. Its epsilon is added before the second moment's bias is corrected; ours after it."""
    import keras
    import tensorflow as tf

    optimizer = keras.optimizers.AdamW(beta_1=BETAS[0], beta_2=BETAS[1], weight_decay=WEIGHT_DECAY)
    optimizer.exclude_from_weight_decay(var_list=[v for v in model.trainable_variables if len(v.shape) < 2])
    optimizer.build(model.trainable_variables)
    optimizer.epsilon = tf.Variable(EPSILON, dtype=model.dtype)
    schedule = iter(enumerate(rates, start=1))

    @tf.function
    def update(batch: Batch) -> Any:
        with tf.GradientTape() as tape:
            loss = model(**batch, training=True).loss
        # A table's gradient comes as rows, and one that was looked up twice comes twice: Adam would square each alone.
        gradients = [tf.convert_to_tensor(part) for part in tape.gradient(loss, model.trainable_variables)]
        optimizer.apply_gradients(zip(gradients, model.trainable_variables, strict=True))
        return loss

    def step(batch: Batch) -> float:
        count, optimizer.learning_rate = next(schedule)
        optimizer.epsilon.assign(EPSILON * math.sqrt(1 - BETAS[1] ** count))
        return float(update({name: tf.constant(value) for name, value in batch.items()}))

    forward = tf.function(lambda batch: model(**batch, training=False))
    return step, lambda batch: forward({name: tf.constant(value) for name, value in batch.items()}).numpy()


def flax_trainer(model: Any, rates: np.ndarray) -> tuple[Step, Predict]:
    """Optax's AdamW, compiled."""
    import jax
    import jax.numpy as jnp
    import optax
    from flax import nnx

    schedule = jnp.asarray(rates)

    def matrices(parameters: Any) -> Any:
        return jax.tree.map(lambda value: value.ndim > 1, parameters)

    rule = optax.adamw(lambda count: schedule[count], *BETAS, EPSILON, weight_decay=WEIGHT_DECAY, mask=matrices)
    optimizer = nnx.Optimizer(model, rule, wrt=nnx.Param)

    @nnx.jit
    def update(model: Any, optimizer: Any, batch: Batch) -> Any:
        loss, gradients = nnx.value_and_grad(lambda model: model(**batch).loss)(model)
        optimizer.update(model, gradients)
        return loss

    forward = nnx.jit(lambda model, batch: model(**batch))
    return (
        lambda batch: float(update(model.train(), optimizer, dict(batch))),
        lambda batch: forward(model.eval(), dict(batch)).numpy(),
    )


TRAINERS = {"torch": torch_trainer, "tensorflow": tensorflow_trainer, "flax": flax_trainer}

# -- run -----------------------------------------------------------------------------------------------------------


def new_model(task: Task, checkpoint: str, backend: str, seed: int, **options: Any) -> Any:
    """Load the checkpoint under the task's head, whose own parameters are drawn."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".*random")  # so they are meant to be
        return task.head.from_pretrained(checkpoint, backend=backend, seed=seed, **task.overrides, **options)


def batches(task: Task, size: int, seed: int) -> Iterator[Batch]:
    """Yield batches without end: the same for every framework."""
    sampler = data.BatchSampler(len(task.training), size, seed)
    while True:
        place = sampler.epoch, sampler.index
        yield dict(task.collate([task.training[index] for index in next(sampler)], place))


def evaluate(task: Task, predict: Predict, size: int = 64) -> Score:
    """Measure on the held-out examples."""
    rows = []
    for begin in range(0, len(task.held_out), size):
        examples = task.held_out[begin : begin + size]
        batch = dict(task.collate(examples, (0, begin)))
        rows.append((examples, batch, predict(batch)))
    return task.measure(rows)


def learn(step: Step, stream: Iterator[Batch], steps: int) -> list[float]:
    """Train, and return the loss of each step."""
    text, losses = TextColumn("loss {task.fields[loss]:.3f}"), []
    columns = (BarColumn(), MofNCompleteColumn(), text, TimeElapsedColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console) as progress:
        bar = progress.add_task("", total=steps, loss=math.nan)
        for _, batch in zip(range(steps), stream, strict=False):
            losses.append(step(batch))
            progress.update(bar, advance=1, loss=float(np.mean(losses[-20:])))
    return losses


def finetune(
    task: Annotated[str, typer.Option(help=f"One of {', '.join(TASKS)}.")],
    backend: Annotated[str, typer.Option(help=f"One of {', '.join(TRAINERS)}.")] = "torch",
    corpus: Annotated[Path, typer.Option(help="Folder of the novels.")] = Path("../shared/corpus/austen"),
    checkpoint: Annotated[str, typer.Option(help="A folder, or the name of a shipped checkpoint.")] = "austen",
    steps: Annotated[int, typer.Option(min=1, help="Steps in all.")] = 300,
    batch_size: Annotated[int, typer.Option(min=1, help="Examples in a step.")] = 16,
    length: Annotated[int, typer.Option(min=8, max=128, help="Tokens in a row.")] = 64,
    learning_rate: Annotated[float, typer.Option(help="At its peak.")] = 5e-4,
    dropout: Annotated[float, typer.Option(help="0 makes the frameworks comparable.")] = 0.0,
    seed: Annotated[int, typer.Option(help="Of the head, the order and the masks.")] = 0,
    output: Annotated[Path | None, typer.Option(help="Folder for the finished model.")] = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print the figures as JSON, with the loss of each step.")
    ] = False,
) -> None:
    """Fine-tune the checkpoint on a task and measure it on chapters that nothing was learned from."""
    for name, value, known in (("task", task, TASKS), ("backend", backend, TRAINERS)):
        if value not in known:
            message = f"--{name}: expected one of {', '.join(known)}, got {value!r}"
            raise typer.BadParameter(message)
    tokenizer = roberta.RobertaTokenizer.from_pretrained(checkpoint, add_prefix_space=task == "tagging")
    todo = TASKS[task](read_novels(corpus), tokenizer, length, seed)
    model = new_model(todo, checkpoint, backend, seed, hidden_dropout_prob=dropout)
    step, predict = TRAINERS[backend](model, learning_rates(learning_rate, steps))
    who, baseline = todo.baseline or ("the checkpoint before", evaluate(todo, predict).value)
    begin = time.monotonic()
    losses = learn(step, batches(todo, batch_size, seed), steps)
    seconds, score = time.monotonic() - begin, evaluate(todo, predict)
    if output:
        model.save_pretrained(output)
        tokenizer.save_pretrained(output)
    figures = {"task": task, "backend": backend, "steps": steps, "seconds": round(seconds), "measure": score.name,
               "score": score.value, "baseline": baseline, "baseline_is": who, "held_out": len(todo.held_out)}  # fmt: skip
    if as_json:
        print(json.dumps({**figures, "losses": losses}))
    else:
        console.print(f"{task} on {backend}: {score.name} {score.value:.3f} after {steps} steps, {seconds:.0f} s")
        console.print(f"baseline, {who}: {baseline:.3f} ({len(todo.held_out)} held-out examples)")


if __name__ == "__main__":
    typer.run(finetune)
