import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from roberta.tokenizer import RobertaTokenizer

TEXT = st.lists(st.sampled_from(["<mask>", " <mask>", "<s>", "the", " cat", " ", "\n", "é", "日", "a1", "'s"])).map(
    "".join
)


@pytest.mark.parametrize(
    ("text", "ids"),
    [
        ("Hello world", [31414, 232]),
        (" Hello world", [20920, 232]),
        ("", []),
        ("a <mask>.", [102, 50264, 4]),
        ("a\0b", [102, 50108, 428]),
        ("😀", [18636, 7471]),
        ("a\u3000b", [102, 48516, 7471, 428]),
        ("The capital of France is <mask>.", [133, 812, 9, 1470, 16, 50264, 4]),
        ("\x1f<mask>", [50139, 50264]),
    ],
)
def test_golden_ids(ours, text, ids):
    assert ours.engine.ids(text) == ids


@pytest.mark.parametrize(
    ("text", "ids"),
    [
        ("<pad>", [1]),
        ("\xa0world", [1437, 50141, 8331]),  # any beginning but a space gets one
        ("", []),
        (" a", [10]),
        ("<mask<pad>'re", None),  # a prefix after every special token: compared with the peer in `test_agreement`
    ],
)
def test_golden_ids_with_prefix_space(ours_prefixed, text, ids):
    assert ids is None or ours_prefixed.engine.ids(text) == ids


@pytest.mark.parametrize("prefixed", [False, True])
@settings(derandomize=True, deadline=None)
@given(text=TEXT, split=st.booleans())
def test_the_long_way_and_the_short_way_agree(tiny, prefixed, text, split):
    pipeline = RobertaTokenizer(tiny._base, tiny._merges, add_prefix_space=prefixed).engine
    pieces = list(pipeline.pieces(text, split))
    assert [index for piece in pieces for index in piece.ids] == pipeline.ids(text, split)
    assert "".join(text[piece.start : piece.end] for piece in pieces) == text
    ends = [0] + [piece.end for piece in pieces]
    assert [piece.start for piece in pieces] == ends[:-1]


def test_a_whole_novel(ours, novels):
    text = (novels / "persuasion.txt").read_text()
    assert ours.decode(ours.engine.ids(text)) == text


@pytest.mark.hf
def test_a_whole_novel_has_the_peers_ids_and_offsets(ours, fast, novels):
    text = (novels / "persuasion.txt").read_text()
    mine, peer = ours(text, return_offsets_mapping=True), fast(text, return_offsets_mapping=True, verbose=False)
    assert mine.input_ids == peer.input_ids
    assert mine.offset_mapping == peer.offset_mapping


@pytest.mark.parametrize(("unit", "count"), [("a", 300_000), ("😀", 80_000), (" ", 300_000), ("<mask>", 20_000)])
def test_long_runs_are_done_in_seconds(ours, unit, count):
    text = unit * count
    assert ours.decode(ours.engine.ids(text)) == text


def test_what_is_remembered_is_forgotten_with_the_vocabulary():
    tokenizer = RobertaTokenizer({"<s>": 0, "<pad>": 1, "</s>": 2, "<unk>": 3, "a": 4, "<mask>": 5}, [])
    assert tokenizer("ab", return_offsets_mapping=True).offset_mapping == [(0, 0), (0, 1), (1, 2), (0, 0)]
    assert list(tokenizer.engine.words.memory) == ["ab"]
    tokenizer.unk_token = "<pad>"  # noqa: S105  (no password)
    encoding = tokenizer("xa", return_offsets_mapping=True)
    assert encoding.input_ids == [0, 1, 4, 2]
    assert encoding.offset_mapping == [(0, 0), (0, 1), (1, 2), (0, 0)]
    assert list(tokenizer.engine.words.memory) == ["xa"]


@settings(derandomize=True, deadline=None)
@given(texts=st.lists(TEXT, max_size=6))
def test_what_is_remembered_changes_nothing(tiny, texts):
    tokenizer = RobertaTokenizer(tiny._base, tiny._merges)
    for text in texts * 2:
        assert tokenizer.engine.ids(text) == RobertaTokenizer(tiny._base, tiny._merges).engine.ids(text)
