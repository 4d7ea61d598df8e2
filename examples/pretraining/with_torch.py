"""PyTorch: one process for each device, which `torchrun` starts; DDP, or FSDP where a device cannot hold the whole."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any

import numpy as np
import roberta
import torch
import torch.distributed as dist
from roberta.reference.inputs import Inputs
from roberta.tokenizer.data import IGNORED
from torch import Tensor, nn
from torch.distributed.fsdp import fully_shard
from torch.distributed.tensor import DTensor, distribute_tensor
from torch.nn import functional as F
from torch.nn.parallel import DistributedDataParallel

from .corpus import Batch, Layout
from .recipe import Recipe
from .state import Moments, parameter_names

WAYS = ("ddp", "fsdp")


class SummedLoss(nn.Module):
    """The sum of the losses of the tokens that are to be guessed: what the wrappers wrap."""

    def __init__(self, model: Any) -> None:
        super().__init__()
        self.model = model

    def forward(self, ids: Tensor, places: Tensor, labels: Tensor) -> Tensor:
        """(B, T), (B, M), (B, M) -> ()."""
        row = torch.arange(len(ids), device=ids.device)[:, None].expand_as(places)  # B M
        positions = torch.stack([row.reshape(-1), places.reshape(-1)], 1)  # BM 2
        mask = (ids != self.model.config.pad_token_id).long()  # B T
        logits = self.model.run(Inputs(input_ids=ids, attention_mask=mask, positions=positions)).logits  # BM V
        return F.cross_entropy(logits.float(), labels.reshape(-1), ignore_index=IGNORED, reduction="sum")


class TorchEngine:
    """One of several processes, or the only one.

    Attributes:
        layout: one device a process.
        parameters: HF's name -> parameter, tied ones once; under FSDP each process has a part of each.
    """

    def __init__(
        self, recipe: Recipe, config: Any, layout: Layout, device: str, way: str = "ddp", precision: str = "float32"
    ) -> None:
        self.recipe, self.layout, self.device, self.way, self.precision = recipe, layout, device, way, precision
        model = roberta.RobertaForMaskedLM(config, backend="torch", seed=recipe.seed, device=device).train()
        self.loss = wrapped(SummedLoss(model), way if layout.world > 1 else "", device)
        saved = parameter_names(config)
        own = {name.rpartition("model.")[2]: parameter for name, parameter in self.loss.named_parameters()}
        self.parameters = {saved[name]: parameter for name, parameter in own.items()}
        self.optimizer = new_optimizer(list(self.parameters.values()), recipe)

    def total(self, count: int) -> int:
        """The sum of a number over all processes."""
        return int(self.summed(torch.tensor(count, device=self.device)))

    def summed(self, value: Tensor) -> Tensor:
        """The sum over all processes."""
        if self.layout.world > 1:
            dist.all_reduce(value)
        return value

    def step(self, batch: Batch, count: int, rate: float, step: int) -> float:
        """Learn from this process's share of a batch."""
        torch.manual_seed(seed_of(self.recipe.seed, step, self.layout.rank))
        for group in self.optimizer.param_groups:
            group["lr"] = rate
        total = torch.zeros((), device=self.device)
        pieces = len(batch.ids[0])
        for index in range(pieces):
            piece = (torch.from_numpy(x[0, index]).to(self.device) for x in batch)
            with self.reducing(is_last=index == pieces - 1), autocast(self.precision, self.device):
                loss = self.loss(*piece) / count
                # DDP and FSDP give the mean over processes of what is wanted as a sum.
                (loss * self.layout.world).backward()
            total += loss.detach()
        self.optimizer.step()
        self.optimizer.zero_grad()
        return float(self.summed(total))

    @contextmanager
    def reducing(self, *, is_last: bool) -> Iterator[None]:
        """Gradients are added up in each process, and over processes once, with those of the last piece."""
        if self.layout.world > 1 and self.way == "fsdp":
            self.loss.set_requires_gradient_sync(is_last)
        quiet = self.layout.world > 1 and self.way == "ddp" and not is_last
        with self.loss.no_sync() if quiet else nullcontext():
            yield

    def moments(self) -> Moments:
        """What it knows; the first process gets the arrays."""
        state = self.optimizer.state
        zeros = {name: torch.zeros_like(parameter) for name, parameter in self.parameters.items()}
        first, second = (
            {name: state[p].get(key, zeros[name]) for name, p in self.parameters.items()}
            for key in ("exp_avg", "exp_avg_sq")
        )
        return Moments(*(self.gathered(tensors) for tensors in (self.parameters, first, second)))

    def gathered(self, tensors: Any) -> dict[str, Any]:
        """Whole arrays; all processes take part, and the first keeps them."""
        whole = ((name, x.full_tensor() if isinstance(x, DTensor) else x) for name, x in tensors.items())
        return {name: x.detach().cpu().numpy().copy() for name, x in whole if self.layout.rank == 0}

    @torch.no_grad()
    def load(self, moments: Moments, step: int) -> None:
        """Know this instead."""
        for name, parameter in self.parameters.items():
            weight, first, second = (spread(torch.tensor(arrays[name]), parameter) for arrays in moments)
            parameter.copy_(weight)
            count = torch.tensor(float(step))
            self.optimizer.state[parameter] = {"step": count, "exp_avg": first, "exp_avg_sq": second}

    def close(self) -> None:
        """Leave the other processes, when all have come so far."""
        if self.layout.world > 1:
            dist.barrier()
            dist.destroy_process_group()


