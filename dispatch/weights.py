"""What a model does with its weights: it gives them, takes others, counts them, and writes them to files."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from types import ModuleType
from typing import Any, ClassVar, Unpack, cast

import numpy as np

from ..files.uploading import taken_from
from ..reference.config import RobertaConfig
from ..reference.family import MEMBERS
from ..reference.parameters import CLASS_NAMES, Parameter, parameter_table
from . import arguments, matching, publishing, writing
from .options import require_format, require_saving, require_stored

DECODER = "lm_head.decoder.weight"


class Weights:
    """The weights of a model, under HF's names; `PublicModel` says what the attributes are."""

    head: ClassVar[str]
    config_class: ClassVar[type[RobertaConfig]]
    engine: ClassVar[ModuleType]
    config: RobertaConfig
    load_report: matching.LoadReport
    options: dict[str, Any]

    @property
    def table(self) -> dict[str, Parameter]:
        """The parameters of this model: name -> `Parameter`; behind the head's those that a subclass has added."""
        return {**parameter_table(self.head, self.config, **self.options), **self.added}

    @property
    def added(self) -> dict[str, Parameter]:
        """Parameters of a subclass's own, where the engine's have names (PyTorch, Flax): name -> `Parameter`."""
        if not hasattr(self.engine, "added_shapes"):
            return {}
        known = parameter_table(self.head, self.config, **self.options)
        shapes: dict[str, tuple[int, ...]] = self.engine.added_shapes(self, known)
        return {name: Parameter(name, shape, "normal") for name, shape in shapes.items()}

    def state_dict_numpy(self) -> dict[str, Any]:
        """HF's names -> NumPy arrays, tied tensors under each of their names."""
        return self.engine.state_dict_numpy(self)

    def load_state_dict_numpy(self, state: Mapping[str, Any], strict: bool = True) -> matching.LoadReport:
        """Replace parameters by arrays, in place.

        Args:
            state: HF's names -> arrays, of any framework.
            strict: whether it must have each parameter and nothing else. False leaves what it lacks as it is, and
                passes over what is of no use.

        Returns:
            What became of each name, which is the model's `load_report` from then on.

        Raises:
            TypeError: no mapping of names to arrays of floating-point numbers.
            ValueError: the names, if `strict`; a shape that does not fit; or a number that would become infinite in the
                model's dtype. Then nothing is changed.
        """
        table, where = self.table, "load_state_dict_numpy"
        lenient = "To leave what it lacks as it is, and pass over what is of no use: strict=False"
        found, report = matching.admit(
            state, table, self.head, self.dtype_name, where=where, strict=strict, lenient=lenient
        )
        ties = {name: p.tied_to for name, p in table.items() if p.tied_to in found}
        whole = {**found, **{name: found[source] for name, source in ties.items()}}
        self.engine.load_state_dict_numpy(self, whole, self.dtype_name)
        self.load_report = report.after(self.load_report, self.head)
        return self.load_report

    def num_parameters(self, only_trainable: bool = False, exclude_embeddings: bool = False) -> int:
        """How many numbers the model learns; tied tensors count once.

        Args:
            only_trainable: leave out frozen parameters, where the engine has such.
            exclude_embeddings: leave out the tables (word, position, token type, distance).
        """
        frozen = self.engine.frozen_names(self) if only_trainable else frozenset[str]()
        return sum(
            int(np.prod(parameter.shape))
            for name, parameter in self.table.items()
            if parameter.tied_to is None
            and name not in frozen
            and not (exclude_embeddings and name.rpartition(".")[0].endswith(("_embeddings", "_embedding")))
        )

    def set_input_embeddings(self, value: Any) -> None:
        """Copy another word table into this model's; a tied decoder follows.

        Args:
            value: (V, D), an array or tensor, or the framework's embedding layer.

        Raises:
            TypeError: something else.
            ValueError: another shape; to change V, call `resize_token_embeddings` first.
        """
        name = next(name for name in self.table if name.endswith("embeddings.word_embeddings.weight"))
        self._set_embeddings("set_input_embeddings", name, value)

    def get_output_embeddings(self) -> Any:
        """The decoder of a language model's head, as the engine has it (a layer, or its (V, D) array); else None."""
        if DECODER not in self.table:
            return None
        decoder = getattr(getattr(self, "lm_head", None), "decoder", None)
        return self.state_dict_numpy()[DECODER] if decoder is None else decoder

    def set_output_embeddings(self, value: Any) -> None:
        """Copy another decoder's weight into this model's; a tied word table follows.

        Args:
            value: (V, D), an array or tensor, or a module that has one as its `weight`.

        Raises:
            TypeError: something else.
            ValueError: another shape, or a head without a decoder.
        """
        if DECODER not in self.table:
            message = f"set_output_embeddings: required a language model's head, which has a decoder, got {self.head}"
            raise ValueError(message)
        self._set_embeddings("set_output_embeddings", DECODER, value)

    def _set_embeddings(self, verb: str, name: str, value: Any) -> None:
        array = arguments.visible(name, _table_of(verb, value))
        if tuple(array.shape) != self.table[name].shape:
            message = (
                f"{verb}: expected (V, D) = {self.table[name].shape}, got {tuple(array.shape)}. "
                "To change V, call resize_token_embeddings first."
            )
            raise ValueError(message)
        self.load_state_dict_numpy({name: array}, strict=False)

    @property
    def dtype(self) -> Any:
        """The dtype of the parameters, as the framework's users have it: "float32", and torch.float32 on PyTorch."""
        own = getattr(self.engine, "own_dtype", str)
        return own(self.dtype_name)

    @property
    def dtype_name(self) -> str:
        """The dtype of the parameters by its name, such as "float32", on every engine."""
        return self.engine.dtype_name(self)

    def save_pretrained(
        self,
        save_directory: str | Path,
        *,
        is_main_process: bool = True,
        state_dict: Mapping[str, Any] | None = None,
        max_shard_size: int | str = "5GB",
        format: str = "safetensors",  # what a user would call it
        dtype: Any = None,
        **others: Any,
    ) -> None:
        """Write config.json and the weights, as HF lays them out: all at once, or nothing.

        Somebody who reads the folder finds the old checkpoint or the new one at every moment, also when this process is
        stopped in between.

        Args:
            save_directory: a folder, made if it is missing.
            is_main_process: False writes nothing: of several processes with one model, one is to write.
            state_dict: HF's names -> arrays, in place of the model's own weights: each parameter, and nothing else.
            max_shard_size: the most bytes of a file, or a text such as "200MB". What needs more is written in shards,
                with an index.
            format: "safetensors"; "pytorch" (pytorch_model.bin, as `torch.save` writes it); "h5" (tf_model.h5) or
                "msgpack" (flax_model.msgpack), which need `pip install "roberta[formats]"`. transformers 4.57 reads
                each on the framework it belongs to, and 5 the first two.
            dtype: of the stored numbers; None: the model's.
            **others: `push_to_hub=True` sends what was written, as `push_to_hub` does, with its options and `repo_id=`,
                else the folder's name; and what HF's has besides, as long as it asks for nothing: `variant=None`;
                `safe_serialization=False` is `format="pytorch"`.

        Raises:
            NotADirectoryError: the folder is a file.
            OSError: a full disk, or a folder that may not be written into; what was there is as it was.
            TypeError: an option that does not exist, or weights that are no floating-point numbers.
            ValueError: an option that asks for what is not done here, a size, format or dtype that is none, weights
                that do not fit, or that would become infinite in the dtype.
        """
        publication = taken_from(others, save_directory, publishing.Publication.__annotations__)
        require_saving(others)
        form = "pytorch" if others.get("safe_serialization") is False else require_format(format)
        most = writing.byte_count(max_shard_size)
        dtype = self.dtype_name if dtype is None else require_stored(dtype)
        if not is_main_process:
            return
        if hasattr(self.engine, "require_nameable"):
            self.engine.require_nameable(self)
        state = self.state_dict_numpy() if state_dict is None else state_dict
        found, _ = matching.admit(state, self.table, self.head, dtype, where="save_pretrained: state_dict")
        prefix = MEMBERS[self.config_class.model_type].prefix
        name = prefix + CLASS_NAMES[self.head].removeprefix(MEMBERS["roberta"].prefix)
        config = self.config.replace(architectures=[name], dtype=dtype)
        writing.write_checkpoint(Path(save_directory), config, found, dtype, self.head, form, most)
        if publication is not None:
            publishing.send(self, Path(save_directory), **publication)

    def push_to_hub(
        self,
        repo_id: str,
        *,
        max_shard_size: int | str = "5GB",
        format: str = "safetensors",  # what a user would call it
        dtype: Any = None,
        **said: Unpack[publishing.Publication],
    ) -> str:
        """Send the model to the Hugging Face hub, with a card that says what it is; docs/hub.md shows one.

        Args:
            repo_id: "name" of yours, or "owner/name"; made where it is missing.
            max_shard_size: see `save_pretrained`.
            format: see `save_pretrained`.
            dtype: see `save_pretrained`.
            **said: `token`, `private`, `revision`, `create_pr`, `commit_message`, `commit_description`; for the card
                `tags`, `license`, `language` and `parity_report`; and `tokenizer`, whose files go beside the weights.
                A card that the repository has already stays.

        Returns:
            The address of the commit, or with `create_pr` of what the owner is asked.

        Raises:
            ModuleNotFoundError: the hub's library is missing; says what to type.
            TypeError: an option that does not exist.
            ValueError: see `save_pretrained`.
            PermissionError: no token, or one that may not write.
            ConnectionError: the hub does not answer, is ill, or wants fewer questions.
            OSError: a full disk, or a refusal of another kind.
        """
        publishing.require_known(said)
        saving = {"max_shard_size": max_shard_size, "format": format, "dtype": dtype}
        return publishing.push(self, repo_id, saving, **said)


def _table_of(verb: str, value: Any) -> Any:
    """An array as it is, or the table of an embedding layer, which each framework calls otherwise."""
    if isinstance(value, list | tuple):
        return np.asarray(cast("list[Any]", value))
    parts = [getattr(value, name, None) for name in ("weight", "embedding", "embeddings")]
    for table in (*parts, value):
        if hasattr(table, "shape"):
            return table
    message = f"{verb}: expected an array (V, D) or an embedding layer that has its table, got {value!r:.60}"
    raise TypeError(message)
