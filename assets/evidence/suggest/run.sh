#!/usr/bin/env bash
# What `lopper suggest` is worth on SmolLM2-135M, beside one ratio for all: 40 minutes on two cores, 4 GB of memory.
#   python3 tests/fixtures/smollm2/fetch.py     # the base, into target/smollm2; a Python with gguf and numpy
#   cargo build --release && assets/evidence/suggest/run.sh
set -euo pipefail
cd "$(dirname "$0")"
lopper=${LOPPER:-../../../target/release/lopper}
out=${OUT:-../../../target/evidence/suggest}
mkdir -p "$out"
out=$(cd "$out" && pwd)
for name in science net libs; do
    "$lopper" run "$name.toml" --runs "$out/runs" --plain
    rm -rf "adapters/$name"
    mkdir -p adapters
    cp -r "$(ls -d "$out/runs/$name"-* | tail -1)/result/adapter" "adapters/$name"
done
"$lopper" run games.toml --runs "$out/runs" --plain
run=$(ls -d "$out/runs"/games-* | tail -1)
for sparsity in 0.9 0.75 0.6; do
    rm -f "$out/$sparsity.toml" # of an earlier time: a file that is there is not written over
    "$lopper" suggest "$run" --sparsity "$sparsity" --documents 32 --out "$out/$sparsity.toml" | tee "$out/$sparsity.txt"
done
