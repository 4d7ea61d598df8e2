"""Parameters and arrays: NumPy <-> PyTorch. The names are HF's, which are the modules' own."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping
from contextlib import AbstractContextManager
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch._subclasses import FakeTensor


def state_dict_numpy(model: nn.Module) -> dict[str, Any]:
    """HF's names -> arrays, tied ones under each of their names; bfloat16 as float32, which holds it exactly.

    Of a parametrised or pruned module it is the weight with which the module computes.

    Raises:
        TypeError: adapters, which have the layer's place and no names in a checkpoint.
    """
    return {name: to_numpy(tensor) for name, tensor in _effective(model).items()}


def load_state_dict_numpy(model: nn.Module, state: Mapping[str, Any], dtype: str, device: Any = None) -> None:
    """Move the model to a dtype and device, and copy the arrays into its parameters, which stay the same objects.

    Those of a new model are on the meta device, where they take no room and no number is drawn that would be
    overwritten: they are replaced, tied ones by one.

    Raises:
        TypeError: weights that somebody's parametrisation computes.
    """
    _require_device(device)
    _give(model, lambda name, size: torch.empty(size, dtype=getattr(torch, dtype), device=device))
    model.to(device=device, dtype=getattr(torch, dtype))
    own = model.state_dict()
    for name in state:
        if name not in own:
            what = f"{name} is computed from other parameters (a parametrisation, pruning or an adapter)"
            message = f"load_state_dict_numpy: {what}, and cannot be replaced; remove or merge that first"
            raise TypeError(message)
    with torch.no_grad():
        for name, array in state.items():
            own[name].copy_(_tensor(array))


def adopt_state_dict_numpy(model: nn.Module, state: Mapping[str, Any], dtype: str, device: Any = None) -> None:
    """The same with arrays that are nobody else's: those of a new model's dtype become its parameters as they are."""
    _require_device(device)
    _give(model, lambda name, size: _tensor(state[name]).to(device=device, dtype=getattr(torch, dtype)))


def _require_device(device: Any) -> None:
    """A device that PyTorch has, where one is asked for.

    Raises:
        ValueError: a name that it does not know, or a GPU where it finds none.
    """
    try:
        kind = "cpu" if device is None else torch.device(device).type
    except RuntimeError as error:
        raise ValueError(f"device: required one of {', '.join(devices())}, got {device!r:.60}") from error
    if kind == "cuda" and not torch.cuda.is_available():
        remedy = "leave device out, or install a PyTorch with CUDA where there is a GPU"
        raise ValueError(f"device: PyTorch finds no GPU here, got {device!r:.60}; {remedy}")


def _give(model: nn.Module, make: Callable[[str, torch.Size], Tensor]) -> None:
    """Put a tensor in the place of each parameter that has none yet, unless the caller wants models without numbers."""
    if torch.get_default_device().type == "meta":
        return
    made: dict[int, nn.Parameter] = {}
    for name, parameter in list(model.named_parameters(remove_duplicate=False)):
        if parameter.is_meta:
            if id(parameter) not in made:
                made[id(parameter)] = nn.Parameter(make(name, parameter.shape))
            path, _, last = name.rpartition(".")
            setattr(model.get_submodule(path), last, made[id(parameter)])


def _effective(model: nn.Module) -> dict[str, Tensor]:
    """The state_dict, with the weights that modules compute with in the place of what they compute them from."""
    state = model.state_dict()
    for path, module in model.named_modules():
        start = f"{path}." if path else ""
        if hasattr(module, "get_base_layer"):  # PEFT's, which stays in the layer's place when it is merged
            message = f"{path} is a {type(module).__name__}: an adapter, whose weights have no names in a checkpoint"
            remedy = "call merge_and_unload() of the adapted model, or use its own save_pretrained"
            raise TypeError(f"{message}; {remedy}")
        computed = list(getattr(module, "parametrizations", ()))
        pruned = [name.removesuffix("_mask") for name in module._buffers if name.endswith("_mask")]
        for name in computed:
            for part in [each for each in state if each.startswith(f"{start}parametrizations.{name}.")]:
                del state[part]
            state[start + name] = getattr(module, name)
        for name in pruned:
            if f"{start}{name}_orig" in state:
                del state[f"{start}{name}_mask"]
                state[start + name] = state.pop(f"{start}{name}_orig") * getattr(module, f"{name}_mask")
    return state


def _tensor(array: Any) -> Tensor:
    """An array as a tensor, which shares its memory where PyTorch can: a bfloat16 or read-only one is copied."""
    return torch.from_numpy(np.require(array, np.float32 if array.dtype.name == "bfloat16" else None, ["C", "W"]))


def _example_of(model: nn.Module) -> Tensor:
    """One of the parameters, which all have one dtype. The copies that `DataParallel` runs hold theirs as tensors."""
    own = next(model.parameters(), None)
    if own is not None:
        return own
    return next(held for part in model.modules() for held in vars(part).get("_former_parameters", {}).values())


def to_native(value: Any, model: nn.Module) -> Tensor:
    """An array, list or tensor as a tensor: numbers in the model's dtype. What is no tensor yet goes to its device."""
    parameter = _example_of(model)
    if isinstance(value, Tensor):
        return value.to(parameter.dtype) if value.is_floating_point() else value
    tensor = _tensor(np.asarray(value))
    return tensor.to(parameter.device, parameter.dtype if tensor.is_floating_point() else torch.int64)


