"""Compare the outputs of two revisions of poets_edge: `python -m tools.compare_revisions 5dffe54`.

Runs the cases of `tools/compare/cases.py` with a base revision and with the working tree (or a second revision) and
compares everything that they print and write: graphs, models, training records, JSON, pages, texts and exit statuses.
Volatile values are listed in `tools/compare/volatile.py`, intended changes in `tools/compare/intended.py`. Exits with
status 1 if there is any other difference.

With --reference, the outputs of the base revision are saved and reused.
"""

from __future__ import annotations

import argparse
import os
import shutil
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path

from tools.compare.case import Case
from tools.compare.cases import CASES, FIXTURES
from tools.compare.differences import Difference, Rules, compare_outputs
from tools.compare.intended import INTENDED
from tools.compare.outputs import publish
from tools.compare.running import (
    ROOT,
    ComparisonError,
    Tree,
    check_out,
    copy_working_tree,
    make_fixture,
    reference_key,
    revision_name,
    run_case,
)
from tools.compare.volatile import VOLATILE

_FIXTURES = {fixture.name: fixture for fixture in FIXTURES}


@dataclass(frozen=True)
class Comparison:
    """Comparison of two revisions: their trees, and the folders that the comparison reads and writes.

    Attributes:
        base: files of the base revision.
        new: files of the revision compared with it.
        reference: folder for the outputs and fixtures of the base revision.
        outputs: folder for the outputs of `new`.
        shared: folder of shared data (photos and weights), next to the checkout.
    """

    base: Tree
    new: Tree
    reference: Path
    outputs: Path
    shared: Path

    def missing_inputs(self, case: Case) -> list[str]:
        """Return the names of missing folders of shared data that a test case or its fixtures require."""
        missing = [name for name in case.shared if not (self.shared / name).is_dir()]
        for name in case.inputs:
            missing += self.missing_inputs(_FIXTURES[name])
        return sorted(set(missing))

    def run(self, case: Case, rules: Rules, *, stderr: bool) -> list[Difference]:
        """Run a test case with both revisions, and return the differences between their outputs.

        The base revision is not run if its outputs for this case have been saved.

        Args:
            case: the test case, whose fixtures must exist.
            rules: rules for accepting differences.
            stderr: whether to compare the standard error output of the commands, too.
        """
        key = f"{case.name}-{reference_key(case, _FIXTURES)}"
        inputs = self._inputs(case)
        old = self.reference / "cases" / key
        if not old.exists():
            with tempfile.TemporaryDirectory(dir=self.reference) as scratch:
                run_case(case, self.base, inputs, self.shared, Path(scratch) / "outputs")
                publish(Path(scratch) / "outputs", old)
        new = self.outputs / case.name
        run_case(case, self.new, inputs, self.shared, new)
        return compare_outputs(case.name, old, new, rules, stderr=stderr)

    def make_fixtures(self, cases: list[Case]) -> None:
        """Create the fixtures of the given test cases, except those that exist."""
        for case in cases:
            self.make_fixtures([_FIXTURES[name] for name in case.inputs])
            for name in case.inputs:
                target = self._fixture(_FIXTURES[name])
                if not target.exists():
                    with tempfile.TemporaryDirectory(dir=self.reference) as scratch:
                        made = Path(scratch) / name
                        make_fixture(_FIXTURES[name], self.base, self._inputs(_FIXTURES[name]), self.shared, made)
                        publish(made, target)

    def _inputs(self, case: Case) -> list[Path]:
        return [self._fixture(_FIXTURES[name]) for name in case.inputs]

    def _fixture(self, fixture: Case) -> Path:
        return self.reference / "fixtures" / f"{fixture.name}-{reference_key(fixture, _FIXTURES)}"


def main() -> int:
    """Run the comparison that the command line specifies; return the exit status."""
    options = _options()
    chosen = [case for case in CASES if any(fnmatchcase(case.name, pattern) for pattern in options.only)]
    if options.list:
        print("\n".join(case.name for case in chosen))
        return 0
    with tempfile.TemporaryDirectory(prefix="compare-") as scratch:
        try:
            comparison = _prepare(options, Path(scratch))
            return _compare(comparison, chosen, options)
        except ComparisonError as error:
            print(f"Error: {error}", file=sys.stderr)
            return 2


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("base", help="base revision, such as 5dffe54")
    parser.add_argument("new", nargs="?", help="revision that is compared with it (default: the working tree)")
    parser.add_argument("--only", action="append", metavar="PATTERN", help="names of cases to run, such as 'train*'")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1, help="cases at once (default: %(default)s)")
    parser.add_argument("--reference", type=Path, metavar="DIR", help="keep and reuse the base revision's outputs here")
    parser.add_argument("--keep", type=Path, metavar="DIR", help="keep the new outputs here")
    parser.add_argument("--stderr", action="store_true", help="also compare progress and warnings")
    parser.add_argument("--most", type=int, default=10, help="differences to print for a case (default: %(default)s)")
    parser.add_argument("--list", action="store_true", help="print the names of the cases, and exit")
    options = parser.parse_args()
    options.only = options.only or ["*"]
    return options


def _prepare(options: argparse.Namespace, scratch: Path) -> Comparison:
    reference = (options.reference or scratch / "reference").resolve() / revision_name(options.base)
    reference.mkdir(parents=True, exist_ok=True)
    base = reference / "tree"
    if not base.exists():
        with tempfile.TemporaryDirectory(dir=reference) as temporary:
            check_out(options.base, Path(temporary) / "tree")
            publish(Path(temporary) / "tree", base)
    new = scratch / "tree"
    if options.new:
        check_out(revision_name(options.new), new)
    else:
        copy_working_tree(new)
    outputs = (options.keep or scratch / "outputs").resolve()
    outputs.mkdir(parents=True, exist_ok=True)
    shared = Path(os.environ.get("POETS_EDGE_SHARED", ROOT.parent / "shared")).resolve()
    return Comparison(Tree(base, base=True), Tree(new, base=False), reference, outputs, shared)


def _compare(comparison: Comparison, cases: list[Case], options: argparse.Namespace) -> int:
    begin = time.monotonic()
    rules = Rules(VOLATILE, INTENDED, set())
    ready = []
    for case in cases:
        if missing := comparison.missing_inputs(case):
            print(f"{case.name}: skipped, {', '.join(missing)} not in {comparison.shared}")
        else:
            ready.append(case)
            shutil.rmtree(comparison.outputs / case.name, ignore_errors=True)
    comparison.make_fixtures(ready)
    different = 0
    with ThreadPoolExecutor(options.jobs) as pool:
        running = [(case, pool.submit(comparison.run, case, rules, stderr=options.stderr)) for case in ready]
        for case, future in running:
            try:
                differences = future.result()
            except ComparisonError as error:
                print(f"{case.name}: Error: {error}", flush=True)
                different += 1
            else:
                different += bool(differences)
                _print(case, differences, options.most)
    unused = [rule for rule in INTENDED if rule not in rules.used]
    if len(ready) == len(CASES):
        for rule in unused:
            print(f"intended, but not found: {rule.reason}")
    seconds = time.monotonic() - begin
    print(f"{len(ready)} cases, {different} with differences that are not intended; {seconds:.0f} s")
    return 1 if different else 0


def _print(case: Case, differences: list[Difference], most: int) -> None:
    count = len(differences)
    print(f"{case.name}: " + (f"{count} difference{'' if count == 1 else 's'}" if count else "same"))
    for difference in differences[:most]:
        print(f"  {difference}")
    if count > most:
        print(f"  ... {count - most} more; --most {count} prints them")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
