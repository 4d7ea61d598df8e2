"""What a run would cost, before it is begun: tokens, floating-point operations, memory, days. Nothing is trained.

Communication is not reckoned: what it costs is part of the fraction of the peak that is achieved, an assumption
unless it was measured (`--achieved`).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from math import prod

from roberta.reference.parameters import parameter_table

from .recipe import PRESETS, Recipe

#: The paper's vocabulary, length, and share of hidden tokens (sections 4.1, 4.2 and 4.4).
VOCAB_SIZE, LENGTH, MASKED = 50265, 512, 0.15
#: NVIDIA's figure for a V100 with NVLink, products of float16 summed in float32.
V100 = 125e12
DAY = 86_400.0
BYTES = {"float32": 4, "bfloat16": 2}


@dataclass(frozen=True)
class Plan:
    """A recipe on so many devices.

    Attributes:
        recipe: settings.
        devices: how many.
        device_flops: operations that one could do in a second, at its peak.
        achieved: the fraction of them that is done.
        rows_at_once: of a forward pass on one device; None: all of its share of a batch.
        way: "ddp": each device has everything; "fsdp": each has its part of weights, gradients and moments.
        precision: of the products, and of what is kept for the backward pass; weights are float32.
        corpus_tokens: of an epoch; None if that is not known.
        length, vocab_size: of rows and ids.
    """

    recipe: Recipe
    devices: int
    device_flops: float
    achieved: float
    rows_at_once: int | None = None
    way: str = "ddp"
    precision: str = "bfloat16"
    corpus_tokens: int | None = None
    length: int = LENGTH
    vocab_size: int = VOCAB_SIZE

    # -- work --------------------------------------------------------------------------------------------------------

    @property
    def tokens(self) -> int:
        """Read in all steps."""
        return self.recipe.steps * self.recipe.batch * self.length

    @property
    def parameters(self) -> int:
        """Of the model, tied ones once."""
        table = parameter_table("masked_lm", self.recipe.config(self.vocab_size, self.length))
        return sum(prod(parameter.shape) for parameter in table.values() if parameter.tied_to is None)

    @property
    def body(self) -> int:
        """Of the matrices that every token is multiplied with: four D D of attention, two D F, in each layer."""
        D, F = self.recipe.hidden_size, self.recipe.intermediate_size
        return self.recipe.layers * (4 * D * D + 2 * D * F)

    @property
    def head(self) -> int:
        """Of the matrices that hidden tokens are multiplied with: D D, and the table of the vocabulary."""
        return self.recipe.hidden_size * (self.recipe.hidden_size + self.vocab_size)

    @property
    def attention_flops(self) -> int:
        """Of a token: q k' and p v, 2 T D each and layer, three times over for forward and backward."""
        return 3 * 2 * 2 * self.recipe.layers * self.length * self.recipe.hidden_size

    @property
    def flops(self) -> float:
        """6 operations for each token and weight that it meets (2 forward, 4 backward), and those of attention.

        Tables are looked up, not multiplied; the head meets the hidden tokens only.

        Source: Kaplan et al. 2020, section 2.1; with attention, Chowdhery et al. 2022, appendix B.
        """
        return self.tokens * (6 * self.body + 6 * MASKED * self.head + self.attention_flops)

    @property
    def device_days(self) -> float:
        """Days of one device."""
        return self.flops / (self.achieved * self.device_flops) / DAY

    # -- memory, in bytes of one device ------------------------------------------------------------------------------

    @property
    def rows(self) -> int:
        """Of one forward pass on one device."""
        return self.rows_at_once or max(1, self.recipe.batch // self.devices)

    @property
    def parts(self) -> int:
        """Into how many parts weights, gradients and moments are cut."""
        return self.devices if self.way == "fsdp" else 1

    @property
    def layer_activations(self) -> int:
        """What one layer keeps for the backward pass.

        In numbers a token: its input, queries, keys, values, what attention gives (in two layouts), the two sums that
        are normalized, and once what comes out: 9 D; before and after the activation: 2 F; the mask: 1. A byte each for
        two dropouts. In float32: mean and deviation of two layer norms, and the softmax's sum of each head. Attention's
        kernel is fused: it keeps no probabilities.

        Source: Korthikanti et al. 2022, section 4.1. Their 34 D bytes are these, without the second layout; their 5 T H
        are the probabilities.
        """
        recipe, size = self.recipe, BYTES[self.precision]
        numbers = 9 * recipe.hidden_size + 2 * recipe.intermediate_size
        masks = 2 * recipe.hidden_size if recipe.dropout else 0
        return self.rows * self.length * (size * numbers + masks + size + 4 * (4 + recipe.heads))

    @property
    def head_activations(self) -> int:
        """What the head keeps of the hidden tokens: 4 D numbers; log-probabilities and their gradient, 2 V."""
        hidden = MASKED * self.rows * self.length
        return int(hidden * (4 * BYTES[self.precision] * self.recipe.hidden_size + 2 * 4 * self.vocab_size))

    @property
    def gathered(self) -> int:
        """FSDP puts together what is needed: the tables and the head for the whole pass, the layers one by one."""
        if self.way != "fsdp":
            return 0
        return 4 * (self.parameters - self.body) + 4 * self.body // self.recipe.layers

    @property
    def memory(self) -> dict[str, float]:
        """Of one device, by what it is for. Weights, gradients and moments: Rajbhandari et al. 2020, section 3.1."""
        copies = BYTES[self.precision] * self.parameters if self.precision != "float32" else 0
        return {
            "weights, float32": 4 * self.parameters / self.parts,
            "gathered weights (fsdp)": self.gathered,
            f"their copies in {self.precision}": copies,
            "gradients, float32": 4 * self.parameters / self.parts,
            "Adam's two moments, float32": 8 * self.parameters / self.parts,
            f"activations of {self.recipe.layers} layers": self.recipe.layers * self.layer_activations,
            "activations of the head": self.head_activations,
        }


#: "We pretrain our model using 1024 V100 GPUs for approximately one day": BERT-large's sizes, 100K steps of 8K rows
#: (Liu et al. 2019, section 5).
PAPERS_RUN = Plan(PRESETS["roberta-large"], devices=1024, device_flops=V100, achieved=1.0)


def papers_fraction() -> float:
    """The fraction of a V100's peak that the paper's day comes to, by the formulas above.

    Example:
        >>> 0.05 < papers_fraction() < 0.10
        True
    """
    flops = PAPERS_RUN.flops * 100_000 / PAPERS_RUN.recipe.steps
    return flops / (PAPERS_RUN.devices * V100 * DAY)


def lines(plan: Plan, assumed: bool) -> Iterator[tuple[str, str]]:
    """The plan, to be printed: what, and how much."""
    recipe, share = plan.recipe, plan.recipe.batch / plan.devices
    yield "parameters", f"{plan.parameters:,}"
    yield "tokens", f"{plan.tokens:,}: {recipe.steps:,} steps of {recipe.batch:,} rows of {plan.length}"
    if plan.corpus_tokens:
        yield "epochs", f"{plan.tokens / plan.corpus_tokens:.1f} of {plan.corpus_tokens:,} tokens"
    yield "a step, on a device", f"{share:,.6g} rows, {plan.rows:,} at once: {share / plan.rows:,.6g} passes"
    yield "operations", f"{plan.flops:.3g} (6 P tokens would be {6.0 * plan.parameters * plan.tokens:.3g})"
    per_token = 6 * plan.body, plan.attention_flops, 6 * MASKED * plan.head
    yield "  of a token", "{:.3g} layers + {:.3g} attention + {:.3g} head".format(*per_token)
    for name, size in plan.memory.items():
        if size:
            yield f"memory: {name}", f"{size / 2**30:.2f} GiB"
    yield "memory of a device", f"{sum(plan.memory.values()) / 2**30:.2f} GiB, and what the framework itself takes"
    source = "assumed: the paper's own day" if assumed else "given"
    yield "achieved", f"{plan.achieved:.1%} of {plan.device_flops / 1e12:.0f} TFLOP/s ({source})"
    yield "device-days", f"{plan.device_days:,.0f}"
    yield "days", f"{plan.device_days / plan.devices:,.2f} on {plan.devices:,} devices"