def to_numpy(value: Tensor) -> Any:
    """A tensor as an array on the host; a copy, so that later training steps do not change it."""
    gathered: Any = getattr(value, "full_tensor", None)  # of shards, which all processes have
    value = value if gathered is None else gathered()
    value = value.detach().to("cpu", copy=True)
    return (value.float() if value.dtype == torch.bfloat16 else value).numpy()


def dtype_name(model: nn.Module) -> str:
    """The dtype of the parameters, such as "float32"."""
    return str(_example_of(model).dtype).removeprefix("torch.")


def own_dtype(name: str) -> torch.dtype:
    """A dtype as PyTorch has it: "float32" -> torch.float32."""
    return getattr(torch, name)


def is_tracing() -> bool:
    """Whether values are unknown because a compiler, or a transform of `torch.func`, looks at the program."""
    if torch.compiler.is_compiling() or torch.jit.is_tracing():  # pyright: ignore[reportPrivateImportUsage]
        return True
    functorch: Any = getattr(torch._C, "_functorch")  # noqa: B009  # no checker knows it
    return functorch.peek_interpreter_stack() is not None


def has_values(value: Any) -> bool:
    """Whether its numbers can be looked at: a tensor on the meta device, or a fake one, has a shape only."""
    return not isinstance(value, Tensor) or not (value.is_meta or isinstance(value, FakeTensor))


def wants_gradient(value: Any) -> bool:
    """Whether somebody will ask for the derivative by this tensor."""
    return isinstance(value, Tensor) and value.requires_grad and torch.is_grad_enabled() and not is_tracing()


def devices() -> list[str]:
    """The devices that a model can be moved to."""
    accelerators = [f"cuda:{index}" for index in range(torch.cuda.device_count())]
    return ["cpu", *accelerators, *(["mps"] if torch.backends.mps.is_available() else [])]


def device_of(model: nn.Module) -> torch.device:
    """Where the parameters are."""
    return _example_of(model).device


def frozen_names(model: nn.Module) -> frozenset[str]:
    """The parameters that are not trained."""
    return frozenset(name for name, parameter in model.named_parameters() if not parameter.requires_grad)


def added_shapes(model: nn.Module, known: Collection[str]) -> dict[str, tuple[int, ...]]:
    """What the state_dict has besides, of a subclass: name -> shape."""
    return {name: tuple(tensor.shape) for name, tensor in _effective(model).items() if name not in known}


def freeze(model: nn.Module, names: Iterable[str]) -> None:
    """Leave these parameters out of training."""
    for name in names:
        model.get_parameter(name).requires_grad_(False)


def no_gradients() -> AbstractContextManager[Any]:
    """In a `with` block: what is computed is not recorded for gradients."""
    return torch.no_grad()


def gradients(model: nn.Module, inputs: Mapping[str, Any]) -> dict[str, Any]:
    """HF's names -> the derivatives of the loss of one call by each parameter; 0 where it is frozen or unused."""
    parameters = dict(model.named_parameters())
    trained = {name: parameter for name, parameter in parameters.items() if parameter.requires_grad}
    loss = _loss(model(**inputs))
    found = torch.autograd.grad(loss, list(trained.values()), allow_unused=True, materialize_grads=True)
    zeros = {name: torch.zeros_like(parameter) for name, parameter in parameters.items()}
    return {name: to_numpy(gradient) for name, gradient in {**zeros, **dict(zip(trained, found, strict=True))}.items()}


def _loss(output: Any) -> Tensor:
    """The loss of a call; of the bare model, which has none, a smooth number that all its outputs go into."""
    if "last_hidden_state" not in output:
        return output.loss
    total = output.last_hidden_state.sin().sum()  # ()
    return total if output.pooler_output is None else total + output.pooler_output.sum()
