"""The shipped checkpoint: what its model card says of it is so, and it knows its text."""

import json
from pathlib import Path

import numpy as np
import pytest
import roberta
from roberta.dispatch.checkpoint import locate

FOLDER = locate("austen")
CORPUS = Path(__file__).resolve().parent.parent.parent / "shared" / "corpus" / "austen"


@pytest.fixture(scope="module")
def model_and_tokenizer():
    model = roberta.RobertaForMaskedLM.from_pretrained(FOLDER, backend="numpy", strict=True)
    return model, roberta.RobertaTokenizer.from_pretrained(FOLDER)


def test_the_folder_takes_at_most_eight_megabytes():
    assert sum(file.stat().st_size for file in FOLDER.iterdir()) <= 8e6


def test_it_lacks_nothing_and_has_the_size_that_the_card_says(model_and_tokenizer):
    model, tokenizer = model_and_tokenizer
    figures = json.loads((FOLDER / "training.json").read_text())
    assert not model.load_report.missing
    assert not model.load_report.unexpected
    assert model.num_parameters() == figures["parameters"]
    assert len(tokenizer) == model.config.vocab_size == figures["recipe"]["vocab_size"]


def test_the_card_states_the_figures_of_the_training_record():
    figures, card = json.loads((FOLDER / "training.json").read_text()), (FOLDER / "README.md").read_text()
    for who in ("held_out", "unigram"):
        assert f"| {figures[who]['accuracy']:.1%} | {figures[who]['perplexity']:.1f} |" in card
    assert figures["command"] in card


@pytest.mark.parametrize(
    ("text", "sensible"),
    [
        ("It is a truth universally acknowledged, that a single man in possession of a good fortune, must be in want of"
         " a <mask>.", {" wife"}),
        ("He was the eldest <mask> of a clergyman, and had no fortune of his own.", {" son"}),
        ("Sir Walter <mask>, of Kellynch Hall, in Somersetshire, was a man who never took up any book.", {" Elliot"}),
        ('"I am very much obliged to <mask>, sir," said she.', {" you"}),
        ("Mr. Darcy bowed, and <mask> nothing.", {" said", " saw"}),
        ("They walked together in the <mask> till dinner was ready.", {" room", " garden", " house", " morning"}),
    ],
)  # fmt: skip
def test_a_sensible_word_is_among_its_three_best(model_and_tokenizer, text, sensible):
    (fillings,) = roberta.fill_mask(text, *model_and_tokenizer, top=3)
    assert sensible & {filling.token_str for filling in fillings}


@pytest.mark.skipif(not CORPUS.is_dir(), reason="the novels are not beside the repository")
def test_it_guesses_masked_words_of_a_held_out_chapter_at_least_as_well_as_aimed_for(model_and_tokenizer):
    """Chapter 20 of Emma, by its rule of every 20th chapter: 35 % was the aim; the card states more."""
    model, tokenizer = model_and_tokenizer
    chapter = (CORPUS / "emma.txt").read_text().split("\nCHAPTER ")[20]
    words = " ".join(chapter.replace("_", "").split()[1:])
    ids = np.array(tokenizer(words, add_special_tokens=False, verbose=False)["input_ids"])
    rows = ids[: 20 * 120].reshape(20, 120)
    rows = np.pad(rows, ((0, 0), (1, 1)), constant_values=((0, 0), (0, tokenizer.eos_token_id)))
    masked, labels = roberta.tokenizer.mask_tokens(
        rows,
        np.random.default_rng(0),
        mask_id=tokenizer.mask_token_id,
        vocab_size=len(tokenizer),
        special_ids=tokenizer.all_special_ids,
    )
    is_guessed = labels != -100
    guesses = model(input_ids=masked).logits.argmax(-1)
    assert is_guessed.sum() > 300
    assert (guesses[is_guessed] == labels[is_guessed]).mean() >= 0.35
