"""What clients of transformers' PyTorch classes ask of a model besides: Trainer, PEFT, accelerate, pipelines.

The mathematics needs none of it. `Clients` is a base of the heads and of the body.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar, cast

from torch import Tensor, device, nn
from torch.utils.checkpoint import checkpoint

from ...reference.config import RobertaConfig
from ...reference.outputs import as_fields
from .weights import device_of

#: The two ways to attention, between which a call chooses.
ATTENTIONS = ("sdpa", "eager")


class Clients:
    """Attributes and methods under the names that transformers' `PreTrainedModel` has for them."""

    base_model_prefix: ClassVar[str] = "roberta"
    main_input_name: ClassVar[str] = "input_ids"
    config_class: ClassVar[type[RobertaConfig]] = RobertaConfig
    framework: ClassVar[str] = "pt"
    supports_gradient_checkpointing: ClassVar[bool] = True
    is_parallelizable: ClassVar[bool] = False
    _no_split_modules: ClassVar[tuple[str, ...]] = ("Embeddings", "Layer")
    #: What transformers' own libraries look up. Attention is PyTorch's fused one unless a call asks for more than that
    #: gives, such as probabilities: there is nothing to choose.
    _supports_sdpa: ClassVar[bool] = True
    _supports_flash_attn: ClassVar[bool] = False
    _supports_flex_attn: ClassVar[bool] = False
    _supports_attention_backend: ClassVar[bool] = False
    _keep_in_fp32_modules: ClassVar[None] = None
    _keys_to_ignore_on_load_missing: ClassVar[None] = None
    _keys_to_ignore_on_load_unexpected: ClassVar[None] = None
    _keys_to_ignore_on_save: ClassVar[None] = None

    if TYPE_CHECKING:
        config: RobertaConfig
        table: Mapping[str, Any]
        parameters: Callable[..., Any]
        buffers: Callable[..., Any]

    @property
    def device(self) -> device:
        """Where the parameters are."""
        return device_of(cast("nn.Module", self))

    def _replicate_for_data_parallel(self) -> Any:
        """A copy for one device of `torch.nn.DataParallel`, which gathers tensors, tuples and dicts only."""
        replica = cast("Any", super())._replicate_for_data_parallel()
        replica._forward_hooks = replica._forward_hooks.copy()  # else shared with the model
        replica.register_forward_hook(lambda _, __, answer: as_fields(answer))
        return replica

    @property
    def base_model(self) -> Any:
        """The body: `roberta` of a head, and of a body itself."""
        return getattr(self, self.base_model_prefix, self)

    @property
    def is_gradient_checkpointing(self) -> bool:
        """Whether activations are computed again in the backward pass."""
        return self.base_model.encoder.checkpoint is not None

    def gradient_checkpointing_enable(self, gradient_checkpointing_kwargs: Mapping[str, Any] | None = None) -> None:
        """Keep of each layer its input only, and compute the rest again in the backward pass, in training mode.

        The gradients are the same: dropout draws the same again. Memory for activations falls from all that a layer
        computes, some (34 D + 5 H S) numbers of each token, to D; a step computes the forward pass twice.

        Args:
            gradient_checkpointing_kwargs: of `torch.utils.checkpoint.checkpoint`. Not reentrant unless told, as
                PyTorch advises; the reentrant one needs `enable_input_require_grads` where the embeddings are frozen.

        Source: Chen et al. (2016), arXiv:1604.06174; HF `PreTrainedModel.gradient_checkpointing_enable`.
        """
        options = {"use_reentrant": False, **(gradient_checkpointing_kwargs or {})}
        self.base_model.encoder.checkpoint = partial(checkpoint, **options)

    def gradient_checkpointing_disable(self) -> None:
        """Keep all activations of a training step."""
        self.base_model.encoder.checkpoint = None

    def enable_input_require_grads(self) -> None:
        """Let what the word table gives want a gradient, though the table may be frozen."""
        self.disable_input_require_grads()
        table: nn.Module = self.base_model.embeddings.word_embeddings
        vars(self)["_input_hook"] = table.register_forward_hook(_require_grad)

    def disable_input_require_grads(self) -> None:
        """Undo `enable_input_require_grads`."""
        hook = vars(self).pop("_input_hook", None)
        if hook is not None:
            hook.remove()

    def tie_weights(self) -> None:
        """Make the decoder of a language model the word table again, where the configuration ties them."""
        lm_head: Any = getattr(self, "lm_head", None)
        if lm_head is None:
            return
        if self.config.tie_word_embeddings:
            lm_head.decoder.weight = self.base_model.embeddings.word_embeddings.weight
        lm_head.bias = lm_head.decoder.bias

    @property
    def _tied_weights_keys(self) -> list[str]:
        """The parameters that are another one."""
        table: Mapping[str, Any] = getattr(self, "table", {})
        return [name for name, parameter in table.items() if parameter.tied_to is not None]

    @classmethod
    def _can_set_attn_implementation(cls) -> bool:
        """Whether there are several kernels to choose from."""
        return False

    def set_attn_implementation(self, attn_implementation: str) -> None:
        """Take note of nothing: what a call asks for decides how attention is computed, and the results are the same.

        Args:
            attn_implementation: "sdpa" or "eager".

        Raises:
            ValueError: another one, which there is not.
        """
        if attn_implementation not in ATTENTIONS:
            message = f"attn_implementation: required one of {list(ATTENTIONS)}, got {attn_implementation!r}"
            raise ValueError(message)

    @classmethod
    def _from_config(cls, config: Any, **options: Any) -> Any:
        """A fresh model, as `AutoModel.from_config` makes one."""
        model = cast("Any", cls)(config, dtype=options.get("dtype", options.get("torch_dtype")))
        model.set_attn_implementation(options.get("attn_implementation") or ATTENTIONS[0])
        return model

    def get_memory_footprint(self, return_buffers: bool = True) -> int:
        """How many bytes the parameters take, tied ones once; and the buffers."""
        return sum(part.nbytes for part in (*self.parameters(), *(self.buffers() if return_buffers else ())))


def _require_grad(module: nn.Module, inputs: Any, output: Tensor) -> None:
    output.requires_grad_(True)
