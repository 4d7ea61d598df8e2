"""What a model is made with, checked: the configuration, the dtype, and the options that are left."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, cast

from ..files.places import HubOptions
from ..reference.config import RobertaConfig
from ..reference.family import MEMBERS
from ..reference.fields import ConfigFields, ConfigOverrides
from ..reference.parameters import CLASS_NAMES
from . import writing


class LoadOptions(ConfigOverrides, HubOptions, total=False):
    """What `from_pretrained` of a model takes by name besides: fields of the configuration, and of the place."""

    pretrained_model_name_or_path: str | Path
    state_dict: Mapping[str, Any] | None
    output_loading_info: bool
    torch_dtype: Any
    device_map: Any
    low_cpu_mem_usage: Any
    trust_remote_code: Any
    attn_implementation: Any
    use_safetensors: Any
    weights_only: Any


#: Options of every model.
KNOWN = ("seed", "dtype", "device", "state", "strict")
#: What other libraries' models are made with -> what to do here.
INSTEAD = {
    "rngs": "Flax has it; elsewhere type seed=0: weights are drawn by NumPy, the same on every engine",
    "param_dtype": 'Type dtype=..., the parameters\'; to compute in another one, on Flax: model.compute_in("bfloat16")',
    "torch_dtype": "Type dtype=...",
    "name": "A framework that names its models takes one afterwards: model.name = ...",
    "trainable": "Where the framework has it, set it afterwards: model.trainable = ...",
    "_do_init": "Leave it out: a model is made with its weights",
    "input_shape": "Leave it out: a model takes texts of every number and length",
    **dict.fromkeys(("from_pt", "from_tf", "from_flax"), "Leave it out: a file is the same for every engine"),
}

#: The same of `from_pretrained`, where another answer is right, and of `save_pretrained`.
INSTEAD_OF_LOADING = {
    "rngs": "What the file lacks is drawn by NumPy: type seed=0",
    "use_auth_token": "Type token=..., its newer name",
    "variant": 'Name the file: from_pretrained("folder/model.fp16.safetensors")',
    "proxies": "Set HTTPS_PROXY in the environment, which the hub's library reads",
    "mirror": "Set HF_ENDPOINT in the environment, which the hub's library reads",
    "key_mapping": "Rename them in roberta.dispatch.checkpoint.read_tensors(folder), and type state_dict=...",
    **dict.fromkeys(
        ("quantization_config", "load_in_8bit", "load_in_4bit"),
        'Nothing is quantised while it is loaded: type dtype="bfloat16", or quantise the model afterwards',
    ),
    **dict.fromkeys(
        ("max_memory", "offload_folder", "offload_state_dict", "offload_buffers"),
        "To spread a model, load it and call accelerate.dispatch_model(model, device_map)",
    ),
}
INSTEAD_OF_SAVING = {"params": "What is saved is the model's own: nnx.update(model, params) first"}

#: The dtypes that weights are stored in.
STORED = ("float32", "float64", "float16", "bfloat16")

#: What HF's `save_pretrained` takes besides -> what asks for nothing, and what to do in place of another value.
UNSAVED: Mapping[str, tuple[Any, str]] = {
    "safe_serialization": (True, 'leave it out, or type format="pytorch"'),
    "push_to_hub": (False, 'type True to send it, with repo_id="you/name"'),
    "variant": (None, "leave it out, and save into a folder of its own"),
    "token": (None, "leave it out, or type push_to_hub=True"),
    "repo_id": (None, "leave it out, or type push_to_hub=True"),
    "save_peft_format": (True, "leave it out: there are no adapters"),
}


def as_config(config: object, name: str, wanted: type[RobertaConfig] = RobertaConfig) -> RobertaConfig:
    """A configuration of ours, as a class wants it; one of transformers', of RoBERTa's family, is read as one.

    Args:
        config: any.
        name: of the class, for the message.
        wanted: of which class it is to be. That of another of the family becomes one with the same fields.

    Raises:
        TypeError: something else; says how to make one of it.
    """
    kind = type(config)
    model_type = getattr(kind, "model_type", None)
    if isinstance(config, RobertaConfig) and (model_type == wanted.model_type or model_type not in MEMBERS):
        return config
    if model_type in MEMBERS and hasattr(config, "to_dict"):
        return wanted.from_dict(cast("Any", config).to_dict())
    remedy = f"To load a checkpoint: {name}.from_pretrained(folder)"
    if isinstance(config, Mapping):
        remedy = f"Of a dict: {name}(RobertaConfig(**fields)). {remedy}"
    elif hasattr(config, "to_dict"):
        remedy = f"Of another library's: {name}(roberta.RobertaConfig.from_dict(config.to_dict())). {remedy}"
    shown = kind.__name__ if kind.__module__ == "builtins" else f"{kind.__module__}.{kind.__name__}"
    message = f"{name}: required a RobertaConfig, got {shown}. {remedy}"
    raise TypeError(message)


def require_options(options: Mapping[str, Any], head: str) -> None:
    """Only options that the head has.

    Raises:
        TypeError: another; names those there are, and what to type in place of what other libraries have.
    """
    known = (*KNOWN, "add_pooling_layer") if head == "model" else KNOWN
    for name in options:
        if name not in known:
            near = difflib.get_close_matches(name, known, n=1)
            hint = (
                f"Did you mean {near[0]!r}?" if near else f"Fields of the config go into it: RobertaConfig({name}=...)"
            )
            remedy = INSTEAD.get(name, hint)
            message = f"{CLASS_NAMES[head]}: unknown option {name!r}; there are {', '.join(known)}. {remedy}"
            raise TypeError(message)


def require_saving(options: Mapping[str, Any]) -> None:
    """Of what only HF's `save_pretrained` has, what asks for nothing.

    Raises:
        TypeError: an option that there is not.
        ValueError: one that asks for what is not done here; says what to do.
    """
    for name, value in options.items():
        if name == "save_function" and (value is None or callable(value)):
            continue  # accelerate's, which leaves out all processes but one; the file is safetensors' all the same
        if name == "safe_serialization" and value is False:
            continue  # what PyTorch's own file is written for
        if name not in UNSAVED:
            known = ["is_main_process", "state_dict", "max_shard_size", "save_function", *UNSAVED]
            near = difflib.get_close_matches(name, known, n=1)
            hint = f"Did you mean {near[0]!r}?" if near else "Leave it out"
            remedy = INSTEAD_OF_SAVING.get(name, hint)
            message = f"save_pretrained: unknown option {name!r}; there are {', '.join(known)}. {remedy}"
            raise TypeError(message)
        neutral, remedy = UNSAVED[name]
        if value is not None and value is not neutral:
            message = f"save_pretrained: {name}: required {neutral!r}, got {value!r:.60}; {remedy}"
            raise ValueError(message)


def require_format(name: str) -> str:
    """The name of a format that is written.

    Raises:
        ValueError: another; lists them.
    """
    if name not in writing.WRITTEN:
        known = ", ".join(map(repr, writing.WRITTEN))
        raise ValueError(f"format: required one of {known}, got {name!r:.60}")
    return name


def require_stored(dtype: Any) -> str:
    """The name of a dtype that weights are stored in.

    Raises:
        ValueError: another; lists them.
    """
    name = dtype_name(dtype)
    if name not in STORED:
        raise ValueError(f"dtype: required one of {', '.join(STORED)}, got {name!r:.60}")
    return name


#: What HF's `from_pretrained` takes besides, and what has no meaning here: nothing is run from a checkpoint, weights
#: are read in place, and the attention kernel is chosen by what a call asks for.
UNREAD = (
    "low_cpu_mem_usage",
    "trust_remote_code",
    "attn_implementation",
    "use_safetensors",
    "_fast_init",
    "weights_only",
    "resume_download",
)


#: What asks for nothing where it is None or False, and is refused with what to do where it is more.
UNASKED = INSTEAD_OF_LOADING.keys() - {"rngs"} | {"from_pt", "from_tf", "from_flax"}


def without_unread(given: dict[str, Any], device: Any) -> Any:
    """Take from the arguments of `from_pretrained` what has no meaning here, and `device_map`, which is a device.

    Returns:
        The device.

    Raises:
        ValueError: a map of parts to several devices.
    """
    for name in UNREAD:
        given.pop(name, None)
    for name in UNASKED & given.keys():
        if given[name] is None or given[name] is False:
            del given[name]
    places: Any = given.pop("device_map", None)
    if isinstance(places, Mapping) and set(cast("Mapping[str, Any]", places)) == {""}:
        places = cast("Mapping[str, Any]", places)[""]
    if isinstance(places, Mapping):
        message = f"device_map: required one device for the whole model, got {places!r:.80}"
        remedy = 'type device="cuda:0"; to spread it, load it and call accelerate.dispatch_model(model, device_map)'
        raise ValueError(f"{message}; {remedy}")
    return device if places in (None, "auto") else places


def require_overrides(given: Mapping[str, Any], name: str, own: Iterable[str]) -> None:
    """Only fields of the configuration are left of what `from_pretrained` was given.

    Raises:
        TypeError: another name; suggests the nearest of all that may be given.
    """
    for wrong in given.keys() - ConfigFields.__annotations__.keys():
        known = [*LoadOptions.__annotations__, *own]
        near = difflib.get_close_matches(wrong, known, n=1)
        hint = f"Did you mean {near[0]!r}?" if near else "It takes fields of the config by name"
        hint = {**INSTEAD, **INSTEAD_OF_LOADING}.get(wrong, hint)
        message = f"{name}.from_pretrained: unknown argument {wrong!r}. {hint}"
        raise TypeError(message)


def dtype_name(dtype: Any) -> str:
    """The name of a dtype of any framework.

    Example:
        >>> import numpy as np
        >>> dtype_name("float32"), dtype_name(np.float32), dtype_name(np.dtype("float32"))
        ('float32', 'float32', 'float32')
    """
    name = getattr(dtype, "__name__", None) or getattr(dtype, "name", None) or dtype
    return str(name).removeprefix("torch.")


def require_dtype(dtype: Any, backend: str, engine: Any) -> str:
    """The name of a dtype that the engine computes in.

    Raises:
        ValueError: another; lists them, and what to type to get it or what holds as much.
    """
    name = dtype_name(dtype)
    if name not in engine.DTYPES:
        holds = 'dtype="float32" holds the same numbers' if name in {"bfloat16", "float16"} else None
        remedy = getattr(engine, "REMEDIES", {}).get(name, holds)
        message = f"dtype: the {backend} backend computes in one of {list(engine.DTYPES)}, got {name!r}"
        raise ValueError(f"{message}. {remedy}" if remedy else message)
    return name
