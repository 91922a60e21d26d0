"""Running a model over many photos of known class, on all cores.

The same code judges `poets-edge evaluate` and every file that `poets-edge export` writes.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt

from poets_edge.core.parallel import run_parallel
from poets_edge.device.classifier import Classifier, Scorer, Scores
from poets_edge.device.metrics import Evaluation, evaluate_scores
from poets_edge.errors import DatasetError, PhotoError
from poets_edge.photos.image import open_photo
from poets_edge.photos.image_cache import Pictures
from poets_edge.photos.table import Photo, PhotoTable, class_numbers
from poets_edge.tflite.read_model import ModelSource, read_model

Name = TypeVar("Name", bound=str)


@dataclass(frozen=True)
class Mistake:
    """A misclassified photo.

    Attributes:
        answer: the label that the model gave it.
        score: the score of that label, 0 to 1.
    """

    photo: Photo
    answer: str
    score: float

    def to_json(self) -> dict[str, Any]:
        """Return the photo's name, the answer and its score."""
        return {"photo": self.photo.name, "answer": self.answer, "score": self.score}


@dataclass(frozen=True)
class Scored:
    """Scores of the photos that could be read, and the reasons for those that could not.

    Attributes:
        photos: in the order of the rows of `scores`.
        scores: float32 [photos, labels].
        unreadable: one line each.
    """

    photos: Sequence[Photo]
    scores: npt.NDArray[np.float32]
    unreadable: tuple[str, ...]

    def evaluation(self, labels: tuple[str, ...]) -> Evaluation:
        """How good the scores are. Raises DatasetError where a photo's class is not among `labels`."""
        strangers = sorted(set(PhotoTable.of(self.photos).present) - set(labels))
        if strangers:
            raise DatasetError(
                f"class {', '.join(strangers)}: not among the model's labels ({', '.join(labels)})."
                " Rename the folder, or evaluate the model that was trained on it."
            )
        truth = class_numbers(self.photos, labels)
        return evaluate_scores(labels, self.scores, truth)

    def right(self, labels: tuple[str, ...]) -> npt.NDArray[np.bool_]:
        """Which photos were answered right, bool [photos]."""
        truth = class_numbers(self.photos, labels)
        return np.asarray(self.scores.argmax(axis=1) == truth)

    def misclassified(self, labels: tuple[str, ...]) -> list[Mistake]:
        """Return the misclassified photos, the most confident mistakes first."""
        answers = self.scores.argmax(axis=1)
        wrong = [
            Mistake(self.photos[row], labels[answers[row]], float(self.scores[row, answers[row]]))
            for row in np.flatnonzero(~self.right(labels)).tolist()
        ]
        return sorted(wrong, key=lambda mistake: -mistake.score)

    def agreement(self, reference: Scored) -> float | None:
        """The share of photos that both answered with the same label, 0 to 1; None where they share no photo."""
        answers = dict(zip((photo.name for photo in reference.photos), reference.scores.argmax(axis=1), strict=True))
        same = [
            answers[photo.name] == answer
            for photo, answer in zip(self.photos, self.scores.argmax(axis=1), strict=True)
            if photo.name in answers
        ]
        return float(np.mean(same)) if same else None


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
            return scorer.scores(open_photo(photo))
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


def score_models(
    photos: Sequence[Photo],
    models: Mapping[Name, ModelSource],
    *,
    pictures: Pictures | None = None,
    advance: Callable[[int], object] = lambda amount: None,
) -> dict[Name, Scored]:
    """Score photos with several `.tflite` files on all cores.

    Each photo is read once and shown to all of them, so the scores are of the same pictures and can be compared.

    Args:
        pictures: where the photos' pixels come from; by default they are decoded, and not kept.
        advance: called with the number of photos scored since.

    Raises:
        ModelError: a model cannot be loaded, or answers with what is no number.
    """
    files = [read_model(model) for model in models.values()]
    source = pictures or Pictures()

    def open_all() -> list[Classifier]:
        return [Classifier(file) for file in files]

    def score(photo: Photo, classifiers: list[Classifier]) -> list[Scores] | PhotoError:
        try:
            shown = source.at(photo, {classifier.size for classifier in classifiers})
        except PhotoError as error:
            return error
        return [classifier.score_pixels(shown[classifier.size]) for classifier in classifiers]

    results = []
    for result in run_parallel(photos, open_all, score):
        results.append(result)
        advance(1)
    read = [(photo, scores) for photo, scores in results if not isinstance(scores, PhotoError)]
    unreadable = tuple(str(error) for _, error in results if isinstance(error, PhotoError))
    widths = [len(row) for row in read[0][1]] if read else [_answers(classifier) for classifier in open_all()]
    return {
        name: Scored(
            tuple(photo for photo, _ in read),
            np.stack([scores[index] for _, scores in read]) if read else np.zeros((0, widths[index]), np.float32),
            unreadable,
        )
        for index, name in enumerate(models)
    }


def score_model(
    photos: Sequence[Photo], model: ModelSource, *, advance: Callable[[int], object] = lambda amount: None
) -> Scored:
    """Score photos with a `.tflite` on all cores."""
    return score_models(photos, {"": model}, advance=advance)[""]


def _answers(classifier: Classifier) -> int:
    """How many scores a model gives. A picture is shown to it, so that its trouble, if any, is noticed."""
    return len(classifier.score_pixels(np.zeros((*classifier.size, 3), np.uint8)))
