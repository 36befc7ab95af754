"""Debian's package index as apt keeps it: what the scripts share that make texts of package descriptions.

    python3 -B -m doctest assets/debian_index.py

assets/demo/build_demo.py, assets/evidence/summaries/data.py and tests/fixtures/debian_summaries.py import it from here, wherever they
are started. Needs Python 3.9 and apt.
"""
import subprocess


def stanzas(path):
    """The deb822 stanzas of an index file, whatever apt compressed it with."""
    text = subprocess.run(["/usr/lib/apt/apt-helper", "cat-file", str(path)], check=True, capture_output=True).stdout
    yield from fields_of(text.decode("utf-8", "replace"))


def fields_of(text):
    r"""The stanzas of a text, each a dictionary of its fields; a line that begins with a blank goes on with the field above it.

    >>> list(fields_of("Package: a\nDescription: one: two\n three\n .\n four\n\n\nPackage: b\n"))
    [{'Package': 'a', 'Description': 'one: two\n three\n .\n four'}, {'Package': 'b'}]
    """
    for block in text.split("\n\n"):
        fields, key = {}, None
        for line in block.split("\n"):
            if line[:1] in (" ", "\t"):
                fields[key] += "\n" + line
            elif ":" in line:
                key, value = line.split(":", 1)
                fields[key] = value.strip()
        if fields:
            yield fields
