"""What exists only for code that was written for transformers: its names for what there is, and what is refused.

Nothing here encodes: every definition says in terms of `Vocabulary` and of a call what transformers means by it. What
is not done is refused by name, with what to type instead; to ``hasattr`` it is not there.
"""

from __future__ import annotations

from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, ClassVar, Unpack, cast

from ..files.uploading import Commit
from .alignment import Aligner, EncodedText
from .decoding import clean_up_spaces
from .encoding import BatchEncoding
from .options import CallOptions, reject_unknown, resolve
from .pieces import BYTE_TO_SYMBOL
from .publishing import push
from .roles import ROLES
from .rows import Frame, fields_of, make_rows
from .settings import config_of, constructor_arguments
from .truncation import kept_lengths
from .vocabulary import Vocabulary

if TYPE_CHECKING:
    from .special import AddedToken

__all__ = ["TransformersNames", "require_idle"]

_CHAT = "RoBERTa reads texts and no conversations, and has no template for them; pass the text"
_INSIDE = "it is how transformers works inside; "
#: Name in transformers -> why there is none here, and what to type.
REFUSED: Mapping[str, str] = {
    **dict.fromkeys(("apply_chat_template", "encode_message_with_chat_template", "get_chat_template"), _CHAT),
    "save_chat_templates": _CHAT,
    "register_for_auto_class": "no code is stored beside a tokenizer; from_pretrained of its class loads it",
    "convert_added_tokens": f"{_INSIDE}AddedToken.read(token) reads a token in any of its forms",
    "prepare_for_tokenization": f"{_INSIDE}the options of a call say how its text is read",
    "set_truncation_and_padding": f"{_INSIDE}pass truncation and padding to the call",
    "bpe": f"{_INSIDE}explain(text) shows the merges, tokenize(text) what comes of them",
    "cache": f"{_INSIDE}what was met before is remembered by itself",
    "pat": f"{_INSIDE}roberta.tokenizer.pieces.split_pieces(text) cuts a text",
    "tokens_trie": f"{_INSIDE}added_tokens_decoder says which tokens are found before anything else",
    "extra_special_tokens": "special tokens without a role are listed in additional_special_tokens",
}

#: What its `save_pretrained` takes besides -> the values that ask for nothing, and what to do in place of others.
_IDLE: Mapping[str, tuple[tuple[Any, ...], str]] = {
    "push_to_hub": ((False, None), 'pass True to send it, with repo_id="you/name"'),
    "save_jinja_files": ((True, False, None), _CHAT),
    "safe_serialization": ((True, False, None), "a tokenizer has no weights"),
    "use_auth_token": ((None,), "leave it out, or pass token"),
    **dict.fromkeys(("repo_id", *Commit.__annotations__), ((None,), "leave it out, or pass push_to_hub=True")),
}


def require_idle(where: str, options: Mapping[str, Any]) -> None:
    """Require that options which only transformers has ask for nothing.

    Args:
        where: for the message.
        options: name -> value.

    Raises:
        TypeError: an option that there is not.
        ValueError: a value that asks for something; says what to do.

    Example:
        >>> require_idle("save_pretrained", {"push_to_hub": False})
        >>> require_idle("save_pretrained", {"push_to_hub": "yes"})
        Traceback (most recent call last):
        ValueError: save_pretrained: push_to_hub: expected False, got 'yes'; pass True to send it, with ...
    """
    reject_unknown(where, options, _IDLE.keys())
    for name, value in options.items():
        idle, remedy = _IDLE[name]
        if value not in idle:
            raise ValueError(f"{where}: {name}: expected {idle[0]!r}, got {value!r:.60}; {remedy}")


