"""Pre-train a small RoBERTa on text files, from the vocabulary up, as sections 2 to 4 of the paper describe.

    python examples/pretrain.py train TEXT… --out FOLDER    learn a vocabulary, train, evaluate, save
    python examples/pretrain.py card FOLDER                 put the figures and completions into its README.md

A run is a function of its texts, its options and its seed. It may be interrupted at any time: the same command goes on
from the last state in `--work`. Every 20th chapter (`--hold-out`) is never trained on, the vocabulary included; the
figures are measured there.

The file reads from the text to the model card: text, corpus, model, objective, evaluation, state, training, card.
"""

from __future__ import annotations

import io
import json
import math
import re
import shlex
import sys
import time
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Annotated, Any, NamedTuple

import numpy as np
import roberta
import torch
import typer
from numpy.typing import NDArray
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from roberta.files.atomic import write_atomically
from roberta.reference.inputs import Inputs
from roberta.tokenizer import DynamicMasker, pack_full_sentences, stack_rows
from roberta.tokenizer.data import IGNORED
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.attention import SDPBackend, sdpa_kernel

Ids = NDArray[np.int64]
Document = list[list[int]]  # a chapter: sentences of ids

console = Console(soft_wrap=True)
app = typer.Typer(add_completion=False, no_args_is_help=True, help=__doc__)


@dataclass(frozen=True)
class Recipe:
    """What a run depends on, besides its texts. The fields are the options of `train`, which explains them."""

    seed: int
    vocab_size: int
    hidden_size: int
    layers: int
    heads: int
    intermediate_size: int
    length: int
    window: int
    window_steps: int
    initializer_range: float
    hold_out: int
    mask_probability: float
    dropout: float
    batch: int
    steps: int
    learning_rate: float
    warmup: float
    weight_decay: float


# -- text ----------------------------------------------------------------------------------------------------------

HEADING = re.compile(r"^[ \t]*chapter[ \t]+(?:[ivxlc]+|\d+)\.?[ \t]*$", re.IGNORECASE | re.MULTILINE)
BLANK_LINES = re.compile(r"\n\s*\n")
SENTENCE_END = re.compile(r"""[.!?]["')]*(?=\s+["'(]*[A-Z])""")
ABBREVIATION = re.compile(r"\b(?:Mr|Mrs|Dr|St|Messrs|[A-Z])\.$")


def chapters_of(text: str) -> list[str]:
    r"""Cut a text at its headings ("CHAPTER IV", "Chapter 4"); what stands before the first is the title page.

    >>> chapters_of("EMMA\n\nCHAPTER I\nOne.\n\nCHAPTER II\nTwo.")
    ['\nOne.\n\n', '\nTwo.']
    """
    first, *rest = HEADING.split(text)
    return rest or [first]


def paragraphs_of(chapter: str) -> list[str]:
    r"""Blank lines part paragraphs; within one, line breaks are the printer's, and underscores mark his italics.

    >>> paragraphs_of("Between _them_ it was\nmore.\n\nSixteen years.")
    ['Between them it was more.', 'Sixteen years.']
    """
    return [" ".join(block.replace("_", "").split()) for block in BLANK_LINES.split(chapter) if block.strip()]


def sentences_of(paragraph: str) -> Iterator[str]:
    """Cut after . ! ? (and closing quotes) where a capital follows, but not after "Mr." and the like, nor initials.

    The space goes with the sentence that it precedes, since a token begins with its space: joined, the sentences are
    the paragraph.

    >>> list(sentences_of('"Oh!" said Mr. Knightley. "Ah? Well."'))
    ['"Oh!" said Mr. Knightley.', ' "Ah?', ' Well."']
    """
    begin = 0
    for match in SENTENCE_END.finditer(paragraph):
        if not ABBREVIATION.search(paragraph, begin, match.end()):
            yield paragraph[begin : match.end()]
            begin = match.end()
    yield paragraph[begin:]


# -- corpus --------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Corpus:
    """Chapters as ids, those to learn from and those to be measured on.

    Attributes:
        tokenizer: trained on the former alone.
        training: documents to learn from.
        held_out: documents that are never learned from.
        checksum: CRC-32 of all text; tells a resumed run that it is given the same.
    """

    tokenizer: roberta.RobertaTokenizer
    training: list[Document]
    held_out: list[Document]
    checksum: int


