"""Finished runs without their weights: what an evaluation's table is made of, in one small archive.

    python3 kept.py pack  FOLDER ARCHIVE    the finished runs of an evaluation's folder
    python3 kept.py unpack ARCHIVE FOLDER   back, for `lopper eval --out FOLDER`, which does not run them again

Of a run: its recipe, last word, report, every summary, and of its journal the lines that a table reads. Paths below this
folder are written as @HERE@. What base and adapters hashed to stays out: adapters that are trained again elsewhere may
differ in their last bits.
"""
import io
import json
import sys
import tarfile
from pathlib import Path

HERE = str(Path(__file__).resolve().parent)
LINES = {"started", "stage", "dev"}


def journal(text):
    for line in text.splitlines():
        event = json.loads(line)
        if event.get("type") not in LINES:
            continue
        if "origin" in event:
            event["origin"]["inputs"] = []
        event.pop("host", None)
        yield json.dumps(event, ensure_ascii=False, separators=(",", ":"))


def pack(folder, archive):
    runs = [run for run in sorted(Path(folder).iterdir()) if (run / "exit.json").is_file() and (run / "recipe.toml").is_file()]
    runs = [run for run in runs if json.loads((run / "exit.json").read_text())["state"] == "finished"]
    with tarfile.open(archive, "w:xz") as out:
        def add(name, text):
            data = text.replace(HERE, "@HERE@").encode()
            entry = tarfile.TarInfo(name)
            entry.size = len(data)
            out.addfile(entry, io.BytesIO(data))
        for run in runs:
            summaries = sorted(path.relative_to(run) for path in (run / "result/summaries").glob("*.jsonl"))
            for file in [Path("recipe.toml"), Path("exit.json"), Path("result/report.json"), *summaries]:
                add(f"{run.name}/{file}", (run / file).read_text())
            add(f"{run.name}/events.jsonl", "".join(line + "\n" for line in journal((run / "events.jsonl").read_text())))
    print(f"{archive}: {len(runs)} runs")


def unpack(archive, folder):
    with tarfile.open(archive) as packed:
        for entry in packed:
            path = Path(folder, entry.name)
            if not entry.isfile() or ".." in path.parts or entry.name.startswith("/"):
                sys.exit(f"{archive}: {entry.name} is no file of a run")
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(packed.extractfile(entry).read().replace(b"@HERE@", HERE.encode()))


if __name__ == "__main__":
    if len(sys.argv) != 4 or sys.argv[1] not in ("pack", "unpack"):
        sys.exit(__doc__)
    {"pack": pack, "unpack": unpack}[sys.argv[1]](*sys.argv[2:])
