"""The float64 spec, certified: on tiny models every output lies within its budget of what ball arithmetic proves.

Below is the forward pass once more, by numbers that carry their own error (`flint.arb`, 200 bits): what it gives is a
proven enclosure of the exact result for these very weights. It is written in index notation from the papers' equations
and shares nothing with `reference/` but the names of the parameters and the fields of the configuration. A text is a
list of rows; t, s are tokens, h a head, k an element of a head.
"""

from collections.abc import Callable, Iterator
from typing import Any

import flint
import numpy as np
import pytest
from flint import arb
from roberta import RobertaConfig
from roberta.dispatch.api import FACES
from roberta.parity.cases import draw_inputs, draw_state, small_config
from roberta.parity.tolerances import budgets
from roberta.reference.inputs import SIGNATURES
from roberta.reference.parameters import HEADS, parameter_table

Row = list[Any]
Rows = list[Row]
#: Relative to what float64 resolves, 53 bits, nothing.
BITS = 200


@pytest.fixture(autouse=True)
def _precision() -> Iterator[None]:
    before, flint.ctx.prec = flint.ctx.prec, BITS
    yield
    flint.ctx.prec = before


# -- layers ------------------------------------------------------------------------------------------------------------


def exact(array: Any) -> Any:
    """Floating-point numbers as they are, in nested lists."""
    return [exact(part) for part in array] if np.ndim(array) else arb(float(array))


def total(terms: Any) -> Any:
    return sum(terms, arb(0))


def dense(x: Rows, p: dict[str, Any], at: str) -> Rows:
    w, b = p[f"{at}.weight"], p[f"{at}.bias"]
    return [[total(w[j][k] * row[k] for k in range(len(row))) + b[j] for j in range(len(b))] for row in x]


def normalised(x: Rows, p: dict[str, Any], at: str, config: RobertaConfig) -> Rows:
    w, b, D = p[f"{at}.weight"], p[f"{at}.bias"], len(x[0])
    rows: Rows = []
    for row in x:
        mean = total(row) / D
        deviation = (total((v - mean) ** 2 for v in row) / D + arb(config.layer_norm_eps)).sqrt()
        rows.append([(row[d] - mean) / deviation * w[d] + b[d] for d in range(D)])
    return rows


def added(x: Rows, y: Rows) -> Rows:
    return [[a + b for a, b in zip(one, other, strict=True)] for one, other in zip(x, y, strict=True)]


def each(function: Callable[[Any], Any], x: Rows) -> Rows:
    return [[function(v) for v in row] for row in x]


def gelu(v: Any) -> Any:
    """v Phi(v)."""
    return v * (1 + (v / arb(2).sqrt()).erf()) / 2


def gelu_tanh(v: Any) -> Any:
    return v * (1 + ((2 / arb.pi()).sqrt() * (v + arb("0.044715") * v**3)).tanh()) / 2


def sigmoid(v: Any) -> Any:
    return 1 / (1 + (-v).exp())


def log1p_exp(v: Any) -> Any:
    return (1 + v.exp()).log()


ACTIVATIONS: dict[str, Callable[[Any], Any]] = {
    "gelu": gelu,
    "gelu_10": lambda v: min(max(gelu(v), arb(-10)), arb(10)),
    "gelu_new": gelu_tanh,
    "gelu_fast": lambda v: v * (1 + (arb("0.7978845608") * v * (1 + arb("0.044715") * v * v)).tanh()) / 2,
    "quick_gelu": lambda v: v * sigmoid(arb("1.702") * v),
    "relu": lambda v: max(v, arb(0)),
    "relu2": lambda v: max(v, arb(0)) ** 2,
    "leaky_relu": lambda v: v if v > 0 else v / 100,
    "silu": lambda v: v * sigmoid(v),
    "sigmoid": sigmoid,
    "tanh": lambda v: v.tanh(),
    "mish": lambda v: v * log1p_exp(v).tanh(),
}


# -- one text ----------------------------------------------------------------------------------------------------------


BY_TEXT = ("input_ids", "inputs_embeds", "token_type_ids", "attention_mask")
BY_TEXT += ("encoder_hidden_states", "encoder_attention_mask")


