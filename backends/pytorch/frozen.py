"""What an inference form is made of: modules that are as the engine has made them, and weights that stay."""

from __future__ import annotations

from typing import Any
from weakref import ref

from torch import Tensor, nn

from . import attention, embeddings, encoder, heads
from .layers import LayerNorm

#: Modules that are computed as their `forward` computes them. Any other may compute otherwise.
KNOWN = frozenset({
    nn.Linear, nn.Embedding, nn.Dropout, nn.ModuleList, LayerNorm, embeddings.Embeddings, attention.SelfAttention,
    attention.CrossAttention, attention.Residual, attention.Attention, encoder.Intermediate, encoder.Layer,
    encoder.Pooler, encoder.Encoder, encoder.Body, heads.LMHead, heads.ClassificationHead,
})  # fmt: skip


def require_known(model: nn.Module) -> None:
    """Refuse a model of which something would be passed over.

    Raises:
        TypeError: names the first module that somebody has put in another's place, or given hooks or another `forward`.
    """
    for path, module in model.named_modules():
        if module is not model and type(module) not in KNOWN:
            what = f"is a {type(module).__name__}"
        elif module._forward_hooks or module._forward_pre_hooks:
            what = "has hooks"
        elif "forward" in vars(module):
            what = "has a forward of its own"
        else:
            continue
        where = f"{type(model).__name__}: for_inference computes plain modules, and {path or 'the model itself'} {what}"
        message = f"{where}; merge or remove it first, or go on with the model"
        raise TypeError(message)


class Watch:
    """The weights of a model as they were, to notice that they have changed. It keeps none of them alive.

    Noticed is a module or parameter in another's place, as after `load_state_dict(assign=True)`, pruning or resizing; a
    parameter's other memory (`.data =`, `model.double()`); and each change in place that PyTorch counts: an optimizer's
    step, `load_state_dict`, `copy_`. What is written into `parameter.data`, or into its memory as a NumPy array, nobody
    counts.
    """

    def __init__(self, model: nn.Module) -> None:
        self._modules = [
            (ref(module), name, ref(part), f"{path}.{name}".removeprefix("."))
            for path, module in model.named_modules()
            for name, part in module._modules.items()
            if part is not None
        ]
        self._parameters = [
            (ref(module), name, ref(value), _version(value), value.data_ptr(), f"{path}.{name}".removeprefix("."))
            for path, module in model.named_modules()
            for name, value in module._parameters.items()
            if value is not None
        ]

    def changed(self) -> str:
        """The name of the first that has; "" if all are as they were, or gone with their model."""
        for owner, name, part, path in self._modules:
            module = owner()
            if module is not None and module._modules.get(name) is not part():
                return path
        for owner, name, parameter, version, pointer, path in self._parameters:
            module = owner()
            if module is None:
                continue
            value = module._parameters.get(name)
            if value is None or value is not parameter():
                return path
            if value.data_ptr() != pointer or (version is not None and value._version != version):
                return path
        return ""


def _version(value: Tensor) -> Any:
    """How often a tensor was changed in place; of those that inference mode has made nobody counts it."""
    return None if value.is_inference() else value._version