def read_corpus(files: Sequence[Path], recipe: Recipe) -> Corpus:
    """Read the texts, hold out every `recipe.hold_out`-th chapter of all, and learn the vocabulary from the others."""
    texts = [file.read_text(encoding="utf-8") for file in files]
    chapters = [paragraphs_of(chapter) for text in texts for chapter in chapters_of(text)]
    held_out = chapters[recipe.hold_out - 1 :: recipe.hold_out]
    if not held_out:
        message = f"texts: expected at least --hold-out = {recipe.hold_out} chapters, found {len(chapters)}"
        raise typer.BadParameter(message)
    training = [chapter for number, chapter in enumerate(chapters, 1) if number % recipe.hold_out]
    paragraphs = (paragraph for chapter in training for paragraph in chapter)
    tokenizer = roberta.RobertaTokenizer.train(paragraphs, recipe.vocab_size, model_max_length=recipe.length)
    encoded = [[encode(chapter, tokenizer) for chapter in part] for part in (training, held_out)]
    return Corpus(tokenizer, *encoded, checksum=zlib.crc32("\0".join(texts).encode()))


def encode(chapter: list[str], tokenizer: roberta.RobertaTokenizer) -> Document:
    """Turn a chapter into sentences of ids, without special tokens."""
    sentences = [sentence for paragraph in chapter for sentence in sentences_of(paragraph)]
    return tokenizer(sentences, add_special_tokens=False, verbose=False)["input_ids"]


class Place(NamedTuple):
    """Where in the training data a run stands: what it needs to know, besides its weights, to go on."""

    epoch: int
    index: int  # of the batch in the epoch


START = Place(0, 0)


def rows_of_epoch(corpus: Corpus, recipe: Recipe, epoch: int) -> Ids:
    """Pack the chapters, in a new order each epoch (so rows begin and end elsewhere), and shuffle the rows: (R, T)."""
    rng = np.random.default_rng([recipe.seed, epoch])
    documents = [corpus.training[index] for index in rng.permutation(len(corpus.training))]
    rows = stack_rows(pack_full_sentences(documents, recipe.length), recipe.length)  # R T
    return rows[rng.permutation(len(rows))]


