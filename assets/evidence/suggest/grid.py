"""Each run of the grid beside a proposal for the run at the lowest ratio, at the same sparsity: what `grid.sh` ends with.

    python3 grid.py LOPPER SWEEP [SPARSITY ...]     # the sweep's folder; plain Python

Both are measured on the dev documents that had no say in the proposal (`--documents 32`), by `lopper what-if`; differences of the
loss are per summary token, with the standard error of a ratio, paired by document. Before that a proposal for a rise of the loss by
0.01, beside the highest ratio of the grid that stays within it, and the seconds that it takes.
"""

import json
import subprocess
import sys
import time
from pathlib import Path

CHOOSE, ALL, MOST = 32, 132, 0.01
lopper, sweep, wanted = sys.argv[1], Path(sys.argv[2]), [float(s) for s in sys.argv[3:]]
trained = {}
for run in sorted(sweep.glob("games-ratio-0.*")):
    if (run / "result/report.json").is_file():
        trained[float(run.name.split("-")[2])] = run
lowest = min(trained)
if not set(wanted) <= set(trained):
    sys.exit(f"the sweep has the ratios {sorted(trained)}")


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
    found = said("suggest", str(trained[lowest]), *goal, "--documents", str(CHOOSE), "--rounds", "1")
    return [typed(rule) for rule in found["rules"]], time.time() - clock


grid = {ratio: measured(run, [f"*={ratio}"])[0] for ratio, run in trained.items()}
if len(grid[lowest]) != ALL - CHOOSE:
    sys.exit(f"{ALL} dev documents are needed")
print(f"loss on documents {CHOOSE} to {ALL - 1}; proposals for the run at {lowest}, whose loss is {mean(grid[lowest]):.4f}")
print("| the loss may rise by | one ratio, trained | proposal | its loss rises by | seconds |\n|---|---|---|---|---|", flush=True)
within = max(ratio for ratio, losses in grid.items() if mean(losses) <= mean(grid[lowest]) + MOST)
rules, seconds = proposed("--max-loss", str(MOST))
mine, share = measured(trained[lowest], rules)
by, se = difference(mine, grid[lowest])
print(f"| {MOST} | {within} | {share:.2f} | {by:+.4f} ± {se:.4f} | {seconds:.0f} |", flush=True)
print("\n| sparsity | trained with one ratio | proposal | difference |\n|---|---|---|---|", flush=True)
for sparsity in wanted or sorted(trained)[1:]:
    rules, _ = proposed("--sparsity", str(sparsity))
    mine, share = measured(trained[lowest], rules)
    by, se = difference(mine, grid[sparsity])
    print(f"| {share:.2f} | {mean(grid[sparsity]):.4f} | {mean(mine):.4f} | {by:+.4f} ± {se:.4f} |", flush=True)
