#!/usr/bin/env python3
"""The peer of tests/bench/generation.rs: the same prompts, greedily answered by transformers.

Its argument is JSON: base, threads, tokens, prompts (lists of tokens, all of one length), device, dtype. It answers all of them for every
line on stdin, with a line of JSON: seconds and the tokens written.
"""
import json
import sys
import time
from pathlib import Path

import torch
import transformers
from transformers import AutoModelForCausalLM

s = json.loads(sys.argv[1])
torch.set_num_threads(s["threads"])
gguf = next((f.name for f in Path(s["base"]).glob("*.gguf")), None)
model = AutoModelForCausalLM.from_pretrained(s["base"], dtype=getattr(torch, s["dtype"]), **({"gguf_file": gguf} if gguf else {})).eval()
model = model.to(s["device"])
prompts = torch.tensor(s["prompts"], device=s["device"])
# Nothing ends an answer before its length.
model.generation_config.eos_token_id = None
settings = dict(do_sample=False, max_new_tokens=s["tokens"], use_cache=True, pad_token_id=0)
print(f"torch {torch.__version__}, transformers {transformers.__version__}", flush=True)
for _ in sys.stdin:
    start = time.perf_counter()
    with torch.inference_mode():
        out = model.generate(prompts, attention_mask=torch.ones_like(prompts), **settings).cpu()
    seconds = time.perf_counter() - start
    print(json.dumps({"seconds": seconds, "answers": out[:, prompts.shape[1]:].tolist()}), flush=True)
