#!/usr/bin/env bash
# What README.md beside this describes; some hours on two cores.
#   python3 tests/fixtures/smollm2/fetch.py     # the base, into target/smollm2; a Python with gguf and numpy
#   cargo build --release && assets/evidence/summaries/run.sh [packages-en|packages-ja|papers ...]
# What is finished is not run again. LOPPER_MECAB_DICT gives Japanese ROUGE its words.
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

for recipe in "${@:-packages-en packages-ja papers}"; do
    for name in $recipe; do
        sed -n 's|^path = "\(.*/\)\?adapters/\(.*\)"|\1 \2|p' "$name.toml" | while read -r folder related; do
            [ -n "$related" ] || { related=$folder folder=.; }
            adapter "${folder%/}" "$related" </dev/null
        done
        "$lopper" eval "$name.toml" --seeds 1,2,3 --methods all --out "$out/$name-eval"
        for seed in 1 2 3; do
            # The target's adapter is trained once a seed and not in every trial.
            target=$(sed -n 's/^train = "data\/\(.*\)-train.jsonl"/\1/p' "$name.toml")
            sed -e "s/^seed = 1/seed = $seed/" -e "1s/.*/name = \"$target-seed-$seed\"/" -e '/^test =/d' \
                -e '/^\[\[adapters\]\]/,$d' -e 's/^ratio = 0.5/ratio = 0.0/' "$name.toml" > "$target-seed-$seed.toml"
            printf '[[adapters]]\nname = "%s"\nrole = "target"\nrank = 8\nalpha = 16\n' "$target" >> "$target-seed-$seed.toml"
            adapter . "$target-seed-$seed"
            rm "$target-seed-$seed.toml"
            sed -e "s/^seed = 1/seed = $seed/" -e "s|^rank = 8|path = \"adapters/$target-seed-$seed\"|" -e '/^alpha = 16/d' \
                "$name.toml" > "$name-seed-$seed.toml"
            "$lopper" sweep "$name-seed-$seed.toml" --ratio 0:0.9:0.1 --no-test --out "$out/$name-sweep-$seed"
            rm "$name-seed-$seed.toml"
        done
    done
done
