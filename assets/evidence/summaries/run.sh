#!/usr/bin/env bash
# What README.md beside this describes; some hours on two cores.
#   python3 tests/fixtures/smollm2/fetch.py     # the base, into target/smollm2; a Python with gguf and numpy
#   cargo build --release && assets/evidence/summaries/run.sh [--ratios] [packages-en|packages-ja|papers ...]
# With --ratios only the ratios are tried, not the methods. With ANEW=1 the finished runs that came along (results/*.tar.xz) are
# trained again as well. What is finished is not run again. LOPPER_MECAB_DICT gives Japanese ROUGE its words.
set -euo pipefail
cd "$(dirname "$0")"
lopper=${LOPPER:-../../../target/release/lopper}
out=${OUT:-../../../target/evidence/summaries}
mkdir -p "$out" adapters ../suggest/adapters
out=$(cd "$out" && pwd)

# An adapter, trained alone; the recipe's folder, its name.
adapter() {
    if [ ! -e "$1/adapters/$2" ]; then
        "$lopper" run "$1/$2.toml" --runs "$out/adapters" --plain
        cp -r "$(ls -d "$out/adapters/$2"-2* | tail -1)/result/adapter" "$1/adapters/$2"
    fi
}

# The related adapters of a recipe.
related() {
    sed -n 's|^path = "\(.*/\)\?adapters/\(.*\)"|\1 \2|p' "$1.toml" | while read -r folder name; do
        [ -n "$name" ] || { name=$folder folder=.; }
        adapter "${folder%/}" "$name" </dev/null
    done
}

# All methods beside one another, over three seeds.
compare() {
    kept=results/$1-runs.tar.xz
    if [ -z "${ANEW:-}" ] && [ -e "$kept" ] && [ ! -e "$out/$1-eval" ]; then
        python3 kept.py unpack "$kept" "$out/$1-eval"
    fi
    "$lopper" eval "$1.toml" --seeds 1,2,3 --methods all --out "$out/$1-eval"
}

# One recipe and seed at the ratios 0 to 0.9. The target's adapter is trained once a seed and not in every trial.
sweep() {
    target=$(sed -n 's/^train = "data\/\(.*\)-train.jsonl"/\1/p' "$1.toml")-seed-$2
    sed -e "s/^seed = 1/seed = $2/" -e "1s/.*/name = \"$target\"/" -e '/^test =/d' \
        -e '/^\[\[adapters\]\]/,$d' -e 's/^ratio = 0.5/ratio = 0.0/' "$1.toml" > "$target.toml"
    printf '[[adapters]]\nname = "%s"\nrole = "target"\nrank = 8\nalpha = 16\n' "${target%-seed-*}" >> "$target.toml"
    adapter . "$target"
    sed -e "s/^seed = 1/seed = $2/" -e "s|^rank = 8|path = \"adapters/$target\"|" -e '/^alpha = 16/d' \
        "$1.toml" > "$1-seed-$2.toml"
    "$lopper" sweep "$1-seed-$2.toml" --ratio 0:0.9:0.1 --no-test --out "$out/$1-sweep-$2"
    rm "$target.toml" "$1-seed-$2.toml"
}

methods=yes
if [ "${1:-}" = --ratios ]; then
    methods=no
    shift
fi
read -ra recipes <<< "${*:-packages-en packages-ja papers}"
for recipe in "${recipes[@]}"; do
    related "$recipe"
    [ "$methods" = no ] || compare "$recipe"
done
for seed in 1 2 3; do
    for recipe in "${recipes[@]}"; do
        sweep "$recipe" "$seed"
    done
done
