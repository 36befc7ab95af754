#!/usr/bin/env bash
# One ratio for all, trained with: eight runs of games.toml, after run.sh has made the related adapters. Half an hour and
# more on two cores.
set -euo pipefail
cd "$(dirname "$0")"
lopper=${LOPPER:-../../../target/release/lopper}
out=${OUT:-../../../target/evidence/suggest}
mkdir -p "$out"
for ratio in 0.1 0.2 0.3 0.4 0.6 0.7 0.8 0.9; do
    # The first name and the ratio are the run's; beside games.toml, as paths start there.
    sed -e "s/^ratio = 0.5/ratio = $ratio/" -e "1s/games/games-$ratio/" games.toml > "games-$ratio.toml"
    "$lopper" run "games-$ratio.toml" --runs "$out/grid" --plain
    rm "games-$ratio.toml"
done
"$lopper" runs --runs "$out/grid" | cat
