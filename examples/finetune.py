r"""Fine-tune the shipped checkpoint on a task made from the novels that it has read, with the framework of your choice.

    python examples/finetune.py --task classification --backend torch     which of six novels is this passage from?
    python examples/finetune.py --task choice --backend tensorflow        which of four sentences comes next?
    python examples/finetune.py --task tagging --backend flax             which words are names?
    python examples/finetune.py --task span                               what did Emma say?
    python examples/finetune.py --task causal                             how does the text go on?
    python examples/finetune.py --task masked                             which words are hidden, in one novel?

A task is a list of examples and a collator: NumPy, whatever the framework. A trainer is a step and a prediction: some
twenty lines for each framework, with one update rule, AdamW, so that without dropout all three go the same way
(`benchmarks/curves.py` shows how nearly). Every 20th chapter is for the score alone; the checkpoint has not seen it.

The file reads from the text to the score: text, tasks, trainers, run.
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
from functools import cache
from itertools import chain, pairwise
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import roberta
import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from roberta import tokenizer as data

Batch = Mapping[str, Any]
Outputs = Mapping[str, np.ndarray]
Chapter = list[str]  # of paragraphs
console = Console(soft_wrap=True)

# -- text ----------------------------------------------------------------------------------------------------------

HOLD_OUT = 20  # as in the checkpoint's training: its held-out chapters are ours
HEADING = re.compile(r"^[ \t]*chapter[ \t]+(?:[ivxlc]+|\d+)\.?[ \t]*$", re.IGNORECASE | re.MULTILINE)
SENTENCE_END = re.compile(r"""(?<!\bMr)(?<!\bMrs)(?<!\bDr)(?<!\bSt)[.!?]["')]*\s+(?=["'(]*[A-Z])""")
QUOTATION = re.compile(r"""(?<![^\s(])"(\w[^"]*[^"\s])"(?!\w)""")
SPEAKER = re.compile(r"\b(?:said|cried|replied|answered|exclaimed|added) (s?he|(?:[A-Z][a-z]+\.? )?[A-Z][a-z]+)")
TITLES = frozenset({"Mr.", "Mrs.", "Miss", "Lady", "Sir", "Captain", "Colonel", "Admiral", "Dr."})


@dataclass(frozen=True)
class Novels:
    """The chapters of each novel: to learn from, and to be measured on; and what the novels' files are called."""

    training: list[list[Chapter]]
    held_out: list[list[Chapter]]
    names: Sequence[str] = ()

    def __iter__(self) -> Iterator[list[list[Chapter]]]:
        yield from (self.training, self.held_out)


def read_novels(folder: Path) -> Novels:
    """Read the texts of a folder, and hold out every 20th chapter of all, counted through in the order of the names."""
    files = sorted(folder.glob("*.txt"))
    if not files:
        message = f"--corpus: expected a folder with the novels as *.txt, found none in {folder}"
        raise typer.BadParameter(message)
    novels, count = Novels([[] for _ in files], [[] for _ in files], [file.stem for file in files]), 0
    for index, file in enumerate(files):
        for chapter in HEADING.split(file.read_text(encoding="utf-8"))[1:]:
            count += 1
            (novels.training if count % HOLD_OUT else novels.held_out)[index].append(paragraphs_of(chapter))
    if not any(novels.held_out):
        message = (
            f"--corpus: expected at least {HOLD_OUT} chapters, one of which is held out, found {count} in {folder}"
        )
        raise typer.BadParameter(message)
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
    return [text[a:b].strip() for text in chapter for a, b in pairwise(sentence_borders(text))]


def sentence_borders(text: str) -> list[int]:
    """The places where sentences begin, and the end."""
    return [0, *(match.end() for match in SENTENCE_END.finditer(text)), len(text)]


def passages_of(novels: Sequence[Sequence[Chapter]], size: int, *, overlaps: bool = False) -> Iterator[tuple[int, str]]:
    """Join sentences up to `size` characters, and go on behind them, or behind their first: novel, passage."""
    for novel, sentences in ((novel, sentences_of(chapter)) for novel, book in enumerate(novels) for chapter in book):
        begin = end = 0
        while end < len(sentences):
            end += 1
            if len(passage := " ".join(sentences[begin:end])) >= size:
                yield novel, passage
                begin = end = begin + 1 if overlaps else end


# -- tasks ---------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Task:
    """What there is to learn.

    Attributes:
        head: the class of the model.
        training: examples to learn from.
        held_out: examples to be measured on.
        collate: examples, and the place (epoch, index) on which random things depend -> a batch.
        measure: what is measured; "perplexity" is the better the lower, all others the higher.
        score: held-out (examples, batch, outputs) -> how much of it there is.
        baseline: what does without the model, and its score.
        overrides: of the checkpoint's configuration.
    """

    head: Any
    training: Sequence[Any]
    held_out: Sequence[Any]
    collate: Callable[..., Batch]
    measure: str
    score: Callable[[Sequence[tuple[Sequence[Any], Batch, Outputs]]], float]
    baseline: tuple[str, float]
    overrides: Mapping[str, Any]


def classification(novels: Novels, tokenizer: Any, length: int, seed: int) -> Task:
    """Which novel is this passage from? Baseline: always the one with most passages."""
    training, held_out = ([{"text": text, "label": n} for n, text in passages_of(part, 160)] for part in novels)
    commonest = Counter(example["label"] for example in training).most_common(1)[0][0]
    baseline = float(np.mean([example["label"] == commonest for example in held_out]))
    collator = data.SequenceClassificationCollator(tokenizer=tokenizer, max_length=length, padding="max_length")
    return Task(
        roberta.RobertaForSequenceClassification, training, held_out, lambda examples, *_: collator(examples),
        "accuracy", accuracy, ("always the commonest novel", baseline), {"id2label": dict(enumerate(novels.names))},
    )  # fmt: skip


def choice(novels: Novels, tokenizer: Any, length: int, seed: int) -> Task:
    """Which of four sentences comes next? Three are from anywhere in the same part. Baseline: chance."""
    rng = np.random.default_rng([seed, 1])
    chapters = [[sentences_of(chapter) for chapter in chain.from_iterable(part)] for part in novels]
    training, held_out = (list(four_choices([c for c in part if len(c) > 2], rng)) for part in chapters)
    collator = data.MultipleChoiceCollator(tokenizer=tokenizer, max_length=length, padding="max_length")
    return Task(
        roberta.RobertaForMultipleChoice, training, held_out, lambda examples, *_: collator(examples),
        "accuracy", accuracy, ("a guess", 1 / 4), {},
    )  # fmt: skip


def four_choices(chapters: Sequence[Sequence[str]], rng: np.random.Generator) -> Iterator[Mapping[str, Any]]:
    """Yield, for every second sentence from the third on, the two before it, and itself among three others."""
    for sentences in chapters:
        for at in range(2, len(sentences), 2):
            others = [chapters[int(rng.integers(len(chapters)))] for _ in range(3)]
            choices, label = [other[int(rng.integers(len(other)))] for other in others], int(rng.integers(4))
            choices.insert(label, sentences[at])
            yield {"text": " ".join(sentences[at - 2 : at]), "choices": choices, "label": label}


#: Of words: outside of names, and in them.
TAGS = {0: "O", 1: "B-NAME", 2: "I-NAME"}


def tagging(novels: Novels, tokenizer: Any, length: int, seed: int) -> Task:
    """Which words are names? 1 begins a name, 2 goes on with it. Baseline: every capitalised word is one."""
    names = names_in([text.split() for chapter in chain(*novels.training) for text in sentences_of(chapter)])
    passages = [[text.split() for _, text in passages_of(part, 160)] for part in novels]
    training, held_out = ([{"words": w, "labels": tags_of(w, names)} for w in part] for part in passages)
    guess = chain(*(tags_where([core(word)[:1].isupper() for word in words]) for words in passages[1]))
    baseline = f1(np.array(list(guess)), np.array(list(chain(*(example["labels"] for example in held_out)))))
    collator = data.TokenClassificationCollator(tokenizer=tokenizer, max_length=length, padding="max_length")
    return Task(
        roberta.RobertaForTokenClassification, training, held_out, lambda examples, *_: collator(examples),
        "F1 of words in names", tag_f1, ("every capitalised word is a name", baseline), {"id2label": TAGS},
    )  # fmt: skip


@cache
def core(word: str) -> str:
    r"""Take off what is around a word, and the genitive.

    >>> core('("Emma\'s,')
    'Emma'
    """
    return re.sub(r"(?:'s)?\W*$", "", re.sub(r"^\W+", "", word))


def names_in(sentences: Sequence[Sequence[str]]) -> frozenset[str]:
    """The rule of the task: inside sentences a name is capitalised at least 5 times, and 20 times as often as not."""
    inside = Counter(core(word) for words in sentences for word in words[1:])
    capitals = {word: count for word, count in inside.items() if word[:1].isupper() and len(word) > 1 and count >= 5}
    return frozenset(word for word, count in capitals.items() if count >= 20 * inside[word.lower()]) - TITLES


def tags_of(words: Sequence[str], names: frozenset[str]) -> list[int]:
    """Tag names, and titles in front of them.

    >>> tags_of('"Mr. Darcy and Jane," said she'.split(), frozenset({"Darcy", "Jane"}))
    [1, 2, 0, 1, 0, 0]
    """
    is_name = [core(word) in names for word in words]
    follows = [*is_name[1:], False]
    return tags_where(
        [n or (w.lstrip("\"'(") in TITLES and f) for w, n, f in zip(words, is_name, follows, strict=True)]
    )


def tags_where(is_name: Sequence[bool]) -> list[int]:
    """1 where a name begins, 2 where it goes on."""
    return [int(now) * (1 + before) for before, now in pairwise([False, *is_name])]


def span(novels: Novels, tokenizer: Any, length: int, seed: int) -> Task:
    """What did Emma say? The quotation marks are gone. Baseline: the true sentences, but taken whole."""
    training, held_out = (
        [example for _, text in passages_of(part, 120, overlaps=True) for example in questions_on(text)]
        for part in novels
    )
    options = {"max_length": length, "padding": "max_length", "stride": length // 8}
    collator = data.QuestionAnsweringCollator(tokenizer=tokenizer, **options)
    baseline = float(np.mean([overlap(whole_sentences(example), example["answer"]) for example in held_out]))

    def score(rows: Sequence[tuple[Sequence[Any], Batch, Outputs]]) -> float:
        found = (collator.answers(e, out["start_logits"], out["end_logits"], max_tokens=length) for e, _, out in rows)
        true = (example["answer"] for examples, *_ in rows for example in examples)
        return float(np.mean([overlap(a[1:3], b) for a, b in zip(chain.from_iterable(found), true, strict=True)]))

    return Task(
        roberta.RobertaForQuestionAnswering, training, held_out, lambda examples, *_: collator(examples),
        "F1 of characters", score, ("the sentences that hold it", baseline), {},
    )  # fmt: skip


def questions_on(passage: str) -> Iterator[Mapping[str, Any]]:
    """Yield a question where there are one or two quotations, and something around them.

    >>> next(questions_on('He came. "Yes. I am here," said Emma.'))
    {'question': 'What did Emma say first?', 'context': 'He came. Yes. I am here, said Emma.', 'answer': (9, 24)}
    """
    match = QUOTATION.search(passage)
    is_first = match and match.start() == passage.index('"')
    if is_first and passage.count('"') in {2, 4} and len(match[1]) + 20 <= len(passage):
        speaker = SPEAKER.search(passage.replace(match[0], " "))
        question = f"What did {speaker[1] if speaker else 'somebody'} say first?"
        answer = match.start(), match.start() + len(match[1])
        yield {"question": question, "context": passage.replace('"', ""), "answer": answer}


def whole_sentences(example: Mapping[str, Any]) -> tuple[int, int]:
    """The characters of the sentences that the answer touches."""
    borders, (start, end) = sentence_borders(example["context"]), example["answer"]
    return max(border for border in borders if border <= start), min(border for border in borders if border >= end)


def overlap(found: Sequence[int], true: Sequence[int]) -> float:
    """F1 of the characters of two spans.

    >>> round(overlap((0, 6), (3, 6)), 3)
    0.667
    """
    common = max(0, min(found[1], true[1]) - max(found[0], true[0]))
    return 2 * common / (found[1] - found[0] + true[1] - true[0])


def causal(novels: Novels, tokenizer: Any, length: int, seed: int) -> Task:
    """How does the text go on? Baseline: how often each token follows each."""
    training, held_out = (rows_of(chain.from_iterable(part), tokenizer, length) for part in novels)
    baseline = "bigrams, as smooth as suits them best", bigram_perplexity(training, held_out, len(tokenizer))
    collator = data.CausalLMCollator(tokenizer=tokenizer, max_length=length, padding="max_length")
    return Task(
        roberta.RobertaForCausalLM, training, held_out, lambda examples, *_: collator(examples),
        "perplexity", perplexity, baseline, {"is_decoder": True, "use_cache": False},
    )  # fmt: skip


def masked(novels: Novels, tokenizer: Any, length: int, seed: int) -> Task:
    """Which words are hidden, in the first novel? They are hidden whole, 4 times. Baseline: always one token."""
    training, held_out = (rows_of(part[0], tokenizer, length) for part in novels)
    commonest = Counter(chain.from_iterable(training)).most_common(1)[0][0]
    baseline = float(np.mean([token == commonest for token in chain.from_iterable(held_out)]))
    options = {"tokenizer": tokenizer, "max_length": length, "padding": "max_length", "seed": seed}
    collator = data.MaskedLMCollator(whole_words="spelling", **options)

    def collate(examples: Sequence[Any], epoch: int, index: int) -> Batch:
        return collator(examples, epoch=epoch, index=index)

    return Task(
        roberta.RobertaForMaskedLM, training, held_out * 4, collate,
        "accuracy", accuracy, ("always the commonest token", baseline), {},
    )  # fmt: skip


def rows_of(chapters: Iterator[Chapter] | Sequence[Chapter], tokenizer: Any, length: int) -> list[list[int]]:
    """Rows of full sentences; the space goes with the sentence that it precedes, since a token begins with it."""
    texts = ([f" {sentence}" for sentence in sentences_of(chapter)] for chapter in chapters if chapter)
    documents = (tokenizer(text, add_special_tokens=False, verbose=False)["input_ids"] for text in texts)
    return list(data.pack_full_sentences(documents, length))


def bigram_perplexity(training: Sequence[Sequence[int]], held_out: Sequence[Sequence[int]], size: int) -> float:
    """p(b | a) = (count(a b) + k p(b)) / (count(a) + k), with the k of four that suits the held-out text best."""
    pairs = Counter(chain.from_iterable(map(pairwise, training)))
    seen = np.array(list(pairs.elements()))  # N 2
    first, second = (np.bincount(column, minlength=size) for column in seen.T)  # V each
    asked = list(chain.from_iterable(map(pairwise, held_out)))
    a, b = np.array(asked).T
    both, prior = np.array([pairs[pair] for pair in asked]), ((second + 1) / (second + 1).sum())[b]
    return min(float(np.exp(-np.log((both + k * prior) / (first[a] + k)).mean())) for k in (30, 100, 300, 1000))


def accuracy(rows: Sequence[tuple[Any, Batch, Outputs]]) -> float:
    """The share of labels that are the largest logit's; -100 does not count."""
    hits = [(out["logits"].argmax(-1) == batch["labels"])[batch["labels"] != -100] for _, batch, out in rows]
    return float(np.concatenate(hits).mean())


def tag_f1(rows: Sequence[tuple[Any, Batch, Outputs]]) -> float:
    """F1 over the labels that count."""
    labels = np.concatenate([batch["labels"] for _, batch, _ in rows])
    tags = np.concatenate([out["logits"].argmax(-1) for *_, out in rows])
    return f1(tags[labels != -100], labels[labels != -100])


def f1(found: np.ndarray, true: np.ndarray) -> float:
    """2 correct / (found + true), of all that is not 0."""
    return float(2 * ((found == true) & (true > 0)).sum() / max(1, (found > 0).sum() + (true > 0).sum()))


def perplexity(rows: Sequence[tuple[Any, Batch, Outputs]]) -> float:
    """exp of the mean loss of all tokens that are guessed; a batch's loss is the mean over its own."""
    counts = [(batch["labels"][:, 1:] != -100).sum() for _, batch, _ in rows]
    return math.exp(np.average([float(out["loss"]) for *_, out in rows], weights=counts))


TASKS = {task.__name__: task for task in (classification, choice, tagging, span, causal, masked)}

# -- trainers ------------------------------------------------------------------------------------------------------

BETAS, EPSILON, WEIGHT_DECAY = (0.9, 0.98), 1e-6, 0.01
Trainer = tuple[Callable[[Batch], float], Callable[[Batch], Outputs]]  # a step, which returns its loss; a prediction


def learning_rates(peak: float, steps: int, warmup: float = 0.1) -> np.ndarray:
    """The rate of each step: it rises linearly over the first tenth of them, and falls linearly to zero."""
    rising = np.arange(1, steps + 1) / max(1.0, warmup * steps)
    falling = np.arange(steps, 0, -1) / max(1.0, (1 - warmup) * steps)
    return peak * np.minimum(1.0, np.minimum(rising, falling))


def torch_trainer(model: Any, rates: np.ndarray) -> Trainer:
    """PyTorch's AdamW. Matrices decay, vectors do not, as in all three."""
    import torch

    matrices, vectors = ([p for p in model.parameters() if (p.ndim > 1) == is_matrix] for is_matrix in (True, False))
    groups = [{"params": matrices, "weight_decay": WEIGHT_DECAY}, {"params": vectors, "weight_decay": 0.0}]
    optimizer, schedule = torch.optim.AdamW(groups, betas=BETAS, eps=EPSILON), iter(rates)

    def step(batch: Batch) -> float:
        rate = float(next(schedule))
        for group in optimizer.param_groups:
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


def tensorflow_trainer(model: Any, rates: np.ndarray) -> Trainer:
    """Keras's AdamW, compiled. It adds epsilon before the second moment's bias is corrected, and we after it."""
    import keras
    import tensorflow as tf

    variables = model.trainable_variables
    optimizer = keras.optimizers.AdamW(beta_1=BETAS[0], beta_2=BETAS[1], weight_decay=WEIGHT_DECAY)
    optimizer.exclude_from_weight_decay(var_list=[variable for variable in variables if len(variable.shape) < 2])
    optimizer.build(variables)
    optimizer.epsilon = tf.Variable(EPSILON, dtype=model.dtype)
    schedule = iter(enumerate(rates, start=1))

    @tf.function(reduce_retracing=True)  # questions make batches of various sizes
    def update(batch: Batch) -> Any:
        with tf.GradientTape() as tape:
            loss = model(**batch, training=True).loss
        optimizer.apply_gradients(zip(tape.gradient(loss, variables), variables, strict=True))
        return loss

    def step(batch: Batch) -> float:
        count, optimizer.learning_rate = next(schedule)
        optimizer.epsilon.assign(EPSILON * math.sqrt(1 - BETAS[1] ** count))
        return float(update({name: tf.constant(value) for name, value in batch.items()}))

    forward = tf.function(lambda batch: model(**batch, training=False), reduce_retracing=True)
    return step, lambda batch: forward({name: tf.constant(value) for name, value in batch.items()}).numpy()


def flax_trainer(model: Any, rates: np.ndarray) -> Trainer:
    """Optax's AdamW, compiled."""
    import jax
    import jax.numpy as jnp
    import optax
    from flax import nnx

    def matrices(parameters: Any) -> Any:
        return jax.tree.map(lambda value: value.ndim > 1, parameters)

    schedule = jnp.asarray(rates)
    rule = optax.adamw(lambda count: schedule[count], *BETAS, EPSILON, weight_decay=WEIGHT_DECAY, mask=matrices)
    optimizer = nnx.Optimizer(model, rule, wrt=nnx.Param)

    @nnx.jit
    def update(model: Any, optimizer: Any, batch: Batch) -> Any:
        loss, gradients = nnx.value_and_grad(lambda model: model(**batch).loss)(model)
        optimizer.update(model, gradients)
        return loss

    forward = nnx.jit(lambda model, batch: model(**batch))
    return (
        lambda batch: float(update(model.train(), optimizer, batch)),
        lambda batch: forward(model.eval(), batch).numpy(),
    )


TRAINERS = {"torch": torch_trainer, "tensorflow": tensorflow_trainer, "flax": flax_trainer}

# -- run -----------------------------------------------------------------------------------------------------------


def new_model(task: Task, checkpoint: Any, backend: str, seed: int, dropout: float = 0.0, **options: Any) -> Any:
    """Load the checkpoint under the task's head, whose own parameters are drawn from the seed."""
    dropouts = {"hidden_dropout_prob": dropout, "attention_probs_dropout_prob": dropout}
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".*random")  # so they are meant to be
        return task.head.from_pretrained(
            checkpoint, backend=backend, seed=seed, **dropouts, **task.overrides, **options
        )


def batches(task: Task, size: int, seed: int) -> Iterator[Batch]:
    """Yield batches without end: the same for every framework."""
    sampler = data.BatchSampler(len(task.training), size, seed)
    while True:
        place = sampler.epoch, sampler.index
        yield dict(task.collate([task.training[index] for index in next(sampler)], *place))


def evaluate(task: Task, predict: Callable[[Batch], Outputs], size: int = 64) -> float:
    """Measure on the held-out examples."""
    parts = [(at, task.held_out[at : at + size]) for at in range(0, len(task.held_out), size)]
    served = [(examples, dict(task.collate(examples, 0, at))) for at, examples in parts]
    return task.score([(examples, batch, predict(batch)) for examples, batch in served])


def learn(step: Callable[[Batch], float], stream: Iterator[Batch], steps: int) -> list[float]:
    """Train, and return the loss of each step."""
    text, losses = TextColumn("loss {task.fields[loss]:.3f}"), []
    columns = (BarColumn(), MofNCompleteColumn(), text, TimeElapsedColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True)) as progress:
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
    length: Annotated[int, typer.Option(min=8, help="Tokens in a row.")] = 64,
    learning_rate: Annotated[float, typer.Option(help="At its peak.")] = 5e-4,
    dropout: Annotated[float, typer.Option(help="With 0 the frameworks do the same.")] = 0.0,
    seed: Annotated[int, typer.Option(help="Of the head, the order and the masks.")] = 0,
    output: Annotated[Path | None, typer.Option(help="Folder for the finished model.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the figures, and the loss of each step.")] = False,
) -> None:
    """Fine-tune the checkpoint on a task, and measure it on chapters that nothing was learned from."""
    for name, value, known in (("task", task, TASKS), ("backend", backend, TRAINERS)):
        if value not in known:
            message = f"--{name}: expected one of {', '.join(known)}, got {value!r}"
            raise typer.BadParameter(message)
    tokenizer = roberta.RobertaTokenizer.from_pretrained(checkpoint, add_prefix_space=task == "tagging")
    todo = TASKS[task](read_novels(corpus), tokenizer, length, seed)
    model = new_model(todo, checkpoint, backend, seed, dropout)
    step, predict = TRAINERS[backend](model, learning_rates(learning_rate, steps))
    (what, baseline), before = todo.baseline, evaluate(todo, predict)
    begin = time.monotonic()
    losses = learn(step, batches(todo, batch_size, seed), steps)
    seconds, score = time.monotonic() - begin, evaluate(todo, predict)
    if output:
        model.save_pretrained(output)
        tokenizer.save_pretrained(output)
    if as_json:
        figures = {"task": task, "backend": backend, "measure": todo.measure, "baseline": baseline, "before": before}
        print(json.dumps({**figures, "score": score, "steps": steps, "seconds": seconds, "losses": losses}))
    else:
        console.print(f"{task} on {backend}: {todo.measure} {score:.3f} after {steps} steps in {seconds:.0f} s")
        console.print(f"before the first step: {before:.3f}; baseline, {what}: {baseline:.3f}")
        console.print(f"({len(todo.held_out)} held-out examples)")


if __name__ == "__main__":
    typer.run(finetune)