# -- pieces ------------------------------------------------------------------------------------------------------------


def start(device: str = "auto") -> tuple[int, int, str]:
    """Join the processes that `torchrun` has started: rank, how many there are, this one's device."""
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # without it, cuBLAS is not deterministic
    torch.use_deterministic_algorithms(True)
    rank, world, local = (int(os.environ.get(name, default)) for name, default in VARIABLES.items())
    if device == "auto":
        device = f"cuda:{local}" if torch.cuda.is_available() else "cpu"
    if world > 1:
        dist.init_process_group("nccl" if device.startswith("cuda") else "gloo")
    return rank, world, device


#: What `torchrun` tells its processes, and what holds for one that runs by itself.
VARIABLES = {"RANK": 0, "WORLD_SIZE": 1, "LOCAL_RANK": 0}


def wrapped(loss: SummedLoss, way: str, device: str) -> Any:
    """The loss, whose gradients come out as the mean over all processes."""
    if way == "fsdp":
        for layer in loss.model.roberta.encoder.layer:
            fully_shard(layer)
        return fully_shard(loss)  # what is left: embeddings and head, whose table is tied
    return DistributedDataParallel(loss, gradient_as_bucket_view=True) if way == "ddp" else loss


def new_optimizer(parameters: list[nn.Parameter], recipe: Recipe) -> torch.optim.Optimizer:
    """AdamW; vectors do not decay."""
    groups = [
        {"params": [p for p in parameters if p.ndim > 1], "weight_decay": recipe.weight_decay},
        {"params": [p for p in parameters if p.ndim == 1], "weight_decay": 0.0},
    ]
    return torch.optim.AdamW(groups, lr=recipe.learning_rate, betas=recipe.betas, eps=recipe.epsilon)


def spread(whole: Tensor, like: Tensor) -> Tensor:
    """A tensor where and as another one is: on its device, or cut over processes."""
    if isinstance(like, DTensor):
        return distribute_tensor(whole.to(like.device), like.device_mesh, like.placements)
    return whole.to(like.device)


def autocast(precision: str, device: str) -> AbstractContextManager[Any]:
    """Matrix products in bfloat16, or nothing."""
    return torch.autocast(device.split(":")[0], torch.bfloat16) if precision == "bfloat16" else nullcontext()


def seed_of(seed: int, step: int, rank: int) -> int:
    """A seed for each step and process."""
    return int(np.random.SeedSequence([seed, step, rank]).generate_state(1, np.uint64)[0] >> 1)