def batches(corpus: Corpus, recipe: Recipe, place: Place) -> Iterator[tuple[Place, Ids, Ids]]:
    """Yield (next place, masked ids, labels) without end, from `place` on; the mask is new in each epoch."""
    masker = DynamicMasker(corpus.tokenizer, recipe.seed, recipe.mask_probability)
    epoch, first = place
    while True:
        rows = rows_of_epoch(corpus, recipe, epoch)
        # The last rows of an epoch, too few for a batch, are left out: others each time.
        count = max(1, len(rows) // recipe.batch)
        for index in range(first, count):
            batch = rows[index * recipe.batch : (index + 1) * recipe.batch]
            yield Place(epoch, index + 1), *masker(batch, epoch=epoch, index=index)
        epoch, first = epoch + 1, 0


# -- model ---------------------------------------------------------------------------------------------------------


def new_model(recipe: Recipe, vocab_size: int, device: str) -> Any:
    """Build the model with its initial weights, in training mode."""
    config = roberta.RobertaConfig(
        vocab_size=vocab_size,
        hidden_size=recipe.hidden_size,
        num_hidden_layers=recipe.layers,
        num_attention_heads=recipe.heads,
        intermediate_size=recipe.intermediate_size,
        max_position_embeddings=recipe.length + 2,  # position ids begin at pad + 1 = 2
        type_vocab_size=1,
        layer_norm_eps=1e-5,
        hidden_dropout_prob=recipe.dropout,
        attention_probs_dropout_prob=0.0,  # on a CPU it would cost a third of the speed
        initializer_range=recipe.initializer_range,
    )
    model = roberta.RobertaForMaskedLM(config, backend="torch", seed=recipe.seed, device=device).train()
    with torch.no_grad():
        positions = model.roberta.embeddings.position_embeddings.weight  # M D
        positions[2:] = recipe.initializer_range * sinusoids(*positions[2:].shape).to(device)
    return model


def sinusoids(count: int, size: int) -> Tensor:
    """Position vectors of unit variance, to begin with: (count, size).

    Neighbours are one rotation apart, wherever they stand. So "look at the token before", which random vectors make the
    model learn for each position anew, is learned once, and the unigram plateau is left sooner.
    """
    frequencies = 10000.0 ** (-torch.arange(0, size, 2) / size)  # D/2
    angles = torch.arange(count)[:, None] * frequencies  # M D/2
    return math.sqrt(2) * torch.cat([angles.sin(), angles.cos()], dim=1)


def new_optimizer(model: nn.Module, recipe: Recipe) -> torch.optim.Optimizer:
    """AdamW with the paper's betas and epsilon; biases and layer norms (vectors, all of them) do not decay."""
    matrices = [parameter for parameter in model.parameters() if parameter.ndim > 1]
    vectors = [parameter for parameter in model.parameters() if parameter.ndim == 1]
    groups = [
        {"params": matrices, "weight_decay": recipe.weight_decay},
        {"params": vectors, "weight_decay": 0.0},
    ]
    return torch.optim.AdamW(groups, lr=recipe.learning_rate, betas=(0.9, 0.98), eps=1e-6, fused=True)


def learning_rate(step: int, recipe: Recipe) -> float:
    """Rise linearly to the peak over the first `recipe.warmup` of all steps, then fall linearly to zero."""
    rising = (step + 1) / max(1.0, recipe.warmup * recipe.steps)
    falling = (recipe.steps - step) / max(1.0, (1 - recipe.warmup) * recipe.steps)
    return recipe.learning_rate * min(rising, falling, 1.0)


def autocast(precision: str, device: str) -> AbstractContextManager[Any]:
    """Matrix products in bfloat16, or nothing; "auto" is bfloat16 where the processor multiplies it faster."""
    if precision == "auto":
        precision = "bfloat16" if multiplies_bfloat16(device) else "float32"
    return torch.autocast(device, torch.bfloat16) if precision == "bfloat16" else nullcontext()


def multiplies_bfloat16(device: str) -> bool:
    """Whether the processor has matrix instructions for bfloat16."""
    if device == "cuda":
        return torch.cuda.is_bf16_supported(including_emulation=False)
    capabilities = getattr(torch.cpu, "get_capabilities", dict)()  # younger than the oldest torch that we take
    return bool(capabilities.get("amx_bf16"))


def attention_kernel(device: str) -> AbstractContextManager[Any]:
    """On a CPU the two products one by one: in rows this short the fused kernel's backward pass takes twice as long."""
    return sdpa_kernel(SDPBackend.MATH) if device == "cpu" else nullcontext()


# -- objective -----------------------------------------------------------------------------------------------------


def predict_masked(model: Any, masked: Ids, labels: Ids, run: Run, window: int = 0) -> tuple[Tensor, Tensor]:
    """Predict the masked tokens, and hardly any other: (M, V) logits in float32, and (M,) labels.

    `model(input_ids=…, labels=…)` would give the same loss, but it computes logits for every token, of which most are
    thrown away; and the vocabulary is the widest layer of a small model.
    """
    places = np.flatnonzero(labels != IGNORED)  # M, into BT
    # Up to a multiple of 64, since kernels are prepared per shape: a new M with every batch would cost a fifth of the
    # speed. What is added is place 0, a <s>, which is never guessed: its label is IGNORED.
    places = np.pad(places, (0, -len(places) % 64))  # M
    rows = (torch.from_numpy(row).to(run.device) for row in in_windows(masked, model.config.pad_token_id, window))
    body = run.compiled_body if model.training else body_of
    hidden = body(model, *rows)  # B T D, or in windows
    logits = model.lm_head(hidden.flatten(0, 1)[torch.from_numpy(places).to(run.device)])  # M V
    return logits.float(), torch.from_numpy(labels.ravel()[places]).to(run.device)


def in_windows(ids: Ids, pad_token_id: int, size: int) -> tuple[Ids, Ids]:
    """Cut rows into windows that cannot see each other: ids and their position ids in the whole row, (BT / size, size).

    Where attention is spread over a whole row, a neighbour is lost among a hundred others, and it takes a model long to
    find out that it matters most. Over a window it is quickly found, and afterwards known in whole rows (`size` 0) too.

    >>> in_windows(np.array([[0, 5, 6, 1]]), 1, 2)[1]
    array([[2, 3],
           [4, 1]])
    """
    is_token = (ids != pad_token_id).astype(np.int64)  # B T
    positions = is_token.cumsum(1) * is_token + pad_token_id  # B T
    size = size or ids.shape[1]
    return ids.reshape(-1, size), positions.reshape(-1, size)


def body_of(model: Any, input_ids: Tensor, position_ids: Tensor) -> Tensor:
    """Run the layers below the head: (B, T) -> (B, T, D)."""
    attention_mask = (input_ids != model.config.pad_token_id).long()  # B T
    inputs = Inputs(input_ids=input_ids, attention_mask=attention_mask, position_ids=position_ids)
    return model.roberta(inputs=inputs).last_hidden_state


def accumulate_gradients(model: Any, masked: Ids, labels: Ids, run: Run, window: int) -> float:
    """Add up the gradient of a batch, piece by piece to save memory, and return the mean loss of its masked tokens."""
    count = max(1, int((labels != IGNORED).sum()))
    total = 0.0
    for part, targets in zip(np.array_split(masked, run.pieces), np.array_split(labels, run.pieces), strict=True):
        with run.compute():
            predicted = predict_masked(model, part, targets, run, window)
            # Divided by the count of the whole batch: the pieces' means would weigh them wrongly.
            loss = F.cross_entropy(*predicted, ignore_index=IGNORED, reduction="sum") / count
        loss.backward()
        total += loss.item()
    return total


# -- evaluation ----------------------------------------------------------------------------------------------------

EVALUATION_SEED = 20


def held_out_batches(corpus: Corpus, recipe: Recipe) -> Iterator[tuple[Ids, Ids]]:
    """Yield the held-out chapters, packed in order, under one mask (15 %; 80/10/10) that is the same for every run."""
    rows = stack_rows(pack_full_sentences(corpus.held_out, recipe.length), recipe.length)  # R T
    masker = DynamicMasker(corpus.tokenizer, EVALUATION_SEED)
    for index, begin in enumerate(range(0, len(rows), 64)):
        yield masker(rows[begin : begin + 64], epoch=0, index=index)


@torch.no_grad()
def evaluate(model: Any, corpus: Corpus, recipe: Recipe, run: Run) -> dict[str, float]:
    """Measure top-1 accuracy and perplexity over all masked tokens of the held-out chapters."""
    model.eval()
    loss, correct, count = 0.0, 0, 0
    for masked, labels in held_out_batches(corpus, recipe):
        with run.compute():
            logits, true_ids = predict_masked(model, masked, labels, run)
        loss += F.cross_entropy(logits, true_ids, ignore_index=IGNORED, reduction="sum").item()
        correct += int((logits.argmax(-1) == true_ids).sum())  # IGNORED is nobody's argmax
        count += int((labels != IGNORED).sum())
    model.train()
    return {"accuracy": correct / max(1, count), "perplexity": math.exp(loss / max(1, count)), "masked_tokens": count}


def evaluate_unigram(corpus: Corpus, recipe: Recipe) -> dict[str, float]:
    """Measure, on the same masked tokens, who knows no context but the tokens' frequencies, with add-one smoothing."""
    ids = np.concatenate([sentence for chapter in corpus.training for sentence in chapter])
    counts = np.bincount(ids, minlength=len(corpus.tokenizer)) + 1.0  # V
    true_ids = np.concatenate([labels[labels != IGNORED] for _, labels in held_out_batches(corpus, recipe)])  # M
    log_probs = np.log(counts / counts.sum())[true_ids]  # M
    return {"accuracy": float(np.mean(true_ids == counts.argmax())), "perplexity": math.exp(-log_probs.mean())}


# -- state ---------------------------------------------------------------------------------------------------------


@dataclass
class Run:
    """A run under way.

    Attributes:
        work: folder of the state.
        device: "cpu" or "cuda".
        precision: "auto", "float32" or "bfloat16".
        pieces: forward passes per step.
        compiled_body: `body_of`, or its compiled form.
        step: steps done.
        place: where in the data it goes on.
        seconds: spent so far, interruptions not counted.
    """

    work: Path
    device: str
    precision: str
    pieces: int
    compiled_body: Callable[..., Tensor] = body_of
    step: int = 0
    place: Place = START
    seconds: float = 0.0

    def compute(self) -> AbstractContextManager[Any]:
        """The context of forward passes: their precision."""
        return autocast(self.precision, self.device)


def identity(recipe: Recipe, corpus: Corpus) -> dict[str, Any]:
    """What must be the same for a run to go on; a finished one goes on too, if it is given more steps."""
    return {name: value for name, value in asdict(recipe).items() if name != "steps"} | {"text": corpus.checksum}


def save_state(run: Run, model: nn.Module, optimizer: torch.optim.Optimizer, who: Mapping[str, Any]) -> None:
    """Write everything that the next steps depend on; the old state is replaced in one step."""
    state = {"model": model.state_dict(), "optimizer": optimizer.state_dict(), "identity": dict(who)}
    state |= {"step": run.step, "place": tuple(run.place), "seconds": run.seconds}
    buffer = io.BytesIO()
    torch.save(state, buffer)
    write_atomically(run.work / "state.pt", buffer.getvalue())


def load_state(run: Run, model: nn.Module, optimizer: torch.optim.Optimizer, who: Mapping[str, Any]) -> None:
    """Go back to the last state in the folder, if there is one."""
    path = run.work / "state.pt"
    if not path.exists():
        return
    state = torch.load(path, map_location=run.device, weights_only=True)
    differing = [name for name, value in who.items() if state["identity"].get(name) != value]
    if differing:
        message = f"{path} belongs to a run with other {', '.join(differing)}; give another --work folder or delete it"
        raise typer.BadParameter(message)
    model.load_state_dict(state["model"])
    optimizer.load_state_dict(state["optimizer"])
    run.step, run.place, run.seconds = state["step"], Place(*state["place"]), state["seconds"]


# -- training ------------------------------------------------------------------------------------------------------


def take_step(model: Any, optimizer: torch.optim.Optimizer, batch: tuple[Ids, Ids], recipe: Recipe, run: Run) -> float:
    """Learn from one batch; return its loss."""
    # Dropout is drawn from the step's own seed: no generator's state needs saving, on any device.
    torch.manual_seed((recipe.seed << 32) + run.step)
    for group in optimizer.param_groups:
        group["lr"] = learning_rate(run.step, recipe)
    window = recipe.window if run.step < recipe.window_steps else 0
    loss = accumulate_gradients(model, *batch, run, window)
    nn.utils.clip_grad_norm_(model.parameters(), 1.0)
    optimizer.step()
    optimizer.zero_grad()
    return loss


def progress_bar() -> Progress:
    """The bar: steps, loss, tokens per second, time spent and left."""
    text = TextColumn("loss {task.fields[loss]:.3f} · {task.fields[speed]:,.0f} tokens/s")
    return Progress(
        BarColumn(), MofNCompleteColumn(), text, TimeElapsedColumn(), TimeRemainingColumn(), console=console
    )


def learn(model: Any, corpus: Corpus, recipe: Recipe, run: Run, save_every: int) -> None:
    """Train from the state in the work folder to the end."""
    optimizer, who = new_optimizer(model, recipe), identity(recipe, corpus)
    load_state(run, model, optimizer, who)
    remaining = range(run.step, recipe.steps)
    begin, tokens, loss = time.monotonic() - run.seconds, 0, 0.0
    start = time.monotonic()
    with progress_bar() as progress, attention_kernel(run.device):
        bar = progress.add_task("", total=recipe.steps, completed=run.step, loss=math.nan, speed=0.0)
        for (place, masked, labels), _ in zip(batches(corpus, recipe, run.place), remaining, strict=False):
            now = take_step(model, optimizer, (masked, labels), recipe, run)
            loss = now if tokens == 0 else 0.98 * loss + 0.02 * now
            tokens += masked.size
            run.step, run.place, run.seconds = run.step + 1, place, time.monotonic() - begin
            progress.update(bar, advance=1, loss=loss, speed=tokens / (time.monotonic() - start))
            if run.step % save_every == 0 or run.step == recipe.steps:
                save_state(run, model, optimizer, who)
                report(run, loss, evaluate(model, corpus, recipe, run))


def report(run: Run, loss: float, figures: Mapping[str, float]) -> None:
    """Print a line that stays."""
    measured = f"held-out accuracy {figures['accuracy']:.2%}, perplexity {figures['perplexity']:.1f}"
    console.print(f"step {run.step}, {run.seconds:.0f} s, epoch {run.place.epoch}: loss {loss:.3f}, {measured}")


def save(model: Any, corpus: Corpus, out: Path) -> Any:
    """Write the checkpoint in float16, and return what a reader of the folder gets: the rounded model."""
    model.half().save_pretrained(out)
    corpus.tokenizer.save_pretrained(out)
    return roberta.RobertaForMaskedLM.from_pretrained(out, backend="torch")


def describe(model: Any, corpus: Corpus, recipe: Recipe, run: Run) -> dict[str, Any]:
    """Measure the finished model, in float32, and tell how it was made."""
    exact = Run(run.work, "cpu", "float32", 1)
    return {
        "command": command_line(),
        "parameters": model.num_parameters(),
        "training_tokens": token_count(corpus.training),
        "held_out_tokens": token_count(corpus.held_out),
        "training_chapters": len(corpus.training),
        "held_out_chapters": len(corpus.held_out),
        "epochs": run.place.epoch + 1,
        "seconds": round(run.seconds),
        "hardware": f"{torch.get_num_threads()} CPU cores" if run.device == "cpu" else torch.cuda.get_device_name(),
        "held_out": evaluate(model, corpus, recipe, exact),
        "unigram": evaluate_unigram(corpus, recipe),
        "recipe": asdict(recipe),
    }


def token_count(documents: Sequence[Document]) -> int:
    """Tokens in documents, special ones not counted."""
    return sum(len(sentence) for document in documents for sentence in document)


def command_line() -> str:
    """The command as typed, with the script's path as seen from the repository."""
    return shlex.join(["python", "examples/pretrain.py", *sys.argv[1:]])


@app.command()
def train(
    ctx: typer.Context,
    texts: Annotated[list[Path], typer.Argument(exists=True, dir_okay=False, help="UTF-8 text files.")],
    out: Annotated[Path, typer.Option(help="Folder of the finished checkpoint.")],
    work: Annotated[Path, typer.Option(help="Folder of the state of an unfinished run.")] = Path("runs/pretrain"),
    seed: Annotated[int, typer.Option(help="Of weights, order, masks and dropout.")] = 0,
    vocab_size: Annotated[int, typer.Option(help="Entries of the byte-level BPE vocabulary.")] = 4000,
    hidden_size: Annotated[int, typer.Option(help="Width of the model.")] = 256,
    layers: Annotated[int, typer.Option(help="Depth of the model.")] = 4,
    heads: Annotated[int, typer.Option(help="Attention heads per layer.")] = 4,
    intermediate_size: Annotated[int, typer.Option(help="Width of the feed-forward layers.")] = 768,
    length: Annotated[int, typer.Option(help="Tokens in a row at most.")] = 128,
    window: Annotated[int, typer.Option(min=1, help="Tokens that see each other at first; divides the length.")] = 16,
    window_steps: Annotated[int, typer.Option(help="Steps for which they do.")] = 0,
    initializer_range: Annotated[float, typer.Option(help="Standard deviation of the first weights.")] = 0.02,
    hold_out: Annotated[int, typer.Option(min=2, help="Every so many-th chapter is for evaluation.")] = 20,
    mask_probability: Annotated[float, typer.Option(help="Share of the tokens to be guessed in training.")] = 0.25,
    dropout: Annotated[float, typer.Option(help="On embeddings and on what each block adds.")] = 0.0,
    batch: Annotated[int, typer.Option(min=1, help="Rows per step.")] = 16,
    accumulate: Annotated[int, typer.Option(min=1, help="Pieces that a batch is cut into, to save memory.")] = 1,
    steps: Annotated[int, typer.Option(min=1, help="Steps in all.")] = 22000,
    learning_rate: Annotated[float, typer.Option(help="At its peak.")] = 1e-3,
    warmup: Annotated[float, typer.Option(min=0, max=1, help="Share of the steps in which it rises.")] = 0.06,
    weight_decay: Annotated[float, typer.Option(help="Of matrices.")] = 0.01,
    save_every: Annotated[int, typer.Option(min=1, help="Steps between states saved, and evaluations.")] = 1000,
    device: Annotated[str, typer.Option(help="cpu, cuda, or auto: cuda where there is one.")] = "auto",
    precision: Annotated[str, typer.Option(help="float32, bfloat16 or auto: the faster.")] = "auto",
    compile: Annotated[bool, typer.Option(help="Compile the model: faster; needs a C++ compiler.")] = False,
) -> None:
    """Train on TEXTS and write a checkpoint folder: config, weights in float16, tokenizer, training.json."""
    if length % window:
        message = f"--window: expected a divisor of --length = {length}, got {window}"
        raise typer.BadParameter(message)
    if accumulate > batch:
        message = f"--accumulate: expected at most --batch = {batch} pieces, got {accumulate}"
        raise typer.BadParameter(message)
    recipe = Recipe(**{field.name: ctx.params[field.name] for field in fields(Recipe)})
    device = ("cuda" if torch.cuda.is_available() else "cpu") if device == "auto" else device
    run = Run(work, device, precision, accumulate, torch.compile(body_of, dynamic=False) if compile else body_of)
    corpus = read_corpus(texts, recipe)
    model = new_model(recipe, len(corpus.tokenizer), device)
    console.print(f"{model.num_parameters():,} parameters; {len(corpus.training)} chapters to learn from")
    learn(model, corpus, recipe, run, save_every)
    figures = describe(save(model, corpus, out), corpus, recipe, run)
    write_atomically(out / "training.json", (json.dumps(figures, indent=2) + "\n").encode())
    console.print_json(data=figures)


# -- model card ----------------------------------------------------------------------------------------------------

CARD_BEGIN, CARD_END = "<!-- begin: written by `{command}` -->", "<!-- end -->"


@app.command()
def card(
    folder: Annotated[Path, typer.Argument(exists=True, file_okay=False, help="A checkpoint that `train` wrote.")],
    prompts: Annotated[Path | None, typer.Option(help="A prompt a line; prompts.txt in FOLDER by default.")] = None,
    top: Annotated[int, typer.Option(min=1, help="Answers per prompt.")] = 3,
) -> None:
    """Write figures and completions into FOLDER/README.md, between its two marks, or at its end if it has none."""
    lines = (prompts or folder / "prompts.txt").read_text(encoding="utf-8").splitlines()
    figures = json.loads((folder / "training.json").read_text(encoding="utf-8"))
    begin = CARD_BEGIN.format(command=command_line())
    generated = "\n\n".join([begin, figures_table(figures), completions_table(folder, lines, top), CARD_END])
    path = folder / "README.md"
    before, after = around_marks(path.read_text(encoding="utf-8") if path.exists() else "")
    write_atomically(path, f"{before}{generated}{after}".encode())


def around_marks(text: str) -> tuple[str, str]:
    """What stands before the first mark and after the last one.

    >>> around_marks("Hello <!-- begin: written by … -->old<!-- end --> world")
    ('Hello ', ' world')
    """
    begin, end = text.find("<!-- begin: "), text.find(CARD_END)
    return (text[:begin], text[end + len(CARD_END) :]) if begin >= 0 and end >= 0 else (text, "\n")


def figures_table(figures: Mapping[str, Any]) -> str:
    """The figures as Markdown."""
    table = [
        ("{masked_tokens:,} masked tokens of held-out chapters", "top-1 accuracy", "perplexity"),
        ("---", "---:", "---:"),
        ("this model", "{held_out[accuracy]:.1%}", "{held_out[perplexity]:.1f}"),
        ("unigram guess", "{unigram[accuracy]:.1%}", "{unigram[perplexity]:.1f}"),
    ]
    story = (
        "{parameters:,} parameters, trained for {minutes:.0f} minutes on {hardware}: {recipe[steps]:,} steps of "
        "{recipe[batch]} rows of up to {recipe[length]} tokens, {epochs} passes over {training_tokens:,} tokens of "
        "{training_chapters} chapters. {held_out_chapters} more chapters, {held_out_tokens:,} tokens, were held out."
    )
    lines = [*(f"| {' | '.join(row)} |" for row in table), "", story, "", "    {command}"]
    more = {"minutes": figures["seconds"] / 60, "masked_tokens": figures["held_out"]["masked_tokens"]}
    return "\n".join(lines).format(**figures, **more)


def completions_table(folder: Path, prompts: Sequence[str], top: int) -> str:
    """The most probable answers to each prompt, with their probabilities, as Markdown."""
    model = roberta.RobertaForMaskedLM.from_pretrained(folder, backend="torch")
    tokenizer = roberta.RobertaTokenizer.from_pretrained(folder)
    lines = [f"| prompt | top {top} |", "| --- | --- |"]
    for prompt in prompts:
        best = roberta.fill_mask(prompt, model, tokenizer, top=top)[0]
        answers = ", ".join(f"`{answer.token_str.strip()}` {answer.score:.0%}" for answer in best)
        lines.append(f"| {prompt.replace('<mask>', '`<mask>`')} | {answers} |")
    return "\n".join(lines)


if __name__ == "__main__":
    app()
