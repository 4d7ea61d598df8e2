"""What an editor sees. `test_typing.py` runs type checkers over this file: it is read, never run.

A comment says what a line reveals, `reveals: TYPE`, in the words of every checker; `reveals: TYPE or OTHER` in those of
mypy as well. A line whose comment is `error` is one for all of them.
"""

from typing import reveal_type

import keras
import numpy as np
import roberta
import torch
from flax import nnx
from roberta import RobertaConfig, RobertaForMaskedLM, RobertaModel

config = RobertaConfig(hidden_size=64, num_labels=3, is_decoder=True)
ids = [[0, 5, 2]]

# -- which class -------------------------------------------------------------------------------------------------------

on_torch = RobertaForMaskedLM(config, backend="torch", seed=1)
on_keras = RobertaForMaskedLM.from_pretrained("austen", backend="tf", dtype="float32")
on_flax = on_torch.to_backend("flax")
reveal_type(RobertaForMaskedLM(config))  # reveals: RobertaForMaskedLM[Any]
reveal_type(RobertaForMaskedLM(config, "numpy"))  # reveals: NumpyRobertaForMaskedLM
reveal_type(RobertaForMaskedLM(config, backend="numba"))  # reveals: NumbaRobertaForMaskedLM
reveal_type(on_torch)  # reveals: TorchRobertaForMaskedLM
reveal_type(on_keras)  # reveals: TFRobertaForMaskedLM
reveal_type(on_flax)  # reveals: FlaxRobertaForMaskedLM
reveal_type(RobertaForMaskedLM.from_pretrained("austen"))  # reveals: RobertaForMaskedLM[Any]
reveal_type(roberta.TorchRobertaForMaskedLM(config))  # reveals: TorchRobertaForMaskedLM
reveal_type(roberta.TFRobertaModel.from_pretrained("austen"))  # reveals: TFRobertaModel
reveal_type(RobertaModel(config, backend="torch", add_pooling_layer=False))  # reveals: TorchRobertaModel
reveal_type(on_torch.train())  # reveals: TorchRobertaForMaskedLM
reveal_type(on_torch.prune_heads({0: [1]}))  # reveals: TorchRobertaForMaskedLM


def takes_torch(module: torch.nn.Module) -> None: ...
def takes_keras(model: keras.Model) -> None: ...
def takes_flax(module: nnx.Module) -> None: ...
def takes_any(model: RobertaForMaskedLM) -> None: ...


takes_torch(on_torch)
takes_keras(on_keras)
takes_flax(on_flax)
for model in (on_torch, on_keras, on_flax):
    takes_any(model)
takes_torch(on_flax)  # error
takes_any(RobertaModel(config))  # error

# -- what comes out ----------------------------------------------------------------------------------------------------

reveal_type(on_torch(ids))  # reveals: MaskedLMOutput[Tensor]
reveal_type(on_torch(ids, labels=ids).logits)  # reveals: Tensor
reveal_type(on_torch(torch.tensor(ids), np.ones((1, 3))).hidden_states)  # reveals: tuple[Tensor, ...] | None
reveal_type(on_torch(ids, return_dict=False))  # reveals: tuple[Any, ...]
reveal_type(RobertaForMaskedLM(config)(ids).logits)  # reveals: Any
reveal_type(on_flax(ids).logits)  # reveals: Array
reveal_type(on_keras(ids, training=True))  # reveals: MaskedLMOutput[Tensor] or MaskedLMOutput[Any]
reveal_type(on_keras({"input_ids": ids}).loss)  # reveals: Tensor | None or Any | None
reveal_type(on_torch.state_dict_numpy())  # reveals: dict[str, Any]
reveal_type(on_torch.config)  # reveals: RobertaConfig
reveal_type(on_torch.dtype_name)  # reveals: str


class Mine(RobertaForMaskedLM):
    def hello(self) -> str:
        return str(self.forward(ids, labels=ids).logits)


class Wider(roberta.TorchRobertaForMaskedLM):
    def __init__(self, config: RobertaConfig, width: int) -> None:
        super().__init__(config)
        self.width = width


reveal_type(Mine(config).hello())  # reveals: str
reveal_type(Mine.from_pretrained("austen"))  # reveals: Mine
reveal_type(Wider(config, 3))  # reveals: Wider
RobertaForMaskedLM.from_pretrained("austen", torch_dtype="float64", revision="main")

# -- tasks -------------------------------------------------------------------------------------------------------------

choose = roberta.task("multiple-choice", "folder")
reveal_type(choose)  # reveals: MultipleChoice
reveal_type(choose({"text": "She was", "choices": ["glad"]}))  # reveals: Choice
reveal_type(choose([{"text": "She was", "choices": ["glad"]}]))  # reveals: list[Choice]
reveal_type(roberta.task("zero-shot-classification", "folder")("She was").labels)  # reveals: tuple[str, ...]
reveal_type(roberta.task("text-classification", "folder")("She was"))  # reveals: Classification | Any
reveal_type(roberta.task("token-classification", "folder")("She was")[0])  # reveals: TokenEntity | EntityGroup | Any
reveal_type(roberta.task("zero-shot-classification", "folder")(["She was"]))  # reveals: list[ZeroShot]
answer = roberta.task("question-answering", "folder")
reveal_type(answer(question="Who?", context="Emma."))  # reveals: ExtractedAnswer | Any
reveal_type(answer([{"question": "Who?", "context": "Emma."}]))  # reveals: list[ExtractedAnswer | Any]
reveal_type(roberta.fill_mask("a <mask>")[0][0].score)  # reveals: float

# -- what is misspelt --------------------------------------------------------------------------------------------------

RobertaForMaskedLM(config, sed=3)  # error
RobertaForMaskedLM(config, backend="torch", sed=3)  # error
RobertaForMaskedLM(config, add_pooling_layer=False)  # error
RobertaForMaskedLM.from_pretrained("austen", bakend="torch")  # error
RobertaForMaskedLM.from_pretrained("austen", backend="torch", hiden_act="gelu_new")  # error
RobertaConfig(hiden_size=64)  # error
config.replace(hiden_size=64)  # error
on_torch(ids, atention_mask=ids)  # error
on_flax(ids, atention_mask=ids)  # error
on_keras(ids, atention_mask=ids)  # error
on_torch(ids, training=True)  # error
RobertaForMaskedLM(config)(ids, return_dict=False, atention_mask=ids)  # error
on_torch(ids).logit  # error
on_torch.save_pretained("folder")  # error
roberta.TorchRobertaForMaskedLM(config, sed=3)  # error
roberta.RobertaForMaskedLn  # error
roberta.tasks.TextClassification("folder", top=3)  # error
