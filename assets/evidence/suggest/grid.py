"""Runs trained with one ratio for all beside proposals for the run that was trained without pruning: what `grid.sh` ends with.

    python3 grid.py LOPPER SWEEP [SPARSITY ...]     # the sweep's folder, with the ratio 0 among others; plain Python

All are measured on the dev documents that had no say in the proposal (`--documents 32`), by `lopper what-if`; differences of the
loss are per summary token, with the standard error of a ratio, paired by document: from the run trained with the proposal's
sparsity, and from the best of all that were trained with pruning. Last a proposal for a rise of the loss by 0.01.
"""

import json
import subprocess
import sys
import time
from pathlib import Path

CHOOSE, ALL, MOST = 32, 132, 0.01
lopper, sweep, wanted = sys.argv[1], Path(sys.argv[2]), [float(s) for s in sys.argv[3:]]
trained = {}
for run in sorted(sweep.glob("games-ratio-0*")):
    if (run / "result/report.json").is_file():
        trained[float(run.name.split("-")[2])] = run
if 0.0 not in trained or not set(wanted) <= set(trained) - {0.0}:
    sys.exit(f"the sweep has the ratios {sorted(trained)}")
whole = trained.pop(0.0)


def said(*words):
    done = subprocess.run([lopper, *words, "--json"], capture_output=True, text=True)
    if done.returncode:
        sys.exit(done.stderr)
    return json.loads(done.stdout)


def measured(run, rules):
    """Loss and tokens of the documents that verify."""
    sets = [word for rule in rules for word in ("--set", rule)]
    found = said("what-if", str(run), *sets, "--documents", str(ALL))
    return [(one["after"], one["tokens"]) for one in found["losses"]][CHOOSE:], found["sparsity"][1]


def mean(losses):
    return sum(loss * tokens for loss, tokens in losses) / sum(tokens for _, tokens in losses)


def difference(mine, theirs):
    tokens = sum(n for _, n in mine)
    differences = [((a - b) * n, n) for (a, n), (b, _) in zip(mine, theirs, strict=True)]
    middle = sum(d for d, _ in differences) / tokens
    squares = sum((d - middle * n) ** 2 for d, n in differences)
    n = len(mine)
    return middle, (n / (n - 1) * squares) ** 0.5 / tokens


def typed(rule):
    adapter = "" if rule["adapter"] == "*" else " " + rule["adapter"]
    factor = " " + rule["factor"] if rule.get("factor") else ""
    return f"{rule['modules']}{adapter}{factor}={rule['ratio']}"


def proposed(*goal):
    clock = time.time()
    found = said("suggest", str(whole), *goal, "--documents", str(CHOOSE), "--rounds", "1")
    return [typed(rule) for rule in found["rules"]], time.time() - clock


def row(name, sparsity, *goal):
    rules, seconds = proposed(*goal)
    mine, share = measured(whole, rules)
    rise, rise_error = difference(mine, unpruned)
    cells = [f"{rise:+.4f} ± {rise_error:.4f}", f"{share:.2f}"]
    for theirs in (grid.get(sparsity), grid[best]):
        cells.append("{:+.4f} ± {:.4f}".format(*difference(mine, theirs)) if theirs else "")
    print(f"| {name} | {' | '.join(cells)} | {seconds:.0f} |", flush=True)


unpruned = measured(whole, ["*=0"])[0]
if len(unpruned) != ALL - CHOOSE:
    sys.exit(f"{ALL} dev documents are needed")
grid = {ratio: measured(run, [f"*={ratio}"])[0] for ratio, run in trained.items()}
best = min(grid, key=lambda ratio: mean(grid[ratio]))
print(f"loss on documents {CHOOSE} to {ALL - 1}: {mean(unpruned):.4f} trained without pruning; with it")
print(", ".join(f"{mean(losses):.4f} at {ratio}" for ratio, losses in sorted(grid.items())))
print("proposals for the run without:")
print("| goal | rise of its loss | sparsity | against trained at it | against the best trained | seconds |")
print("|---|---|---|---|---|---|", flush=True)
for sparsity in wanted or sorted(trained):
    row(sparsity, sparsity, "--sparsity", str(sparsity))
row(f"+{MOST}", None, "--max-loss", str(MOST))