class Text:
    """One row b of the batch: what a call says of it."""

    def __init__(self, inputs: dict[str, Any], b: int, config: RobertaConfig) -> None:
        row = {name: inputs[name][b] for name in BY_TEXT if name in inputs}
        past = inputs.get("past_key_values")
        self.ids, self.embeds, self.config = row.get("input_ids"), row.get("inputs_embeds"), config
        self.T = len(self.ids if self.embeds is None else self.embeds)
        self.types = row.get("token_type_ids", [0] * self.T)
        self.past = [[exact(part[b]) for part in layer] for layer in past.layers] if past else None
        self.P = len(self.past[0][0][0]) if self.past else 0
        self.seen = int(past.token_count[b]) if past else 0
        self.mask = row.get("attention_mask")
        states = row.get("encoder_hidden_states")
        self.source = None if states is None else exact(states)
        self.source_mask = row.get("encoder_attention_mask")

    def positions(self) -> list[int]:
        """Real tokens are counted, behind the padding's own number; padding has that number."""
        pad, positions, count = self.config.pad_token_id, list[int](), self.seen
        for t in range(self.T):
            is_real = self.ids is None or self.ids[t] != pad
            count += is_real
            positions.append(pad + count if is_real else pad)
        return positions

    def sees(self, t: int, s: int) -> bool:
        if self.mask is not None and self.mask.ndim == 2:
            return bool(self.mask[t][s])
        is_before = not self.config.is_decoder or s <= self.P + t
        return is_before and (self.mask is None or bool(self.mask[s]))

    def sees_source(self, t: int, s: int) -> bool:
        mask = self.source_mask
        return mask is None or bool(mask[t][s] if mask.ndim == 2 else mask[s])


def embedded(text: Text, p: dict[str, Any], at: str) -> Rows:
    tables = {kind: p[f"{at}.{kind}_embeddings.weight"] for kind in ("word", "position", "token_type")}
    rows: Rows = []
    for t, position in enumerate(text.positions()):
        word = tables["word"][text.ids[t]] if text.embeds is None else exact(text.embeds[t])
        parts = [word, tables["token_type"][text.types[t]]]
        parts += [tables["position"][position]] if text.config.position_embedding_type == "absolute" else []
        rows.append([total(column) for column in zip(*parts, strict=True)])
    return normalised(rows, p, f"{at}.LayerNorm", text.config)


