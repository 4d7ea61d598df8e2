"""Both tokenizer classes are one law: the same fields, alignments and errors, whatever is asked."""

import itertools
import os

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from roberta.tokenizer import AddedToken, RobertaTokenizer, RobertaTokenizerFast

pytestmark = pytest.mark.tokenizers

SPECIALS = ["<s>", "</s>", "<pad>", "<unk>", "<mask>", "<mask", "mask>", "<s", "s>", "<<mask>>", "<mask>.", " <mask> "]
FRAGMENTS = [
    "", " ", "  ", "   ", "\n", "\t", "\r\n", "\x0b", "\x0c", "\x00", "\x1c", "\x1f", "\x7f", "\x85", "\xa0", "\u3000",
    "\u2028", "\ufeff", "'s", "'S", "n't", "'ll", "'", "’s", "Hello", " world", "a", "I", "naïve", "é", "e\u0301", "ß",
    "Z\u0351\u0300a\u0301l\u0327go", "日本", "語", "한국어", "हिन्दी", "عربى", "עברית", "\u202bעם\u202c", "😀",
    "👩‍👩‍👧", "🇬🇧", "🏴󠁧󠁢󠁳󠁣󠁴󠁿", "½", "²", "٣", "1234567", ".", "...", "!?", "—", "$", "#", "_", "__init__",
    "http://a.b/c?d=e", "ﬁ", "𝔘", "\U000e0001", "\u200b", "\u200d", "\u088f", "\u208f", "\U00010940",
]  # fmt: skip
ADDED = ["<b<", "b", "<a", "sw", "añb", "Ġthe", "Ċ", " x ", "é", "  "]
ANY_TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)
TEXT = st.lists(
    st.one_of(st.sampled_from(SPECIALS), st.sampled_from(FRAGMENTS), st.sampled_from(ADDED), ANY_TEXT), max_size=8
).map("".join)

# A deeper look for one's own eyes: ROBERTA_EXAMPLES=20000 pytest tests/tokenizer/test_two_classes.py
EXAMPLES = int(os.environ.get("ROBERTA_EXAMPLES", "100"))
QUIET = settings(
    derandomize=EXAMPLES == 100,
    deadline=None,
    max_examples=EXAMPLES,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)


def flags(**given):
    """All ways to match an added token; what is given is fixed."""
    names = ("lstrip", "rstrip", "single_word", "normalized", "special")
    return st.fixed_dictionaries({name: st.just(given[name]) if name in given else st.booleans() for name in names})


@st.composite
def options(draw, is_pair):
    """Options of a call that may contradict each other; most do not."""
    maybe = lambda strategy: draw(st.one_of(st.none(), strategy))  # noqa: E731
    drawn = {
        "add_special_tokens": draw(st.booleans()),
        "padding": draw(st.sampled_from([False, True, "longest", "max_length"])),
        "truncation": draw(st.sampled_from([False, True, "longest_first", "only_first", "only_second"])),
        "max_length": maybe(st.integers(0, 14)),
        "stride": draw(st.integers(0, 3)),
        "pad_to_multiple_of": maybe(st.sampled_from([1, 2, 5])),
        "padding_side": maybe(st.sampled_from(["left", "right"])),
        "truncation_side": maybe(st.sampled_from(["left", "right"])),
        "return_tensors": maybe(st.just("np")),
        "return_token_type_ids": maybe(st.booleans()),
        "return_attention_mask": maybe(st.booleans()),
        "split_special_tokens": maybe(st.booleans()),
        "verbose": False,
    }
    asked = ("special_tokens_mask", "offsets_mapping", "overflowing_tokens", "length")
    return drawn | {f"return_{name}": draw(st.booleans()) for name in asked}


def outcome(call):
    """All that a call gives, or its error."""
    try:
        encoding = call()
    except (ValueError, TypeError) as error:
        return type(error), str(error)
    fields = {
        name: (value.dtype, value.tolist()) if isinstance(value, np.ndarray) else value
        for name, value in encoding.items()
    }
    rows = [
        (
            row.tokens,
            row.ids,
            row.offsets,
            row.word_ids,
            row.sequence_ids,
            row.special_tokens_mask,
            row.attention_mask,
            row.type_ids,
            row.sample,
        )
        for row in encoding.encodings
    ]
    return fields, rows


def require_same(pure, fast, *inputs, **options):
    assert outcome(lambda: pure(*inputs, **options)) == outcome(lambda: fast(*inputs, **options))


@pytest.fixture(scope="module")
def theirs(ours):
    yield RobertaTokenizerFast.from_tokenizer(ours)
    ours.trim_offsets = True  # as it was


@pytest.fixture(scope="module")
def theirs_prefixed(ours_prefixed):
    yield RobertaTokenizerFast.from_tokenizer(ours_prefixed)
    ours_prefixed.trim_offsets = True  # as it was


@QUIET
@given(data=st.data())
def test_every_field_under_every_option(ours, theirs, ours_prefixed, theirs_prefixed, data):
    pure, fast = data.draw(st.sampled_from([(ours, theirs), (ours_prefixed, theirs_prefixed)]))
    is_pair = data.draw(st.booleans(), label="is_pair")
    item = st.tuples(TEXT, TEXT) if is_pair else TEXT
    inputs = data.draw(
        st.one_of(item if not is_pair else st.just(("a", "b")), st.lists(item, max_size=3)), label="inputs"
    )
    chosen = data.draw(options(is_pair), label="options")
    pure.trim_offsets = fast.trim_offsets = data.draw(st.booleans(), label="trim_offsets")
    single_pair = isinstance(inputs, tuple)
    require_same(pure, fast, *(inputs if single_pair else (inputs,)), **chosen)


