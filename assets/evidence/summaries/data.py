#!/usr/bin/env python3
"""Makes data/: long description -> synopsis of Debian packages, English and Japanese, and ACLSum's papers.

    pip download --no-deps aclsum==0.1.2 && python3 data.py aclsum-0.1.2-py3-none-any.whl

Needs Python 3.9 and apt: apt's own index files are fetched into ./lists, the system's settings stay as they are. What is in
data/ was made on 2026-11-27; packages have changed since. Splits are by the SHA-256 of the source package's name, so that
siblings and the two languages of a package are on one side. Of ACLSum the document is the abstract.
"""
import hashlib
import json
import re
import subprocess
import sys
import zipfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))
from debian_index import stanzas  # noqa: E402

LISTS, DATA = Path("lists"), Path(__file__).parent / "data"
LENGTH = {"en": (200, 1500), "ja": (60, 800)}  # characters of a document
SKIP = re.compile(r"transitional|dummy package|metapackage|meta-package|debug symbols|移行用|ダミーパッケージ|メタパッケージ", re.I)


def refresh():
    (LISTS / "partial").mkdir(parents=True, exist_ok=True)
    subprocess.run(["apt-get", "-o", "Acquire::Languages=en,ja", "-o", f"Dir::State::Lists={LISTS.resolve()}",
                    "-o", "Acquire::IndexTargets::deb::DEP-11::DefaultEnabled=false", "update"], check=True)


def index(pattern):
    """The stanzas of all index files of such a name."""
    for path in sorted(LISTS.glob(pattern)):
        yield from stanzas(path)


def document_of(body, lang):
    """ " ." is a paragraph's end, two spaces a line of a list; other lines are joined."""
    paragraphs = [""]
    for line in body.split("\n"):
        if line.strip() == ".":
            paragraphs.append("")
        else:
            paragraphs[-1] += ("\n" if line.startswith("  ") else " ") + line.strip()
    texts = [text.replace(" \n", "\n").strip() for text in paragraphs]
    if lang == "ja":  # no space where a line ended between two Japanese characters
        texts = [re.sub(r"(?<=[\u3000-\u9fff\uff00-\uffef]) (?=[\u3000-\u9fff\uff00-\uffef])", "", text) for text in texts]
    return "\n".join(text for text in texts if text)


def sections(lang):
    """section -> split -> examples, in the order of their ids' hashes, no document and no synopsis twice."""
    packages = {f["Package"]: (f.get("Section", "misc").split("/")[-1], f.get("Source", f["Package"]).split(" ")[0],
                               f.get("Description-md5")) for f in index("*_main_binary-*_Packages*")}
    rows = {}
    for f in index(f"*_main_i18n_Translation-{lang}*"):
        name, body = f.get("Package"), f.get(f"Description-{lang}", "")
        if "\n" in body and name in packages and packages[name][2] in (None, f.get("Description-md5")):
            summary, document = body.split("\n", 1)
            rows.setdefault(name, (document_of(document, lang), summary.strip()))
    out, seen = {}, set()
    for name in sorted(rows):
        (document, summary), (section, source, _) = rows[name], packages[name]
        japanese = re.search(r"[\u3040-\u30ff]", document) and re.search(r"[\u3040-\u30ff\u4e00-\u9fff]", summary)
        if not LENGTH[lang][0] <= len(document) <= LENGTH[lang][1] or SKIP.search(document + summary) or (lang == "ja" and not japanese):
            continue
        keys = {(section, document), (section, summary.lower())}
        if len(summary) < (12 if lang == "en" else 5) or keys & seen:
            continue
        seen |= keys
        bucket = int(hashlib.sha256(source.encode()).hexdigest(), 16) % 10
        split = {0: "test", 1: "dev"}.get(bucket, "train")
        out.setdefault(section, {}).setdefault(split, []).append({"id": name, "document": document, "summary": summary})
    for splits in out.values():
        for examples in splits.values():
            examples.sort(key=lambda row: hashlib.sha256(row["id"].encode()).hexdigest())
    return out


def write(name, examples):
    DATA.mkdir(exist_ok=True)
    with open(DATA / f"{name}.jsonl", "w", encoding="utf-8") as file:
        file.writelines(json.dumps(row, ensure_ascii=False) + "\n" for row in examples)


def papers(wheel, aspect):
    archive = zipfile.ZipFile(wheel)
    for split, name in [("train", "train"), ("val", "dev"), ("test", "test")]:
        lines = archive.read(f"aclsum/dataset/{split}.jsonl").decode().splitlines()
        rows = [json.loads(line) for line in lines]
        yield name, [{"id": row["id"], "document": " ".join(row["sentences"]["abstract"]),
                      "summary": row["summary"][aspect]} for row in rows]


def main():
    refresh()
    english, japanese = sections("en"), sections("ja")
    for lang, target, related, of in [("en", "games", ["science", "net", "libs"], english), ("ja", "libs", ["utils", "games", "admin"], japanese)]:
        for split, most in [("train", 50), ("dev", 56), ("test", 60)]:
            write(f"{target}-{lang}-{split}", of[target][split][:most])
        for section in related:
            write(f"{section}-{lang}-train", of[section]["train"][:200])
            write(f"{section}-{lang}-dev", of[section]["dev"][:8])
    for aspect in ["challenge", "approach", "outcome"]:
        for split, rows in papers(sys.argv[1], aspect):
            most = 50 if aspect == "challenge" else {"train": 100, "dev": 8, "test": 0}[split]
            if most:
                write(f"{aspect}-{split}", rows[:most])


if __name__ == "__main__":
    main()
