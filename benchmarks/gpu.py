"""Models on an accelerator: `python benchmarks/gpu.py [--only rbm samplers] [--device cuda] [--json FILE]`.

Gibbs chains (`gpu_rbm.py`), flows (`gpu_flows.py`), pixel and token models (`gpu_sequences.py`), the shared samplers
(`gpu_samplers.py`), walks and skip-gram (`gpu_embeddings.py`): first each is checked against the CPU, then timed beside
the matrix products, the gradient or the compiled loops. float32 throughout, and in IEEE precision: TF32, torch's
default for convolutions and recurrent layers on newer GPUs, rounds to 10 bits. Needs torch, numpy and safetensors only
(embeddings numba and scipy as well, or they are left out), and minutes; on a CPU a small version runs. The
exit status is 1 if a check fails.
"""

from __future__ import annotations

import argparse
import json
import platform
from typing import Any

import gpu_embeddings
import gpu_flows
import gpu_rbm
import gpu_samplers
import gpu_sequences
import torch

PARTS = {"rbm": gpu_rbm, "flows": gpu_flows, "sequences": gpu_sequences, "samplers": gpu_samplers,
         "embeddings": gpu_embeddings}  # fmt: skip


def show(row: dict[str, Any]) -> str:
    return ", ".join(f"{key} {value if isinstance(value, str) else format(value, '.4g')}" for key, value in row.items())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--only", nargs="+", choices=PARTS, default=list(PARTS), help="parts to run")
    parser.add_argument("--json", metavar="FILE", help="also write the tables there")
    arguments = parser.parse_args()
    device = torch.device(arguments.device)
    for part in (torch.backends.cudnn.conv, torch.backends.cudnn.rnn):  # type: ignore[attr-defined]
        part.fp32_precision = "ieee"
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else str(device)
    record: dict[str, Any] = {"device": name, "torch": torch.__version__, "python": platform.python_version()}
    print(f"{name}, torch {torch.__version__}, float32 products: {torch.get_float32_matmul_precision()}")
    wrong = 0
    for part in arguments.only:
        found = PARTS[part].checks(device, device.type == "cpu")
        for check in found:
            print(f"{check.name}: {check.value:.3g} of {check.limit:g} ({'fine' if check.good else 'WRONG'})")
            wrong += not check.good
        rows = []
        for row in PARTS[part].cases(device, device.type == "cpu"):
            print(show(row), flush=True)
            rows.append(row)
        record[part] = {"checks": [check._asdict() for check in found], "cases": rows}
    if arguments.json:
        with open(arguments.json, "w", encoding="utf-8") as file:
            json.dump(record, file, indent=1)
    if wrong:
        raise SystemExit(1)


if __name__ == "__main__":
    main()
