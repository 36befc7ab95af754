#!/usr/bin/env python3
"""Of the summaries of runs, the share of all runs of four characters that stand in their documents.

    copied.py data/libs-ja-dev.jsonl RUN...
"""
import json
import pathlib
import sys

SPAN = 4


def lines(path):
    with open(path, encoding="utf-8") as file:
        return [json.loads(line) for line in file]


documents = {one["id"]: one["document"] for one in lines(sys.argv[1])}
for run in map(pathlib.Path, sys.argv[2:]):
    for path in sorted((run / "result" / "summaries").glob("*.jsonl")):
        shares = []
        for one in lines(path):
            text = one["summary"]
            spans = [text[at : at + SPAN] for at in range(len(text) - SPAN + 1)]
            shares.append(sum(span in documents[one["id"]] for span in spans) / max(1, len(spans)))
        print(f"{run.name}, {path.stem}: {sum(shares) / len(shares):.3f} of {len(shares)}")
