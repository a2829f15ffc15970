#!/usr/bin/env python3
"""Makes docs/errors.md from core/errors.def. With --check only tells whether the page is up to date."""
import pathlib
import re
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent
ENTRY = re.compile(r'SLUICE_ERROR\((\w+), (true|false), "((?:[^"\\]|\\.)*)", "((?:[^"\\]|\\.)*)"\)')


def page():
    lines = [
        "# Error catalogue",
        "",
        "Made from `core/errors.def` by `tools/gen_errors.py`. Every error that Sluice shows, logs or answers carries one of",
        "these codes, the object and position concerned, the cause, and the action below.",
        "",
        "| Code | Meaning | Tried again by itself | What you can do |",
        "|---|---|---|---|",
    ]
    for code, retryable, message, action in ENTRY.findall((ROOT / "core/errors.def").read_text()):
        cells = [f"`{code}`", message, "yes" if retryable == "true" else "no", action]
        lines.append("| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |")
    return "\n".join(lines) + "\n"


def main():
    path = ROOT / "docs/errors.md"
    text = page()
    if "--check" in sys.argv:
        if not path.exists() or path.read_text() != text:
            sys.exit("docs/errors.md is stale: run tools/gen_errors.py")
        return
    path.write_text(text)


if __name__ == "__main__":
    main()
