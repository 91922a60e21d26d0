"""Running a model over many photos of known class, on all cores.

The same code judges `poets-edge evaluate` and every file that `poets-edge export` writes.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from poets_edge.edge.classifier import Classifier, Scorer
from poets_edge.edge.metrics import Evaluation, evaluate_scores
from poets_edge.edge.parallel import run_parallel
from poets_edge.errors import DatasetError, PhotoError
from poets_edge.photos.folder import Photo


@dataclass(frozen=True)
class Scored:
    """Scores of the photos that could be read, and the reasons for those that could not.

    Attributes:
        photos: in the order of the rows of `scores`.
        scores: float32 [photos, labels].
        unreadable: one line each.
    """

    photos: tuple[Photo, ...]
    scores: npt.NDArray[np.float32]
    unreadable: tuple[str, ...]

    def evaluation(self, labels: tuple[str, ...]) -> Evaluation:
        """How good the scores are. Raises DatasetError where a photo's class is not among `labels`."""
        strangers = sorted({photo.label for photo in self.photos} - set(labels))
        if strangers:
            raise DatasetError(
                f"class {', '.join(strangers)}: not among the model's labels ({', '.join(labels)})."
                " Rename the folder, or evaluate the model that was trained on it."
            )
        truth = np.array([labels.index(photo.label) for photo in self.photos], np.int64)
        return evaluate_scores(labels, self.scores, truth)

    def misclassified(self, labels: tuple[str, ...]) -> list[tuple[Photo, str, float]]:
        """Photos answered wrongly, with the answer and its score, the surest mistakes first."""
        answers = self.scores.argmax(axis=1)
        wrong = [
            (photo, labels[answer], float(row[answer]))
            for photo, answer, row in zip(self.photos, answers, self.scores, strict=True)
            if labels[answer] != photo.label
        ]
        return sorted(wrong, key=lambda item: -item[2])


def score_photos(
    photos: Sequence[Photo],
    make_scorer: Callable[[], Scorer],
    *,
    workers: int | None = None,
    advance: Callable[[int], object] = lambda amount: None,
) -> Scored:
    """Score photos; each worker thread makes its own scorer, since an interpreter serves one thread.

    Args:
        make_scorer: called once a thread; `lambda: Classifier(path)`.
        workers: threads; by default one a core.
        advance: called with the number of photos scored since.

    Raises:
        ModelError: the model cannot be loaded.
    """

    def score(photo: Photo, scorer: Scorer) -> npt.NDArray[np.float32] | PhotoError:
        try:
            return scorer.scores(photo.path)
        except PhotoError as error:
            return error

    results = []
    for result in run_parallel(photos, make_scorer, score, workers=workers):
        results.append(result)
        advance(1)
    read = [(photo, scores) for photo, scores in results if not isinstance(scores, PhotoError)]
    unreadable = tuple(str(error) for _, error in results if isinstance(error, PhotoError))
    width = len(make_scorer().labels) if not read else len(read[0][1])
    stacked = np.stack([scores for _, scores in read]) if read else np.zeros((0, width), np.float32)
    return Scored(tuple(photo for photo, _ in read), stacked, unreadable)


def score_model(
    photos: Sequence[Photo], model: Path, *, advance: Callable[[int], object] = lambda amount: None
) -> Scored:
    """Score photos with a `.tflite` on all cores."""
    return score_photos(photos, lambda: Classifier(model), advance=advance)
