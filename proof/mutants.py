"""Changes the gate's code in small ways with mutmut, and counts the changes that no test notices.

`make mutants` runs this script. It copies the tree to .cache/mutants, because mutmut writes its mutants into the copy.
mutmut leaves decorated functions out, so the copy has its properties without decorators: `name = property(_of_name)`.
"""

import argparse
import ast
import os
import random
import re
import shutil
import subprocess
import sys
from collections import Counter
from pathlib import Path

ROOT = Path(__file__).parent.parent
PLACE = ROOT / ".cache/mutants"
PURE = ("judge", "options", "flow/waiting", "flow/uploading", "flow/evaluating")
REST = ("threadfix", "net", "flow")
UNIT = ("tests/unit", "tests/properties")
# They test other rooms, and take longer than all others.
SLOW = (
    *(f"--ignore=tests/unit/test_{name}.py" for name in ("redaction", "responses")),
    "--deselect=tests/unit/test_page.py::test_no_text_becomes_a_part_of_the_page",
)
# They read the source, the documents or the built files, which mutmut changed or did not build.
LEFT_OUT = (
    *(f"--ignore=tests/unit/test_{name}.py" for name in ("house", "words", "docs", "action")),
    "--ignore=tests/integration/test_bundle.py",
    # Their child processes must not find mutmut's code, or its folder.
    "--deselect=tests/integration/test_tls.py::test_the_system_s_store_is_the_default",
    "--deselect=tests/integration/test_tls.py::test_certifi_s_certificates_count_if_the_system_has_none",
    "--deselect=tests/unit/test_naming.py::test_only_templates_of_advice_are_filled",
    "--deselect=tests/unit/test_naming.py::test_a_template_consists_of_constants",
)
# These functions only run while their module is imported, before mutmut chooses a mutant.
AT_IMPORT = re.compile(r"gate\.options\.table\.x__(choice|duration|path|statuses|switch)__mutmut")
# mutmut's exit code if pytest did not run the tests; mutmut itself calls this a timeout.
FAILED = 255
SEED = 20
DRAWN = 400
WORKERS = 4
TEXT = re.compile(r'"((?:[^"\\]|\\.)*)"')
# mutmut only sees the functions that a test calls in its own process. In a child process the copy of the gate itself
# writes down the functions that are called.
COUNTING = """
import os

if hits := os.environ.get("MUTANT_HITS"):
    from contextlib import suppress
    from mutmut.mutation import trampoline

    known = set()

    def record(name, caller=None):
        # A test may have taken all file descriptors away.
        with suppress(OSError):
            if name not in known:
                with open(hits, "a") as file:
                    file.write(f"{name}\\n")
                known.add(name)

    trampoline.record_trampoline_hit = record
"""
CONFIGURATION = """\
[mutmut]
source_paths=gate
only_mutate=
{only}
do_not_mutate=
{never}
pytest_add_cli_args_test_selection=
{tests}
pytest_add_cli_args=
    -p
    proof.mutated
    -p
    no:cacheprovider
    --hypothesis-profile
    mutants
process_isolation=forkserver
timeout_multiplier=10
on_dependency_change=ignore
use_git_change_detection=false
"""


def without_decorators(source: str) -> str:
    """Return source whose properties are plain functions, followed by `name = property(...)`."""
    lines = source.splitlines()
    for node in sorted(ast.walk(ast.parse(source)), key=lambda node: -getattr(node, "lineno", 0)):
        if isinstance(node, ast.FunctionDef) and [ast.unparse(name) for name in node.decorator_list] == ["property"]:
            indent = " " * node.col_offset
            lines[(node.end_lineno or 0) - 1] += f"\n\n{indent}{node.name} = property(_of_{node.name})"
            lines[node.lineno - 1] = lines[node.lineno - 1].replace(f"def {node.name}", f"def _of_{node.name}", 1)
            del lines[node.decorator_list[0].lineno - 1]
    return "\n".join(lines) + "\n"


def copied(name: str, only: tuple[str, ...], never: tuple[str, ...], tests: tuple[str, ...]) -> Path:
    """Copy the tree for a group of mutants, with mutmut's configuration; return the folder."""
    place = PLACE / name
    shutil.rmtree(place, ignore_errors=True)
    listed = subprocess.check_output(["git", "ls-files", "-co", "--exclude-standard"], cwd=ROOT, text=True)
    for file in listed.splitlines():
        # mutmut writes the mutated gate into `mutants`, and the tests run there.
        target = place / file if file.startswith("gate/") else place / "mutants" / file
        if (ROOT / file).is_file():
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / file, target)
    for path in (place / "gate").rglob("*.py"):
        path.write_text(without_decorators(path.read_text(encoding="utf-8")), encoding="utf-8")
    with (place / "gate/__init__.py").open("a", encoding="utf-8") as package:
        package.write(COUNTING)

    def listing(parts: list[str]) -> str:
        return "\n".join(f"    {part}" for part in parts)

    only_files = [f"gate/{part}{end}" for part in only for end in (".py", "/*")]
    never_files = [f"gate/{part}{end}" for part in never for end in (".py", "/*")]
    selection = listing([*tests, *LEFT_OUT])
    text = CONFIGURATION.format(only=listing(only_files), never=listing(never_files), tests=selection)
    (place / "setup.cfg").write_text(text, encoding="utf-8")
    return place


