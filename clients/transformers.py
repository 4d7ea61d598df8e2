"""transformers' `Trainer` for the models of this package.

`from roberta.clients.transformers import Trainer`, and everything else as in transformers. Its own `Trainer` trains our
models too, but it asks for its base class before it writes: of another `torch.nn.Module` it writes the state_dict
alone, without config.json, and of tied weights not even that.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
import transformers

from ..dispatch import checkpoint
from ..dispatch.calling import as_fields
from ..dispatch.model import PublicModel

if TYPE_CHECKING:
    from collections.abc import Mapping


class SavesCheckpoints:
    """What makes a trainer save and load our models as checkpoints: mix it in before your own.

    `class Mine(SavesCheckpoints, trl.SFTTrainer)`. A model of another class goes the trainer's own way.
    """

    if TYPE_CHECKING:
        model: Any
        args: Any
        state: Any
        accelerator: Any
        processing_class: Any
        data_collator: Any

    def _ours(self) -> Any:
        """The model without what accelerate has put around it, if it is one of this package; else None."""
        model = self.accelerator.unwrap_model(self.model, keep_torch_compile=False)
        return model if isinstance(model, PublicModel) else None

    def _save(self, output_dir: str | None = None, state_dict: Mapping[str, Any] | None = None) -> None:
        """Write config.json and model.safetensors, the tokenizer's files, and the training arguments."""
        model = self._ours()
        if model is None:
            super()._save(output_dir, state_dict)  # pyright: ignore[reportAttributeAccessIssue]
            return
        folder = Path(output_dir or self.args.output_dir)
        model.save_pretrained(folder, state_dict=state_dict)
        tokenizer = self.processing_class or getattr(self.data_collator, "tokenizer", None)
        if tokenizer is not None:
            tokenizer.save_pretrained(folder)
        torch.save(self.args, folder / "training_args.bin")

    def _load_from_checkpoint(self, resume_from_checkpoint: str, model: Any = None) -> None:
        """Replace the weights by those of a folder that `_save` has written."""
        ours = self._ours() if model is None else model
        if isinstance(ours, PublicModel):
            ours.load_state_dict_numpy(checkpoint.read_tensors(Path(resume_from_checkpoint)))
        else:
            super()._load_from_checkpoint(resume_from_checkpoint, model)  # pyright: ignore[reportAttributeAccessIssue]

    def prediction_step(self, model: Any, inputs: Any, *arguments: Any, **options: Any) -> Any:
        """Predict; a record is a dict for as long, without which a loss of one's own leaves no logits."""
        hook = model.register_forward_hook(lambda _, __, answer: as_fields(answer))
        try:
            return super().prediction_step(model, inputs, *arguments, **options)  # pyright: ignore[reportAttributeAccessIssue]
        finally:
            hook.remove()

    def _load_best_model(self) -> None:
        """Replace the weights by those of the best checkpoint."""
        if self._ours() is None:
            super()._load_best_model()  # pyright: ignore[reportAttributeAccessIssue]
        else:
            self._load_from_checkpoint(self.state.best_model_checkpoint)


class Trainer(SavesCheckpoints, transformers.Trainer):
    """`transformers.Trainer`, whose checkpoints of our models are whole: every `from_pretrained` loads them.

    With `processing_class=tokenizer` and without a collator it pads by that tokenizer, ours or theirs.

    Source: HF `Trainer._save`, `_load_from_checkpoint`, `_load_best_model` @ 4.57.6, which these replace.
    """

    def __init__(self, model: Any = None, args: Any = None, data_collator: Any = None, *more: Any, **rest: Any) -> None:
        super().__init__(model, args, data_collator, *more, **rest)
        if data_collator is None and hasattr(self.processing_class, "pad_token"):
            self.data_collator = transformers.DataCollatorWithPadding(self.processing_class)
