"""What a run depends on besides its text; the paper's settings as presets."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import roberta


@dataclass(frozen=True)
class Recipe:
    """Sizes of the model, the optimizer and its schedule.

    The defaults are those of Liu et al. 2019, appendix A, table 9, roberta-base. There gradients are not clipped
    ("gradient clipping 0.0"), so there is no field for it. Matrices decay, vectors (biases, layer norms) do not.

    Attributes:
        layers, hidden_size, intermediate_size, heads: of the model.
        batch: rows (of full sentences, of the corpus's length) that one step learns from.
        steps: in all.
        warmup_steps: in which the learning rate rises linearly to its peak; then it falls linearly to 0.
        learning_rate: the peak.
        betas, epsilon, weight_decay: of Adam, whose decay is decoupled.
        dropout, attention_dropout: rates.
        seed: of the weights and of dropout; the corpus has its own, for order and masks.
    """

    layers: int = 12
    hidden_size: int = 768
    intermediate_size: int = 3072
    heads: int = 12
    batch: int = 8192
    steps: int = 500_000
    warmup_steps: int = 24_000
    learning_rate: float = 6e-4
    betas: tuple[float, float] = (0.9, 0.98)
    epsilon: float = 1e-6
    weight_decay: float = 0.01
    dropout: float = 0.1
    attention_dropout: float = 0.1
    seed: int = 0

    def rate(self, step: int) -> float:
        """The learning rate of a step, counted from 0.

        Example:
            >>> [Recipe(steps=10, warmup_steps=2, learning_rate=8.0).rate(step) for step in (0, 1, 2, 6, 9)]
            [4.0, 8.0, 8.0, 4.0, 1.0]
        """
        rising = (step + 1) / max(1, self.warmup_steps)
        falling = (self.steps - step) / max(1, self.steps - self.warmup_steps)
        return self.learning_rate * min(rising, falling, 1.0)

    def config(self, vocab_size: int, length: int) -> roberta.RobertaConfig:
        """The model's configuration, for rows of `length` ids."""
        return roberta.RobertaConfig(
            vocab_size=vocab_size,
            hidden_size=self.hidden_size,
            num_hidden_layers=self.layers,
            num_attention_heads=self.heads,
            intermediate_size=self.intermediate_size,
            max_position_embeddings=length + 2,  # position ids begin at pad + 1 = 2
            type_vocab_size=1,
            layer_norm_eps=1e-5,
            hidden_dropout_prob=self.dropout,
            attention_probs_dropout_prob=self.attention_dropout,
        )


LARGE = {"layers": 24, "hidden_size": 1024, "intermediate_size": 4096, "heads": 16}
TINY = {"layers": 1, "hidden_size": 22, "intermediate_size": 29, "heads": 2}
#: Name -> settings. The first two are the columns of table 9; `tiny` is for trying things out.
PRESETS: Mapping[str, Recipe] = {
    "roberta-base": Recipe(),
    "roberta-large": Recipe(**LARGE, warmup_steps=30_000, learning_rate=4e-4),
    "tiny": Recipe(**TINY, batch=12, steps=20, warmup_steps=5, learning_rate=1e-3),
}


def preset(name: str, **changes: Any) -> Recipe:
    """A preset, with some of its fields changed; None leaves a field as it is.

    Raises:
        ValueError: an unknown name, or a field out of its range.

    Example:
        >>> preset("roberta-large", steps=100_000, batch=None).warmup_steps
        30000
    """
    if name not in PRESETS:
        message = f"preset: expected one of {', '.join(PRESETS)}, got {name!r}"
        raise ValueError(message)
    given = {field: value for field, value in changes.items() if value is not None}
    recipe = Recipe(**{**asdict(PRESETS[name]), **given})
    for field in ("layers", "hidden_size", "intermediate_size", "heads", "batch", "steps"):
        if getattr(recipe, field) < 1:
            message = f"{field}: expected at least 1, got {getattr(recipe, field)}"
            raise ValueError(message)
    if not 0 <= recipe.warmup_steps < recipe.steps:
        message = (
            f"warmup_steps: expected 0 to steps - 1 = {recipe.steps - 1}, got {recipe.warmup_steps}; the paper warms "
            "up over some 5 % of the steps"
        )
        raise ValueError(message)
    return recipe
