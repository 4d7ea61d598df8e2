"""Small checkpoints, saved with their tokenizer: what a task of the predictor's tests names."""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest
import roberta
from roberta.dispatch.api import FACES
from roberta.parity.cases import draw_state, small_config
from roberta.parity.tolerances import noisy_runs
from roberta.reference.layers import softmax
from roberta.reference.parameters import parameter_table

LABELS = {0: "contradiction", 1: "neutral", 2: "entailment"}


@pytest.fixture(scope="session")
def checkpoint_of(tmp_path_factory):
    """Head -> a folder with seeded weights of it, and a tokenizer."""

    @cache
    def folder(head):
        place = tmp_path_factory.mktemp(head)
        text = "She was glad to see him, and he was glad to be seen."
        tokenizer = roberta.RobertaTokenizer.train([text] * 3, vocab_size=277, model_max_length=59)
        tokenizer.save_pretrained(place)
        labels = {} if head == "question_answering" else {"id2label": LABELS}
        config = small_config(
            vocab_size=len(tokenizer), max_position_embeddings=61, is_decoder=head == "causal_lm", **labels
        )
        state = draw_state(parameter_table(head, config), 0)
        FACES[head](config, state=state).save_pretrained(place)
        return str(place)

    return folder


@pytest.fixture(scope="session")
def novelist(checkpoint_of):
    """A folder with a classifier of three labels."""
    return checkpoint_of("sequence_classification")


@pytest.fixture(scope="session")
def score_limits(novelist):
    """Texts -> how far two float32 runs of the classifier may be apart in the score of each: sqrt(2) budgets."""

    def limits(texts):
        model = roberta.RobertaForSequenceClassification.from_pretrained(novelist, backend="numpy", dtype="float64")
        run = noisy_runs(model, [dict(encoded(novelist, texts))], "float32")
        return np.sqrt(2.0) * run.budget_of(lambda outputs: softmax(outputs["logits"]).max(-1)).limit  # B

    return limits


@pytest.fixture(scope="session")
def vector_limits(novelist):
    """Texts -> the same of each number of their normalised mean vectors."""

    def limits(texts):
        model = roberta.RobertaModel.from_pretrained(
            novelist, backend="numpy", dtype="float64", add_pooling_layer=False
        )
        inputs = encoded(novelist, texts)
        mask = inputs["attention_mask"][:, :, None]  # B T 1

        def vectors(outputs):
            mean = (outputs["last_hidden_state"] * mask).sum(1) / mask.sum(1)  # B D
            return mean / np.linalg.norm(mean, axis=-1, keepdims=True)

        return np.sqrt(2.0) * noisy_runs(model, [dict(inputs)], "float32").budget_of(vectors).limit  # B D

    return limits


def encoded(folder, texts):
    return roberta.load_tokenizer(folder)(texts, padding=True, return_tensors="np")