def drawn(place: Path, only: tuple[str, ...], never: tuple[str, ...]) -> list[str]:
    """Return the names of the mutants that the seed draws."""
    from mutmut.mutation.file_mutation import mutate_file_contents
    from mutmut.utils.format_utils import get_mutant_name

    names = []
    for path in sorted((place / "gate").rglob("*.py")):
        file = path.relative_to(place)
        part = file.with_suffix("").as_posix().removeprefix("gate/")
        if part.startswith(only) and part not in never:
            mutated = mutate_file_contents(str(file), path.read_text(encoding="utf-8"))
            names += [get_mutant_name(file, name) for name in mutated.mutant_names]
    print(f"{len(names)} mutants, of which {DRAWN} are drawn with the seed {SEED}")
    return sorted(random.Random(SEED).sample(names, min(DRAWN, len(names))))


def is_wording(diff: str) -> bool:
    """Return whether a mutant only writes a text with blanks in other letters, or between `XX`."""
    before, after = (
        " ".join(line[1:].strip() for line in diff.splitlines() if line[0] == sign and line[:3] != sign * 3)
        for sign in "-+"
    )
    pairs = list(zip(TEXT.findall(before), TEXT.findall(after), strict=False))
    changed = [old for old, new in pairs if old != new]
    same = TEXT.sub("", before) == TEXT.sub("", after)
    return same and bool(changed) and all(" " in old for old in changed)


def summed_up(place: Path) -> None:
    """Print the numbers of each room, and write the mutants that no test noticed into a file."""
    from mutmut.mutation.data import SourceFileMutationData
    from mutmut.mutation.diff_apply import get_diff_for_mutant
    from mutmut.stats import status_by_exit_code

    others: list[str] = []
    rooms: dict[str, Counter[str]] = {}
    for meta in sorted(Path("mutants/gate").rglob("*.meta")):
        file = meta.relative_to("mutants").with_suffix("")
        data = SourceFileMutationData(path=file)
        data.load()
        for name, code in data.exit_code_by_key.items():
            status = "not run" if code == FAILED else status_by_exit_code[code]
            if status == "not checked":
                continue
            if AT_IMPORT.match(name):
                rooms.setdefault(file.parts[1], Counter())["at import"] += 1
            else:
                diff = "" if status == "killed" else get_diff_for_mutant(name, path=file)
                status = "wording" if diff and status != "timeout" and is_wording(diff) else status
                rooms.setdefault(file.parts[1], Counter())[status] += 1
                if diff:
                    others.append(f"# {name}: {status}\n{diff}\n")
    for room, counts in rooms.items():
        killed, total = counts["killed"] + counts["timeout"], counts.total() - counts["at import"]
        print(f"{room}: {total} mutants, {killed / total:.1%} killed: {dict(counts)}")
    (place / "others.diff").write_text("\n".join(others), encoding="utf-8")
    print(f"The changes that were not killed are in {place / 'others.diff'}.")


def run(names: list[str]) -> None:
    """Run these mutants with mutmut, in its folder."""
    from mutmut import __main__ as mutmut
    from mutmut.state import state
    from mutmut.workers.isolation import ForkServerRunner

    submit = ForkServerRunner.submit

    def sorted_submit(self: ForkServerRunner, name: str, tests: list[str], *limits: float) -> None:
        durations = state().duration_by_test
        submit(self, name, sorted(tests, key=durations.__getitem__), *limits)

    ForkServerRunner.submit = sorted_submit

    def quickest(_: object) -> set[str]:
        durations = state().duration_by_test
        return {min(durations, key=durations.__getitem__)}

    # mutmut ran every test once to learn which test calls which function, so it need not run them all again.
    mutmut.tests_for_mutant_names = quickest
    mutmut.cli(["run", "--max-children", str(WORKERS), *names])


def main() -> None:
    """Run the mutants of a room, or all."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("rooms", nargs="*", default=["judge", "options", "flow", "drawn"])
    parser.add_argument("--keep", action="store_true", help="do not copy the tree again")
    parser.add_argument("--sum", action="store_true", help="only print the numbers of the last run")
    parser.add_argument("--names", nargs="+", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.names:
        run(options.names)
        return
    pure = [f"gate.{room}.*" for room in options.rooms if room != "drawn"]
    for group, wanted in (("pure", bool(pure)), ("drawn", "drawn" in options.rooms)):
        if not wanted:
            continue
        only, never = (PURE, ()) if group == "pure" else (REST, PURE)
        tests = (*UNIT, *SLOW) if group == "pure" else (*UNIT, "tests/integration")
        place = PLACE / group if options.keep or options.sum else copied(group, only, never, tests)
        os.chdir(place)
        if options.sum:
            summed_up(place)
            continue
        names = pure if group == "pure" else drawn(place, only, never)
        if code := subprocess.run([sys.executable, __file__, "--names", *names], check=False).returncode:
            sys.exit(code)
        summed_up(place)


if __name__ == "__main__":
    main()
