#!/usr/bin/env python3
"""The peer of tests/bench/step.rs: the same update-and-prune step with torch and PEFT.

    pip install torch transformers peft         # any versions that load the folder
    cargo bench --bench step -- --peer python3

Reads FOLDER/step.json and the adapters FOLDER/a0, a1, ...; makes one step for every line on stdin and
answers with a line of JSON. Written as a PEFT user would who knows the library well: frozen base without
gradients, all adapters active at once, fused AdamW, squared norms taken by forward hooks.
"""
import json
import sys
import time
from pathlib import Path

import torch
from peft import PeftModel
from peft.tuners.lora import LoraLayer
from transformers import AutoModelForCausalLM

folder = Path(sys.argv[1])
s = json.loads((folder / "step.json").read_text())
torch.set_num_threads(s["threads"])
device = s["device"]
dtype = {"f32": torch.float32, "bf16": torch.bfloat16}[s["dtype"]]

base_folder = Path(s["base"])
gguf = next((f.name for f in base_folder.glob("*.gguf")), None)
base = AutoModelForCausalLM.from_pretrained(base_folder, dtype=dtype, **({"gguf_file": gguf} if gguf else {}))
base = base.to(device)
names = [f"a{i}" for i in range(s["adapters"])]
model = PeftModel.from_pretrained(base, folder / names[0], adapter_name=names[0], is_trainable=True)
for name in names[1:]:
    model.load_adapter(folder / name, name, is_trainable=True)
model.base_model.set_adapter(names)
trained = []
for name, p in model.named_parameters():
    p.requires_grad_("lora_" in name)
    if "lora_" in name:
        p.data = p.data.float()
        trained.append(p)
if s["recompute"]:
    model.gradient_checkpointing_enable(gradient_checkpointing_kwargs={"use_reentrant": False})
    model.enable_input_require_grads()
model.train()

squares, weights, mask = {}, {}, None
for name, layer in model.named_modules():
    # Nothing is measured for a prune that there is none of.
    if isinstance(layer, LoraLayer) and s["ratio"] > 0:
        for kind in ("lora_A", "lora_B"):
            for adapter, linear in getattr(layer, kind).items():
                key = f"{name}.{kind}.{adapter}"
                weights[key] = linear.weight

                def hook(_module, args, key=key):
                    x = args[0].detach()[mask].float()
                    squares[key] = (x * x).sum(0)
                linear.register_forward_pre_hook(hook)

sequences = s["sequences"]
width = max(len(q["tokens"]) for q in sequences)
ids = torch.zeros(len(sequences), width, dtype=torch.long)
labels = torch.full_like(ids, -100)
mask = torch.zeros_like(ids, dtype=torch.bool)
for i, q in enumerate(sequences):
    n = len(q["tokens"])
    ids[i, :n] = torch.tensor(q["tokens"])
    labels[i, q["prompt"]:n] = ids[i, q["prompt"]:n]
    mask[i, :n] = True
ids, labels, mask = ids.to(device), labels.to(device), mask.to(device)
# Without padding no mask is passed, which lets attention take its fastest path.
attention_mask = None if bool(mask.all()) else mask.long()
optimizer = torch.optim.AdamW(trained, lr=s["lr"], betas=(0.9, 0.999), eps=1e-8, weight_decay=0.0, fused=True)


@torch.no_grad()
def prune():
    for key, w in weights.items():
        k = round(s["ratio"] * w.numel())
        if k:
            importance = w.abs() * squares[key].sqrt()
            w.mul_(importance > importance.flatten().kthvalue(k).values)


def step():
    # With a base in bf16 the adapters, which are f32, are multiplied in bf16 too.
    with torch.autocast(device.split(":")[0], torch.bfloat16, enabled=dtype == torch.bfloat16):
        loss = model(input_ids=ids, attention_mask=attention_mask, labels=labels).loss
    loss.backward()
    torch.nn.utils.clip_grad_norm_(trained, s["clip"])
    optimizer.step()
    optimizer.zero_grad(set_to_none=True)
    prune()
    if device != "cpu":
        torch.cuda.synchronize()
    return loss.item()


def most_memory():
    """The largest resident memory of this process so far, as step.rs takes its own; getrusage's would begin with the bench's."""
    with open("/proc/self/status") as status:
        return 1024 * next(int(line.split()[1]) for line in status if line.startswith("VmHWM:"))


import peft
import transformers
print(f"torch {torch.__version__}, transformers {transformers.__version__}, peft {peft.__version__}", flush=True)
for _ in sys.stdin:
    start = time.perf_counter()
    loss = step()
    seconds = time.perf_counter() - start
    if device == "cpu":
        memory = most_memory()
    else:
        memory = torch.cuda.max_memory_allocated(device)
    print(json.dumps({"seconds": seconds, "loss": loss, "memory": memory}), flush=True)