def by_head(x: Rows, K: int) -> list[Rows]:
    return [[row[h * K : (h + 1) * K] for row in x] for h in range(len(x[0]) // K)]


def scores_of(query: Rows, key: Rows, table: Rows | None, config: RobertaConfig) -> Rows:
    """(q_t k_s + q_t r + k_s r) / sqrt(K), with r the row of the distance from t to s; some types lack terms."""
    T, S, K = len(query), len(key), len(query[0])
    scores: Rows = []
    for t in range(T):
        scores.append([])
        for s in range(S):
            score = total(query[t][k] * key[s][k] for k in range(K))
            if table is not None:
                r = table[S - T + t - s + config.max_position_embeddings - 1]
                score += total(query[t][k] * r[k] for k in range(K))
                if config.position_embedding_type == "relative_key_query":
                    score += total(key[s][k] * r[k] for k in range(K))
            scores[t].append(score / arb(K).sqrt())
    return scores


def softmax(scores: Row, is_seen: list[bool]) -> Row:
    """Over what is seen; where that is nothing, everything alike."""
    if not any(is_seen):
        return [arb(1) / len(scores)] * len(scores)
    weights = [score.exp() if seen else arb(0) for score, seen in zip(scores, is_seen, strict=True)]
    return [weight / total(weights) for weight in weights]


def attention(
    x: Rows, keys: list[Rows], values: list[Rows], p: dict[str, Any], at: str, sees: Any, config: RobertaConfig
) -> tuple[Rows, list[Rows]]:
    """The sublayer's output, and the probabilities by head."""
    K, T = config.head_size, len(x)
    queries, probs, mixed = by_head(dense(x, p, f"{at}.self.query"), K), list[Rows](), [list[Any]() for _ in x]
    for query, key, value in zip(queries, keys, values, strict=True):
        scores, S = scores_of(query, key, p.get(f"{at}.self.distance_embedding.weight"), config), len(key)
        probs.append([softmax(scores[t], [sees(t, s) for s in range(S)]) for t in range(T)])
        for t in range(T):
            mixed[t] += [total(probs[-1][t][s] * value[s][k] for s in range(S)) for k in range(K)]
    y = added(x, dense(mixed, p, f"{at}.output.dense"))
    return normalised(y, p, f"{at}.output.LayerNorm", config), probs


def body(text: Text, p: dict[str, Any], at: str) -> dict[str, Any]:
    """The names of the outputs -> values of one text."""
    config, K = text.config, text.config.head_size
    found: dict[str, Any] = {"hidden_states.0": embedded(text, p, f"{at}embeddings")}
    x = found["hidden_states.0"]
    for i in range(config.num_hidden_layers):
        here = f"{at}encoder.layer.{i}"
        kinds = ("key", "value")
        own = [by_head(dense(x, p, f"{here}.attention.self.{kind}"), K) for kind in kinds]
        if text.past:
            own = [[a + b for a, b in zip(old, new, strict=True)] for old, new in zip(text.past[i], own, strict=False)]
        x, found[f"attentions.{i}"] = attention(x, *own, p, f"{here}.attention", text.sees, config)
        if config.add_cross_attention and (text.source or text.past):
            cross = f"{here}.crossattention"
            theirs = (
                text.past[i][2:]
                if text.past
                else [by_head(dense(text.source, p, f"{cross}.self.{kind}"), K) for kind in kinds]
            )
            own += theirs
            x, found[f"cross_attentions.{i}"] = attention(x, *theirs, p, cross, text.sees_source, config)
        found |= {f"past_key_values.{i}.{n}": part for n, part in enumerate(own)}
        inner = each(ACTIVATIONS[config.hidden_act], dense(x, p, f"{here}.intermediate.dense"))
        x = normalised(added(x, dense(inner, p, f"{here}.output.dense")), p, f"{here}.output.LayerNorm", config)
        found[f"hidden_states.{i + 1}"] = x
    return found | {"last_hidden_state": x}


def pooled(x: Rows, p: dict[str, Any], at: str) -> Rows:
    return each(lambda v: v.tanh(), dense(x[:1], p, at))


def head_of(head: str, x: Rows, p: dict[str, Any], config: RobertaConfig) -> dict[str, Any]:
    """What a head makes of one text."""
    if head == "model":
        return {"pooler_output": pooled(x, p, "pooler.dense")[0]}
    if head in {"causal_lm", "masked_lm"}:
        inner = normalised(each(gelu, dense(x, p, "lm_head.dense")), p, "lm_head.layer_norm", config)
        return {"logits": dense(inner, p, "lm_head.decoder")}
    if head == "sequence_classification":
        return {"logits": dense(pooled(x, p, "classifier.dense"), p, "classifier.out_proj")[0]}
    if head == "multiple_choice":
        return {"logits": dense(pooled(x, p, "roberta.pooler.dense"), p, "classifier")[0]}
    if head == "token_classification":
        return {"logits": dense(x, p, "classifier")}
    both = dense(x, p, "qa_outputs")
    return {"start_logits": [row[0] for row in both], "end_logits": [row[1] for row in both]}


# -- losses ------------------------------------------------------------------------------------------------------------


def joined(parts: Any) -> Row:
    return [value for part in parts for value in part]


def mean(terms: Row) -> Any:
    return total(terms) / max(len(terms), 1)


def cross_entropy(logits: Any, labels: Any) -> Any:
    """Of every row of logits whose label is none of -100 and beyond the end."""
    rows = list(zip(logits, labels, strict=True))
    return mean([total(v.exp() for v in row).log() - row[int(n)] for row, n in rows if 0 <= n < len(row)])


def loss_of(head: str, found: dict[str, Any], inputs: dict[str, Any], config: RobertaConfig) -> Any:
    if head == "question_answering":
        ends = ("start", "end")
        return mean([cross_entropy(found[f"{end}_logits"], inputs[f"{end}_positions"]) for end in ends])
    logits, labels = found["logits"], inputs["labels"]
    if head == "sequence_classification" and config.num_labels == 1:
        return mean([(row[0] - arb(float(n))) ** 2 for row, n in zip(logits, labels, strict=True)])
    if config.problem_type == "multi_label_classification":
        rows = zip(joined(logits), labels.reshape(-1), strict=True)
        return mean([log1p_exp(v) - arb(float(n)) * v for v, n in rows])
    if head == "causal_lm":
        logits, labels = [text[:-1] for text in logits], labels[:, 1:]
    if head in {"causal_lm", "masked_lm", "token_classification"}:
        logits, labels = joined(logits), labels.reshape(-1)
    return cross_entropy(logits, labels)


def truth(head: str, p: dict[str, Any], inputs: dict[str, Any], config: RobertaConfig) -> dict[str, Any]:
    """Names of outputs -> arrays of enclosures."""
    choices = inputs["input_ids"].shape[1] if head == "multiple_choice" else 1
    names = ("input_ids", "attention_mask", "token_type_ids")
    flat = {n: inputs[n].reshape(-1, inputs[n].shape[-1]) for n in names if n in inputs} if choices > 1 else {}
    given = {**inputs, **flat}
    B = len(given.get("input_ids", given.get("inputs_embeds")))
    texts = [body(Text(given, b, config), p, "" if head == "model" else "roberta.") for b in range(B)]
    texts = [found | head_of(head, found["last_hidden_state"], p, config) for found in texts]
    batch: dict[str, Any] = {name: [found[name] for found in texts] for name in texts[0]}
    if choices > 1:
        flat_logits = joined(batch["logits"])
        batch["logits"] = [flat_logits[n : n + choices] for n in range(0, len(flat_logits), choices)]
    if "labels" in inputs or "start_positions" in inputs:
        batch["loss"] = loss_of(head, batch, inputs, config)
    return {name: np.array(value, dtype=object) for name, value in batch.items()}


# -- the comparison ----------------------------------------------------------------------------------------------------


def tiny(**fields: Any) -> RobertaConfig:
    sizes = {
        "vocab_size": 11,
        "hidden_size": 6,
        "num_attention_heads": 2,
        "intermediate_size": 5,
        "num_hidden_layers": 1,
    }
    return small_config(**{**sizes, "max_position_embeddings": 13, "num_labels": 2, **fields})


def worst(head: str, model: Any, p: dict[str, Any], inputs: dict[str, Any]) -> dict[str, tuple[float, float]]:
    """Output -> its largest error: in units in the last place of its largest value, and in parts of its limit."""
    permitted, _ = budgets(model, inputs, "float64")
    wanted, found = truth(head, p, inputs, model.config), dict[str, tuple[float, float]]()
    for name, budget in permitted.items():
        if not name.endswith("token_count"):
            assert wanted[name].shape == budget.truth.shape, name
            balls = [
                abs(arb(float(v)) - ball).upper() for v, ball in zip(budget.truth.flat, wanted[name].flat, strict=True)
            ]
            errors = np.array([float(ball) for ball in balls]).reshape(budget.truth.shape)
            largest = np.spacing(np.abs(budget.truth).max())
            found[name] = float(errors.max() / largest), float((errors / budget.limit).max())
    return found


def certify(head: str, model: Any, p: dict[str, Any], inputs: dict[str, Any], record: Any) -> None:
    asked = {"output_hidden_states": True, "output_attentions": True}
    found = worst(head, model, p, {**inputs, **asked})
    for name, (ulps, share) in found.items():
        line = f"{ulps:.2f} units in the last place, {share:.3f} of the limit"
        record(name, line)
        print(f"{name:25s} {line}")
        assert share <= 1, f"{name}: {line}"


def model_of(head: str, config: RobertaConfig, seed: int = 0) -> tuple[Any, dict[str, Any]]:
    """The float64 spec, and its weights as exact numbers."""
    state = draw_state(parameter_table(head, config), seed)
    return FACES[head](config, backend="numpy", dtype="float64", state=state), {n: exact(w) for n, w in state.items()}


def inputs_of(head: str, config: RobertaConfig, padding: str = "right", length: int = 4) -> dict[str, Any]:
    drawn = draw_inputs(head, config, 0, padding, length)
    return {name: value for name, value in drawn.items() if name in SIGNATURES[head]}


CAUSAL, CROSS = {"is_decoder": True}, {"is_decoder": True, "add_cross_attention": True}
RELATIVE = {"position_embedding_type": "relative_key"}
QUERY = {"position_embedding_type": "relative_key_query"}
CASES: dict[str, tuple[str, dict[str, Any], str]] = {
    **{head: (head, {}, "right") for head in HEADS},
    **{f"{head}, two layers": (head, {"num_hidden_layers": 2, **QUERY}, "inner") for head in HEADS},
    "relative_key": ("model", RELATIVE, "inner"),
    "decoder": ("causal_lm", CAUSAL, "left"),
    "decoder, relative_key": ("causal_lm", {**CAUSAL, **RELATIVE}, "left"),
    "cross-attention": ("model", {**CROSS, "num_hidden_layers": 2}, "right"),
    "cross-attention, relative_key_query": ("causal_lm", {**CROSS, **QUERY}, "right"),
    "regression": ("sequence_classification", {"num_labels": 1}, "right"),
    "three labels": ("token_classification", {"num_labels": 3}, "none"),
    "eight wide": ("masked_lm", {"hidden_size": 8, "num_attention_heads": 4, "layer_norm_eps": 1e-12}, "none"),
    "untied": ("masked_lm", {"tie_word_embeddings": False}, "none"),
    **{name: ("model", {"hidden_act": name}, "none") for name in ACTIVATIONS if name != "gelu"},
}


@pytest.mark.parametrize("case", CASES)
def test_the_spec_lies_within_its_budget_of_the_proven_result(case: str, record_property: Any) -> None:
    head, fields, padding = CASES[case]
    config = tiny(**fields)
    certify(head, *model_of(head, config), inputs_of(head, config, padding), record_property)


def test_several_labels_at_once(record_property: Any) -> None:
    config = tiny(num_labels=3, problem_type="multi_label_classification")
    labels = np.array([[0.0, 1, 1], [1, 0, 0], [0, 0, 0.25]])
    inputs = {**inputs_of("sequence_classification", config), "labels": labels}
    certify("sequence_classification", *model_of("sequence_classification", config), inputs, record_property)


@pytest.mark.parametrize("fields", [{}, QUERY], ids=["absolute", "relative"])
def test_rows_that_may_look_at_nobody(fields: Any, record_property: Any) -> None:
    config = tiny(**fields)
    mask = np.ones((3, 4, 4), int)
    mask[0, 1], mask[1], mask[2, :, 2] = 0, 0, 0
    inputs = {**inputs_of("model", config), "attention_mask": mask}
    certify("model", *model_of("model", config), inputs, record_property)


def test_embeddings_given(record_property: Any) -> None:
    config = tiny()
    embeds = np.random.default_rng(0).standard_normal((3, 4, 6)).astype(np.float32)
    certify("model", *model_of("model", config), {"inputs_embeds": embeds}, record_property)


@pytest.mark.parametrize(
    "fields", [CAUSAL, {**CAUSAL, **QUERY}, {**CROSS, "num_hidden_layers": 2}, {**CROSS, **RELATIVE}]
)
@pytest.mark.parametrize("padding", ["left", "none"])
def test_both_passes_of_a_cache(padding: str, fields: Any, record_property: Any) -> None:
    """The second pass is certified for the keys and values that it is given, which the first pass was for its own."""
    config = tiny(**fields)
    model, p = model_of("causal_lm", config)
    inputs = {name: value for name, value in inputs_of("causal_lm", config, padding, 5).items() if name != "labels"}
    of_tokens = ("input_ids", "token_type_ids")
    first = {n: v[:, :3] if n in of_tokens or n == "attention_mask" else v for n, v in inputs.items()}
    second = {n: v[:, 3:] if n in of_tokens else v for n, v in inputs.items()}
    certify("causal_lm", model, p, first, record_property)
    past = model(**first).past_key_values
    certify("causal_lm", model, p, {**second, "past_key_values": past}, record_property)


# -- the comparison can fail -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["roberta.encoder.layer.0.attention.self.query.weight", "lm_head.layer_norm.bias"])
def test_a_weight_that_differs_in_its_twelfth_digit_is_seen(name: str) -> None:
    config = tiny()
    model, p = model_of("masked_lm", config)
    row = p[name][0] if name.endswith("weight") else p[name]
    row[0] *= 1 + arb("1e-11")
    assert max(share for _, share in worst("masked_lm", model, p, inputs_of("masked_lm", config)).values()) > 1


def test_another_gelu_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(ACTIVATIONS, "gelu", gelu_tanh)
    model, p = model_of("model", tiny())
    assert max(share for _, share in worst("model", model, p, inputs_of("model", tiny())).values()) > 1e6
