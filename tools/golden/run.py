"""Running of the commands whose outputs are stored as golden texts, with the code in the working tree."""

from __future__ import annotations

from pathlib import Path

from tests.standins import write_keras_weights
from tools.compare.case import Case
from tools.compare.running import Tree, copy_working_tree, make_fixture, run_case
from tools.golden.cases import FIXTURES_BY_NAME, GOLDEN_VOLATILE
from tools.golden.text import golden_text


class Project:
    """Copy of the working tree, in which test cases are run.

    It contains substitutes for pretrained weights. Fixtures, folders that cases start from, are created when first
    needed.
    """

    def __init__(self, folder: Path) -> None:
        """Copy the working tree into an empty folder, and create substitutes for pretrained weights there."""
        self._folder = folder
        self._tree = Tree(folder / "tree", base=False)
        copy_working_tree(self._tree.folder)
        write_keras_weights(folder / "shared/keras")

    def text(self, case: Case) -> str:
        """Run the commands of a test case, and return their outputs as golden text, as described for `golden_text`."""
        outputs = self._folder / "outputs" / case.name
        run_case(case, self._tree, self._inputs(case), self._folder / "shared", outputs)
        return golden_text(case, outputs, GOLDEN_VOLATILE)

    def _inputs(self, case: Case) -> list[Path]:
        return [self._fixture(FIXTURES_BY_NAME[name]) for name in case.inputs]

    def _fixture(self, fixture: Case) -> Path:
        target = self._folder / "fixtures" / fixture.name
        if not target.exists():
            make_fixture(fixture, self._tree, self._inputs(fixture), self._folder / "shared", target)
        return target
