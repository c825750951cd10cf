"""Loads checkpoint folders as their users do and prints what it saw, one JSON document.

    load.py model FOLDER...                what transformers makes of each folder
    load.py adapter BASE ADAPTER BAKED     PEFT's merge of the adapter beside the baked checkpoint
"""

import json
import math
import pathlib
import sys

import torch
from peft import PeftModel
from safetensors import safe_open
from transformers import AutoModelForCausalLM, AutoTokenizer
from transformers.utils import logging

logging.disable_progress_bar()
TEXT = "ls \u2014 list directory contents. Verzeichnisinhalte auflisten, afficher le contenu."


def stored(folder):
    """Dtype and whether every number is finite, by the name of the tensor."""
    tensors = {}
    for file in sorted(pathlib.Path(folder).glob("*.safetensors")):
        with safe_open(file, framework="pt") as opened:
            for name in opened.keys():
                tensor = opened.get_tensor(name)
                tensors[name] = (str(tensor.dtype), bool(torch.isfinite(tensor.float()).all()))
    return tensors


def model(folder):
    loaded, info = AutoModelForCausalLM.from_pretrained(
        folder, dtype=torch.float32, output_loading_info=True, local_files_only=True
    )
    tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True)
    ids = tokenizer(TEXT, return_tensors="pt").input_ids
    with torch.no_grad():
        loss = loaded(ids, labels=ids).loss.item()
    tensors = stored(folder)
    return {
        "architecture": type(loaded).__name__,
        "layers": loaded.config.num_hidden_layers,
        "vocabulary": len(tokenizer),
        "loss": loss,
        "chance": math.log(loaded.config.vocab_size),
        "faults": {kind: sorted(map(str, names)) for kind, names in info.items() if names},
        "dtypes": sorted({dtype for dtype, _ in tensors.values()}),
        "finite": all(finite for _, finite in tensors.values()),
        "round_trip": tokenizer.decode(ids[0], skip_special_tokens=True) == TEXT,
    }


def adapter(base, adapter, baked):
    def read(folder):
        return AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32, local_files_only=True)

    merged = PeftModel.from_pretrained(read(base), adapter).merge_and_unload().state_dict()
    ours, plain = read(baked).state_dict(), read(base).state_dict()
    worst = 0.0
    for name, wanted in merged.items():
        # PEFT sums in float32: where base and adapter cancel, its own rounding is larger than a bf16 unit of the sum.
        apart = (ours[name] - wanted).abs() - 2.0**-22 * plain[name].abs()
        unit = 2.0 ** (torch.floor(torch.log2(wanted.abs().clamp(min=2.0**-126))) - 7)
        worst = max(worst, (apart / unit).max().item())
    return {
        "same_names": sorted(merged) == sorted(ours),
        "changed": sum(not torch.equal(merged[name], plain[name]) for name in merged),
        "bf16_units": worst,
    }


if __name__ == "__main__":
    kind, folders = sys.argv[1], sys.argv[2:]
    json.dump({f: model(f) for f in folders} if kind == "model" else adapter(*folders), sys.stdout)
