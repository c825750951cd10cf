"""Computes what fine-tunes of a base share from their files, as arXiv 2405.17461 defines it, and compares a stored one.

    shared.py FILE BASE MEMBER...

Prints how far the stored difference, scales and errors are from those computed, and how many bits of the masks differ.
"""

import json
import sys

import torch
from safetensors import safe_open


def read(path):
    with safe_open(path, framework="pt") as opened:
        return {name: opened.get_tensor(name) for name in opened.keys()}, opened.metadata()


def bits(rows, count):
    """Rows of bytes as rows of bits, the lowest first."""
    return ((rows.unsqueeze(-1) >> torch.arange(8)) & 1).flatten(1)[:, :count].bool()


stored, metadata = read(sys.argv[1])
base, *members = [read(f"{folder}/model.safetensors")[0] for folder in sys.argv[2:]]
computed, sizes = {}, torch.zeros(2, len(members), dtype=torch.float64)
for name, start in base.items():
    deltas = torch.stack([member[name].double() - start.double() for member in members]).flatten(1)
    sign = torch.where(deltas.sum(0) > 0, 1.0, -1.0).double()
    agrees = deltas * sign > 0
    shared = sign * torch.where(agrees, deltas.abs(), 0.0).amax(0)
    sizes += torch.stack([deltas.abs().sum(1), (agrees * shared).abs().sum(1)])
    computed[name] = (deltas, shared, agrees)
scales = sizes[0] / sizes[1]
farthest, wrong, squares = 0.0, 0, torch.zeros(2, len(members), dtype=torch.float64)
for name, (deltas, shared, agrees) in computed.items():
    farthest = max(farthest, (stored[f"{name}.unified"].double().flatten() - shared).abs().max().item())
    wrong += (bits(stored[f"{name}.masks"], shared.numel()) != agrees).sum().item()
    lost = deltas - scales[:, None] * agrees * shared
    squares += torch.stack([lost.square().sum(1), deltas.square().sum(1)])
told = torch.tensor([member["relative_error"] for member in json.loads(metadata["members"])], dtype=torch.float64)
json.dump(
    {
        "unified": farthest,
        "bits": wrong,
        "scales": (stored["scales"] - scales).abs().max().item(),
        "errors": (told - (squares[0] / squares[1]).sqrt()).abs().max().item(),
        "tensors": len(stored) - 2 * len(base),
    },
    sys.stdout,
)
