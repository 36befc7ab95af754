#!/usr/bin/env bash
# One ratio for all, trained with: none and the eight from 0.1 to 0.8 (a sweep of games.toml, after run.sh has made the
# related adapters), beside proposals for the run at none (grid.py). An hour on two cores; both are timed.
set -euo pipefail
cd "$(dirname "$0")"
lopper=${LOPPER:-../../../target/release/lopper}
out=${OUT:-../../../target/evidence/suggest}
mkdir -p "$out"
out=$(cd "$out" && pwd)
# The target's adapter is trained once and not in every trial.
sed -e '1s/.*/name = "games-target"/' -e '/^\[\[adapters\]\]/,$d' -e 's/^ratio = 0.5/ratio = 0.0/' games.toml > games-target.toml
printf '[[adapters]]\nname = "games"\nrole = "target"\nrank = 8\nalpha = 16\n' >> games-target.toml
"$lopper" run games-target.toml --runs "$out/target" --plain
rm -rf adapters/games-target
cp -r "$(ls -d "$out/target/games-target-"* | tail -1)/result/adapter" adapters/games-target
sed -e 's|^rank = 8|path = "adapters/games-target"|' -e '/^alpha = 16/d' games.toml > games-grid.toml
time "$lopper" sweep games-grid.toml --ratio 0:0.8:0.1 --no-test --out "$out/sweep"
rm games-target.toml games-grid.toml
python3 grid.py "$lopper" "$out/sweep" | tee "$out/grid.txt"
