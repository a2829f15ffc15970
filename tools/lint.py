#!/usr/bin/env python3
"""The lint step: formatting, include directions (docs/design.md section 4), heavy headers, file lengths, READMEs,
generated pages. Prints every finding and exits 1 when there is one."""
import pathlib
import re
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent
LINES_MAX = 600
COLUMNS_MAX = 120
FUNCTION_LINES_MAX = 70  # outside of tests

# A folder may include itself and what is named here.
MAY_INCLUDE = {
    "core": set(),
    "engines": {"core"},
    "store": {"core", "engines"},
    "sinks": {"core", "engines"},
    "agents": {"core", "engines", "store", "sinks"},
    "coordinator": {"core"},
    "cli": {"core", "engines", "store", "sinks", "agents", "coordinator"},
}
GENERATED = "sluice/"  # protocol code: by all but core (core/net excepted)
INCLUDE = re.compile(r'^\s*#include\s+["<]([^">]+)[">]')
UNFINISHED = re.compile(r"\b(TODO|FIXME|XXX|HACK|placeholder|not implemented)\b")
SOURCES = (".cpp", ".hpp", ".proto", ".py", ".cmake")


def files(*patterns):
    out = subprocess.run(["git", "ls-files", "-co", "--exclude-standard", *patterns], cwd=ROOT, capture_output=True,
                         text=True, check=True).stdout
    return [name for name in out.split("\n") if name and (ROOT / name).exists()]


def check_includes(name, text, findings):
    folder = name.split("/")[0]
    if folder not in MAY_INCLUDE:
        return
    allowed = MAY_INCLUDE[folder] | {folder}
    for number, line in enumerate(text.split("\n"), 1):
        found = INCLUDE.match(line)
        if not found:
            continue
        header = found.group(1)
        where = f"{name}:{number}"
        top = header.split("/")[0]
        if top in MAY_INCLUDE and "/" in header and top not in allowed:
            findings.append(f"{where}: {folder} may not include {header}")
        if header.startswith(GENERATED) and folder == "core" and not name.startswith("core/net/"):
            findings.append(f"{where}: core may not include protocol code")
        base = name.rsplit("/", 1)[-1]
        if header.startswith("caf/") and not (re.search(r"_actors?\.(hpp|cpp)$", base) or base == "actors.hpp"):
            findings.append(f"{where}: CAF belongs in *_actor files and actors.hpp")
        grpc = header.startswith("grpcpp/") or header.endswith(".grpc.pb.h")
        if grpc and not (re.search(r"_(service|client)\.(hpp|cpp)$", base) or name.startswith("core/net/")):
            findings.append(f"{where}: grpcpp belongs in *_service.cpp, *_client.cpp and core/net/")
        if name.endswith(".hpp") and header in ("httplib.h", "CLI/CLI.hpp", "nlohmann/json.hpp"):
            findings.append(f"{where}: heavy header {header} in a header")


def check_words(name, text, findings):
    for number, line in enumerate(text.split("\n"), 1):
        if UNFINISHED.search(line):
            findings.append(f"{name}:{number}: unfinished work")


def check_text(name, text, findings):
    lines = text.split("\n")
    if len(lines) > LINES_MAX:
        findings.append(f"{name}: {len(lines)} lines, at most {LINES_MAX}")
    for number, line in enumerate(lines, 1):
        if len(line) > COLUMNS_MAX:
            findings.append(f"{name}:{number}: longer than {COLUMNS_MAX} columns")
    check_words(name, text, findings)
    if name.endswith(".hpp") and "using namespace" in text:
        findings.append(f"{name}: using namespace in a header")


# What is neither code nor a bracket of it: comments, raw strings, strings, characters.
NOT_CODE = re.compile(r'//[^\n]*|/\*.*?\*/|R"(\w*)\(.*?\)\1"|"(?:\\.|[^"\\\n])*"|\'(?:\\.|[^\'\\\n])+\'', re.DOTALL)
NO_FUNCTION = re.compile(r"\b(namespace|class|struct|union|enum)\b[^()]*$|=\s*$|^\s*$")


def functions(text):
    """(first line, lines) of every function of a source: the brackets that open behind a parameter list, in a namespace
    or a class."""
    code = NOT_CODE.sub(lambda found: "\n" * found.group(0).count("\n"), text)
    code = re.sub(r"(?m)^[ \t]*#(.*\\\n)*.*$", lambda found: "\n" * found.group(0).count("\n"), code)
    found, open_brackets, head, line = [], [], "", 1
    for char in code:
        line += char == "\n"
        if char == "{":
            outside = all(kind == "outside" for kind, _ in open_brackets)
            is_function = "(" in head and head.count("(") == head.count(")") and not NO_FUNCTION.search(head)
            kind = "inside" if not outside else "function" if is_function else "outside"
            open_brackets.append((kind, line - head.strip().count("\n")))
        elif char == "}" and open_brackets:
            kind, first = open_brackets.pop()
            if kind == "function":
                found.append((first, line - first + 1))
        head = "" if char in "{};" else head + char
    return found


def check_functions(name, text, findings):
    for first, lines in functions(text):
        if lines > FUNCTION_LINES_MAX:
            findings.append(f"{name}:{first}: a function of {lines} lines, at most {FUNCTION_LINES_MAX}")


def check_readmes(findings):
    """Each folder that holds a file, or more than one folder, has a README.md; it, or that of the folder above, names
    every source file of the folder."""
    names = [pathlib.PurePosixPath(name) for name in files()]
    folders = {name.parent for name in names}
    for folder in {above for folder in folders for above in folder.parents}:
        if len({inside for inside in folders if folder in inside.parents and inside.parent == folder}) > 1:
            folders.add(folder)
    for folder in sorted(folders):
        if "corpus" not in folder.parts and not (ROOT / folder / "README.md").exists():
            findings.append(f"{folder}: no README.md")
    for name in names:
        if name.suffix not in SOURCES or name.parts[0] == "bench":
            continue
        pages = [ROOT / folder / "README.md" for folder in (name.parent, name.parent.parent)]
        text = "".join(page.read_text() for page in pages if page.exists())
        if name.stem not in text:
            findings.append(f"{name}: not named in the README.md of its folder")


def main():
    findings = []
    sources = files("*.cpp", "*.hpp")
    for name in sources:
        text = (ROOT / name).read_text()
        if name.split("/")[0] not in ("tests", "bench"):
            check_includes(name, text, findings)
            check_functions(name, text, findings)
        check_text(name, text, findings)
    for name in files("*.proto", "*.py", "*.cmake", "*CMakeLists.txt", "dev", ".ci/run"):
        if name != "tools/lint.py":
            check_words(name, (ROOT / name).read_text(), findings)
    if sources:
        result = subprocess.run(["clang-format-14", "--dry-run", "-Werror", *sources], cwd=ROOT, capture_output=True,
                                text=True)
        if result.returncode != 0:
            bad = sorted({line.split(":")[0] for line in result.stderr.split("\n") if "error:" in line})
            findings += [f"{name}: not formatted (./dev fmt)" for name in bad]
    check_readmes(findings)
    errors = subprocess.run([sys.executable, str(ROOT / "tools/gen_errors.py"), "--check"], capture_output=True, text=True)
    if errors.returncode != 0:
        findings.append(errors.stderr.strip())
    for finding in findings:
        print(finding)
    print(f"lint: {len(sources)} source files, {len(findings)} findings")
    sys.exit(1 if findings else 0)


if __name__ == "__main__":
    main()