class TransformersNames(Vocabulary):
    """What transformers' classes have besides, for the code that asks for it."""

    SPECIAL_TOKENS_ATTRIBUTES: ClassVar[Sequence[str]] = [*ROLES, "additional_special_tokens"]
    """The roles, and the name of the list of tokens without one."""
    pretrained_vocab_files_map: ClassVar[Mapping[str, Any]] = {}
    """Addresses of vocabularies: there are none."""
    slow_tokenizer_class: ClassVar[type | None] = None
    """The pure class, of the fast one."""
    can_save_slow_tokenizer = True
    """Whether `save_pretrained` writes what the pure class reads."""
    init_inputs = ()
    """Unnamed arguments of the constructor that `init_kwargs` lacks: there are none."""
    verbose = False
    """Whether to warn of roles that no token plays: they are None, without a word."""

    if TYPE_CHECKING:  # what `RobertaTokenizer` has
        name_or_path: str
        padding_side: str
        truncation_side: str
        model_max_length: int
        split_special_tokens: bool
        model_input_names: Sequence[str]

        def __call__(self, *texts: Any, **options: Any) -> BatchEncoding:
            """Encode texts."""
            ...

        def save_pretrained(self, save_directory: str) -> tuple[str, ...]:
            """Write a folder; its paths."""
            ...

    else:

        def __getattr__(self, name: str) -> Any:
            remedy = REFUSED.get(name)
            reason = "has no attribute" if remedy is None else "does without"
            message = f"{type(self).__name__} {reason} {name!r}{'' if remedy is None else f': {remedy}'}"
            raise AttributeError(message, name=name, obj=self)

    @property
    def chat_template(self) -> None:
        """How conversations become text: they do not."""
        return

    @chat_template.setter
    def chat_template(self, template: object) -> None:
        if template is not None:
            raise AttributeError(f"chat_template: expected None, got {template!r:.60}; {_CHAT}")

    def push_to_hub(self, repo_id: str, **commit: Unpack[Commit]) -> str:
        """Send its files to the Hugging Face hub, beside what the repository has; docs/hub.md shows it.

        Args:
            repo_id: "name" of yours, or "owner/name"; made where it is missing.
            **commit: ``token``, ``private``, ``revision``, ``create_pr``, ``commit_message``, ``commit_description``.

        Returns:
            The address of the commit, or with ``create_pr`` of what the owner is asked.

        Raises:
            ModuleNotFoundError: the hub's library is missing; says what to type.
            TypeError: an option that does not exist.
            PermissionError: no token, or one that may not write.
            ConnectionError: the hub does not answer, is ill, or wants fewer questions.
        """
        return push(self, repo_id, **commit)

    # -- other names -----------------------------------------------------------------------------------------------

    @property
    def init_kwargs(self) -> dict[str, Any]:
        """What the constructor would be given to make this tokenizer anew, with what is kept for other programs."""
        return {**self._kept, **constructor_arguments(config_of(self)), "name_or_path": self.name_or_path}

    @property
    def encoder(self) -> dict[str, int]:
        """Symbol string -> id, without added tokens that lie beyond the base vocabulary."""
        return dict(self._base)

    @property
    def decoder(self) -> Any:
        """Id -> symbol string, of the same."""
        return {index: token for token, index in self._base.items()}

    @property
    def bpe_ranks(self) -> dict[tuple[str, str], int]:
        """Pair of symbol strings -> the rank of its merge."""
        return {pair: rank for rank, pair in enumerate(self._merges)}

    @property
    def byte_encoder(self) -> dict[int, str]:
        """Byte -> its printable symbol."""
        return dict(enumerate(BYTE_TO_SYMBOL))

    @property
    def byte_decoder(self) -> dict[str, int]:
        """Printable symbol -> its byte."""
        return {symbol: byte for byte, symbol in enumerate(BYTE_TO_SYMBOL)}

    @property
    def total_vocab_size(self) -> int:
        """Entries in all: ``len(tokenizer)``."""
        return len(self)

    @property
    def special_tokens_map_extended(self) -> dict[str, AddedToken | list[AddedToken]]:
        """`special_tokens_map` with how each token is matched."""
        return {
            role: self._matched(tokens) if isinstance(tokens, str) else [self._matched(token) for token in tokens]
            for role, tokens in self.special_tokens_map.items()
        }

    @property
    def all_special_tokens_extended(self) -> list[AddedToken]:
        """`all_special_tokens` with how each is matched."""
        return [self._matched(token) for token in self.all_special_tokens]

    @property
    def _special_tokens_map(self) -> dict[str, Any]:
        empty: dict[str, Any] = dict.fromkeys(ROLES)
        return {**empty, "additional_special_tokens": [], **self.special_tokens_map_extended}

    def _matched(self, token: str) -> AddedToken:
        return self._added[self._ids[token]]

    # What its collators and stopping criteria call.

    def _convert_id_to_token(self, index: int) -> str:
        return self._tokens.get(index, self.unk_token or "")

    def _convert_token_to_id(self, token: str) -> int:
        return self._id_or_unk(token)

    clean_up_tokenization = staticmethod(clean_up_spaces)

    def sanitize_special_tokens(self) -> int:
        """Add the special tokens that the vocabulary lacks: it lacks none.

        Returns:
            0.
        """
        return 0

    @contextmanager
    def as_target_tokenizer(self) -> Generator[None]:
        """Encode targets: they are encoded like any text, here and outside.

        Returns:
            A context in which the tokenizer is what it was.
        """
        yield

    # -- of ids that are there already ------------------------------------------------------------------------------

    def prepare_for_model(
        self,
        ids: Sequence[int],
        pair_ids: Sequence[int] | None = None,
        prepend_batch_axis: bool = False,
        **options: Unpack[CallOptions],
    ) -> BatchEncoding:
        """Make the row of a text that is ids already: cut it, put the special tokens around, pad it.

        Args:
            ids: ids of the text, without special tokens.
            pair_ids: ids of the second text.
            prepend_batch_axis: whether tensors are (1, T) instead of (T,).
            **options: see `CallOptions`. Windows of what is cut off come as further rows, as in a call.

        Returns:
            What a call returns of one text, without knowing where its tokens came from.

        Raises:
            ValueError: an id that the vocabulary lacks, offsets asked for, or a cut that cannot succeed.

        Example:
            >>> from roberta.tokenizer import RobertaTokenizer
            >>> tokenizer = RobertaTokenizer.from_pretrained("austen")
            >>> tokenizer.prepare_for_model([44, 577], [44], padding="max_length", max_length=9).input_ids
            [0, 44, 577, 2, 2, 44, 2, 1, 1]
        """
        plan = resolve(self, options)
        if "offset_mapping" in plan.fields:
            raise ValueError(
                "return_offsets_mapping: expected False, since ids are in no text, got True; call the tokenizer on it"
            )
        frame = Frame(self._roles, plan, self.convert_ids_to_tokens)
        nowhere = Aligner({}, -1, trim=False)
        given = [ids] if pair_ids is None else [ids, pair_ids]
        texts = [EncodedText(self._checked(each, skip_special_tokens=False), (), (), nowhere) for each in given]
        fields = fields_of(make_rows(texts, [len(texts)], frame, plan), frame, plan)
        if not plan.windows and not (prepend_batch_axis and plan.return_tensors):
            fields = {name: rows[0] for name, rows in fields.items()}
        return BatchEncoding(fields).convert_to_tensors(plan.return_tensors)

    def truncate_sequences(
        self,
        ids: Sequence[int],
        pair_ids: Sequence[int] | None = None,
        num_tokens_to_remove: int = 0,
        truncation_strategy: Any = "longest_first",
        stride: int = 0,
    ) -> tuple[list[int], list[int] | None, list[int]]:
        """Cut ids at the tokenizer's ``truncation_side``.

        Args:
            ids: ids of the text.
            pair_ids: ids of the second text.
            num_tokens_to_remove: how many have to go.
            truncation_strategy: ``"longest_first"``, ``"only_first"`` or ``"only_second"``.
            stride: how many of those that stay are repeated before what goes.

        Returns:
            What is kept of both, and what goes, of one text; of a pair that is cut on both sides, nothing.

        Raises:
            ValueError: the strategy cannot reach the length.

        Example:
            >>> from roberta.tokenizer import RobertaTokenizer
            >>> RobertaTokenizer.from_pretrained("austen").truncate_sequences([5, 6, 7, 8], None, 2, stride=1)
            ([5, 6], None, [6, 7, 8])
        """
        plan = resolve(self, {"truncation": truncation_strategy, "max_length": 0, "verbose": False})
        first, second = list(ids), None if pair_ids is None else list(pair_ids)
        if num_tokens_to_remove <= 0 or plan.truncation is None:
            return first, second, []
        budget = len(first) + len(second or ()) - num_tokens_to_remove
        counts = kept_lengths(len(first), None if second is None else len(second), budget, plan.truncation)
        is_right = plan.truncation_side == "right"

        def kept(row: list[int], count: int) -> list[int]:
            return row[:count] if is_right else row[len(row) - count :]

        gone: list[int] = []
        if second is None or plan.truncation != "longest_first":
            row = cast("list[int]", second) if plan.truncation == "only_second" else first
            width = min(len(row), num_tokens_to_remove + stride)
            gone = row[len(row) - width :] if is_right else row[:width]
        return kept(first, counts[0]), None if second is None else kept(second, counts[1]), gone

    # -- of texts and targets ---------------------------------------------------------------------------------------

    def prepare_seq2seq_batch(
        self,
        src_texts: Sequence[str],
        tgt_texts: Sequence[str] | None = None,
        max_length: int | None = None,
        max_target_length: int | None = None,
        padding: bool | str = "longest",
        return_tensors: str | None = None,
        truncation: bool | str = True,
        **options: Any,
    ) -> BatchEncoding:
        """Call the tokenizer on texts, and on targets, which become ``labels``; an older name.

        Args:
            src_texts: the texts.
            tgt_texts: their targets.
            max_length: tokens in a row; None for the tokenizer's ``model_max_length``.
            max_target_length: tokens in a row of labels; None for the same as ``max_length``.
            padding: as in a call.
            return_tensors: as in a call.
            truncation: as in a call.
            **options: see `CallOptions`; and ``src_lang`` and ``tgt_lang``, which ask for nothing.

        Returns:
            As a call.
        """
        options = {name: options[name] for name in options.keys() - {"src_lang", "tgt_lang"}}
        options |= {"padding": padding, "truncation": truncation, "return_tensors": return_tensors}
        batch = self(src_texts, max_length=max_length, **options)
        if tgt_texts is not None:
            length = max_length if max_target_length is None else max_target_length
            batch["labels"] = self(tgt_texts, max_length=length, **options)["input_ids"]
        return batch