@QUIET
@given(data=st.data())
def test_words(ours_prefixed, theirs_prefixed, data):
    words = st.lists(TEXT, max_size=4)
    is_pair = data.draw(st.booleans(), label="is_pair")
    inputs = [data.draw(st.lists(words, min_size=1, max_size=3), label="words")]
    if is_pair:
        inputs.append([data.draw(words) for _ in inputs[0]])
    ours_prefixed.trim_offsets = theirs_prefixed.trim_offsets = data.draw(st.booleans(), label="trim_offsets")
    chosen = data.draw(options(is_pair), label="options")
    require_same(ours_prefixed, theirs_prefixed, *inputs, is_split_into_words=True, **chosen)


@QUIET
@given(data=st.data())
def test_added_tokens_of_every_kind(tiny, data):
    contents = data.draw(
        st.lists(st.sampled_from([*ADDED, "<c>", "the", "\n"]), unique=True, max_size=5), label="contents"
    )
    added = [AddedToken(content, **data.draw(flags(), label=content)) for content in contents]
    arguments = {"add_prefix_space": data.draw(st.booleans()), "trim_offsets": data.draw(st.booleans())}
    pure, fast = (kind(tiny._base, tiny._merges, **arguments) for kind in (RobertaTokenizer, RobertaTokenizerFast))
    assert pure.add_tokens(added) == fast.add_tokens(added)
    assert pure.get_vocab() == fast.get_vocab()
    letters = st.one_of(st.sampled_from([*contents, " ", "the", "_", "\n", "<"]), ANY_TEXT)
    text = data.draw(st.lists(letters, max_size=8).map("".join), label="text")
    split = data.draw(st.booleans(), label="split_special_tokens")
    require_same(pure, fast, text, return_offsets_mapping=data.draw(st.booleans()), split_special_tokens=split)
    if arguments["add_prefix_space"]:
        require_same(pure, fast, [text, "the"], is_split_into_words=True, split_special_tokens=split)
    ids = pure(text).input_ids
    assert pure.decode(ids) == fast.decode(ids)


@QUIET
@given(data=st.data())
def test_vocabularies_that_lack_bytes_or_ids(tiny, data):
    lacking = data.draw(
        st.lists(st.sampled_from(["a", "c", "Ġ", "Ã", "©", "ĉ", "<unk>", "<mask>"]), unique=True), label="lacking"
    )
    base = {token: index for token, index in tiny._base.items() if token not in lacking}
    if data.draw(st.booleans(), label="gap"):
        base = {token: index + 7 * (index > 100) for token, index in base.items()}
    merges = [pair for pair in tiny._merges if {*pair, "".join(pair)} <= base.keys()]
    pure, fast = (
        kind(base, merges, add_prefix_space=data.draw(st.shared(st.booleans(), key="prefix")))
        for kind in (RobertaTokenizer, RobertaTokenizerFast)
    )
    added = data.draw(st.lists(st.sampled_from(["<n>", "a", "Ã", "é"]), unique=True), label="added")
    pure.add_tokens(added), fast.add_tokens(added)
    assert pure.get_vocab() == fast.get_vocab()
    text = data.draw(
        st.lists(st.sampled_from(["a", "c", "é", " ", "\t", "cat", "<n>", "<unk>", " <mask>"]), max_size=8).map("".join)
    )
    require_same(pure, fast, text, return_offsets_mapping=data.draw(st.booleans()))


def test_a_sample_of_all_code_points(ours, theirs):
    """Every 101st; `benchmarks/codepoints.py` looks at all of them."""
    characters = [chr(code) for code in range(0, 0x110000, 101) if not 0xD800 <= code < 0xE000]
    assert len(characters) > 11_000
    for context in ("{}", "a{}b"):
        texts = [context.format(character) for character in characters]
        require_same(ours, theirs, texts, return_offsets_mapping=True)
        assert ours.batch_decode(ours(texts, add_special_tokens=False).input_ids) == texts


def test_lone_surrogates_are_the_same_error(ours, theirs):
    for inputs in (["\ud800"], ["a", "\udfff"], [["a", "b\ud800"]], [[("a", "\udc00")]]):
        require_same(ours, theirs, *inputs)
        with pytest.raises(ValueError, match="lone surrogate"):
            theirs(*inputs)


# -- arrays ------------------------------------------------------------------------------------------------------------

SHORT = ["the cat sat on the mat", "", "the <mask>", "a"]


@pytest.fixture(scope="module")
def tiny_on_library(tiny):
    return RobertaTokenizerFast.from_tokenizer(tiny)


@pytest.mark.parametrize("side", ["left", "right"])
@pytest.mark.parametrize("cut", ["left", "right"])
@pytest.mark.parametrize("padding", [True, "max_length", False])
@pytest.mark.parametrize("limit", [None, 1, 2, 3, 5, 99])
@pytest.mark.parametrize("add_special_tokens", [True, False])
def test_every_way_to_cut_and_pad_an_array(tiny, tiny_on_library, side, cut, padding, limit, add_special_tokens):
    options = {
        "padding": padding, "padding_side": side, "truncation_side": cut, "max_length": limit, "return_tensors": "np",
        "add_special_tokens": add_special_tokens, "return_token_type_ids": True, "verbose": False,
    }  # fmt: skip
    for texts, truncation in itertools.product((SHORT, SHORT[:1], SHORT[1:2], []), (True, False, "only_first")):
        mine, pure = (
            arrays_of(tokenizer, texts, truncation=truncation, **options) for tokenizer in (tiny_on_library, tiny)
        )
        assert mine == pure


def arrays_of(tokenizer, texts, **options):
    """Field -> dtype and values; or the message of the error."""
    try:
        return {name: (array.dtype, array.tolist()) for name, array in tokenizer(texts, **options).items()}
    except ValueError as error:
        return str(error)
