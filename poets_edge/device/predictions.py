"""Compute the predictions of models for photos whose classes are known, on all CPU cores.

Both `evaluate` and `export` call these functions, so that they report equal accuracies.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt

from poets_edge.core.parallel import run_parallel
from poets_edge.device.classifier import Classifier
from poets_edge.device.metrics import Evaluation, evaluate_scores, independent_count
from poets_edge.device.scorer import ModelOutput, Scorer
from poets_edge.errors import DatasetError, PhotoError
from poets_edge.photos.image import read_photo
from poets_edge.photos.image_cache import ImageCache
from poets_edge.photos.names import composed
from poets_edge.photos.open_photo import read_contents
from poets_edge.photos.table import Digest, Photo, PhotoTable, Rows, class_numbers
from poets_edge.tflite.read_model import ModelSource, read_model

Name = TypeVar("Name", bound=str)


@dataclass(frozen=True)
class Mistake:
    """A misclassified photo.

    Attributes:
        answer: the label that the model predicted.
        score: the score of that label, 0 to 1.
    """

    photo: Photo
    answer: str
    score: float

    def to_json(self) -> dict[str, Any]:
        """Return the photo's name, the predicted label and its score as a JSON-compatible dictionary."""
        return {"photo": self.photo.name, "answer": self.answer, "score": self.score}


@dataclass(frozen=True)
class Predictions:
    """Scores of a model for photos whose classes are known.

    Attributes:
        photos: the photos that could be read, in the order of the rows of `scores`.
        scores: float32 [photos, labels].
        unreadable: one-line error message for each photo that could not be read.
        distances: distances from the training photos, float32 [photos]; None if the model has no unknown-photo
            detector.
        groups: group number of each photo, int64 [photos], for the confidence interval of the accuracy; None if all
            photos are independent.
    """

    photos: Sequence[Photo]
    scores: npt.NDArray[np.float32]
    unreadable: tuple[str, ...]
    distances: npt.NDArray[np.float32] | None = None
    groups: Rows | None = None

    @staticmethod
    def of(
        photos: Sequence[Photo], outputs: Sequence[ModelOutput], labels: int, unreadable: tuple[str, ...]
    ) -> Predictions:
        """Construct an instance from a model's outputs for several photos.

        Args:
            photos: the photos, in the order of `outputs`.
            outputs: scores and distance for each photo.
            labels: number of labels of the model, which determines the shape of the scores if there are no photos.
            unreadable: one-line error message for each photo that could not be read.
        """
        scores = np.stack([one.scores for one in outputs]) if outputs else np.zeros((0, labels), np.float32)
        distances = [one.distance for one in outputs if one.distance is not None]
        found = np.array(distances, np.float32) if len(distances) == len(outputs) > 0 else None
        return Predictions(tuple(photos), scores, unreadable, found)

    def take(self, rows: Rows) -> Predictions:
        """Return the predictions for the photos with the given row indices, in the order of `rows`."""
        return replace(
            self,
            photos=tuple(self.photos[row] for row in rows.tolist()),
            scores=self.scores[rows],
            distances=None if self.distances is None else self.distances[rows],
            groups=None if self.groups is None else self.groups[rows],
        )

    def evaluation(self, labels: tuple[str, ...]) -> Evaluation:
        """Return the accuracy, recall and confusion matrix of the predictions.

        Raises:
            DatasetError: the class of a photo is missing from `labels` or occurs twice in it.
        """
        known = set(map(composed, labels))
        unknown = [label for label in PhotoTable.of(self.photos).present if composed(label) not in known]
        if unknown:
            raise DatasetError(
                f"class {', '.join(unknown)}: not among the model's labels ({', '.join(labels)})."
                " Rename the folder or, with `labels`, the label; or evaluate the model that was trained on it."
            )
        twice = sorted(label for label in PhotoTable.of(self.photos).present if labels.count(label) > 1)
        if twice:
            raise DatasetError(
                f"class {', '.join(twice)}: the label of several outputs of the model, so correct answers cannot be"
                " told from wrong ones. Give every output a label of its own."
            )
        found = evaluate_scores(labels, self.scores, class_numbers(self.photos, labels))
        if self.groups is None or not len(self.photos):
            return found
        return replace(found, independent=independent_count(self.correct(labels), self.groups))

    def correct(self, labels: tuple[str, ...]) -> npt.NDArray[np.bool_]:
        """Return whether each photo was classified correctly, bool [photos]."""
        truth = class_numbers(self.photos, labels)
        return np.asarray(self.scores.argmax(axis=1) == truth)

    def misclassified(self, labels: tuple[str, ...]) -> list[Mistake]:
        """Return the misclassified photos, sorted by the score of the predicted label, highest first."""
        answers = self.scores.argmax(axis=1)
        wrong = [
            Mistake(self.photos[row], labels[answers[row]], float(self.scores[row, answers[row]]))
            for row in np.flatnonzero(~self.correct(labels)).tolist()
        ]
        return sorted(wrong, key=lambda mistake: -mistake.score)

    def agreement(self, reference: Predictions) -> float | None:
        """Return the fraction of photos for which this object and `reference` predict the same label, 0 to 1.

        Only photos that are in both objects are counted. The result is None if there are no such photos.
        """
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
) -> Predictions:
    """Return the predictions of a model for photos whose classes are known, computed on several threads.

    Args:
        photos: photos with their classes.
        make_scorer: function that opens the model as a scorer; it is called once per thread.
        workers: number of threads; by default one per core.
        advance: function that is called with the number of photos scored since its previous call.

    Raises:
        ModelError: the model cannot be loaded.
    """
    return score_chosen(photos, make_scorer, lambda photo, digest: True, workers=workers, advance=advance).predictions


@dataclass(frozen=True)
class ChosenPredictions:
    """Result of `score_chosen`, which scores only some photos, but hashes all of them.

    Attributes:
        predictions: scores of the photos that were chosen.
        digests: SHA-256 of each photo that was chosen and could be read, uint8 [photos, 32].
        skipped: SHA-256 of each photo that was not chosen, uint8 [skipped photos, 32].
    """

    predictions: Predictions
    digests: Digest
    skipped: Digest


def score_chosen(
    photos: Sequence[Photo],
    make_scorer: Callable[[], Scorer],
    choose: Callable[[Photo, bytes], bool],
    *,
    workers: int | None = None,
    advance: Callable[[int], object] = lambda amount: None,
) -> ChosenPredictions:
    """Hash photos, and score those that a function chooses by their digests; each photo is read only once.

    See `score_photos` for the other arguments.

    Args:
        choose: function that accepts a photo and the SHA-256 of its contents, and returns whether to score the photo.
    """

    def score(photo: Photo, scorer: Scorer) -> tuple[bytes, ModelOutput | PhotoError | None]:
        try:
            contents = read_contents(photo)
            digest = hashlib.sha256(contents).digest()
            chosen = choose(photo, digest)
            return digest, scorer.predict(read_photo(contents, name=str(photo.path))) if chosen else None
        except PhotoError as error:
            return b"", error.without_frames()

    results = []
    for photo, (digest, result) in run_parallel(photos, make_scorer, score, workers=workers):
        results.append((photo, digest, result))
        advance(1)
    read = [(photo, digest, result) for photo, digest, result in results if isinstance(result, ModelOutput)]
    unreadable = tuple(str(result) for _, _, result in results if isinstance(result, PhotoError))
    labels = 0 if read else len(make_scorer().labels)
    return ChosenPredictions(
        Predictions.of([photo for photo, _, _ in read], [output for _, _, output in read], labels, unreadable),
        _stacked([digest for _, digest, _ in read]),
        _stacked([digest for _, digest, result in results if result is None]),
    )


def _stacked(digests: Sequence[bytes]) -> Digest:
    return np.frombuffer(b"".join(digests), np.uint8).reshape(len(digests), hashlib.sha256().digest_size)


def score_models(
    photos: Sequence[Photo],
    models: Mapping[Name, ModelSource],
    *,
    images: ImageCache | None = None,
    advance: Callable[[int], object] = lambda amount: None,
) -> dict[Name, Predictions]:
    """Return the predictions of several `.tflite` files for photos whose classes are known, computed on all cores.

    Each photo is read once.

    Args:
        photos: photos with their classes.
        models: models, by an arbitrary name; the result has the same keys.
        images: cache of decoded photos; by default, decoded photos are not cached.
        advance: function that is called with the number of photos scored since its previous call.

    Raises:
        ModelError: a model cannot be loaded, or its scores contain NaN or infinity.
    """
    files = [read_model(model) for model in models.values()]
    source = images or ImageCache()

    def open_all() -> list[Classifier]:
        return [Classifier(file) for file in files]

    def score(photo: Photo, classifiers: list[Classifier]) -> list[ModelOutput] | PhotoError:
        try:
            pixels = {
                antialias: source.at(photo, sizes, antialias=antialias)
                for antialias in (True, False)
                if (sizes := {one.size for one in classifiers if one.metadata.antialias == antialias})
            }
        except PhotoError as error:
            return error.without_frames()
        return [one.predict_pixels(pixels[one.metadata.antialias][one.size]) for one in classifiers]

    results = []
    for result in run_parallel(photos, open_all, score):
        results.append(result)
        advance(1)
    read = [(photo, outputs) for photo, outputs in results if not isinstance(outputs, PhotoError)]
    unreadable = tuple(str(error) for _, error in results if isinstance(error, PhotoError))
    labels = [0] * len(models) if read else [_score_count(classifier) for classifier in open_all()]
    return {
        name: Predictions.of(
            [photo for photo, _ in read], [outputs[index] for _, outputs in read], labels[index], unreadable
        )
        for index, name in enumerate(models)
    }


def score_model(
    photos: Sequence[Photo], model: ModelSource, *, advance: Callable[[int], object] = lambda amount: None
) -> Predictions:
    """Return the predictions of one `.tflite` file for photos whose classes are known; see `score_models`."""
    return score_models(photos, {"": model}, advance=advance)[""]


def _score_count(classifier: Classifier) -> int:
    """Check that the model can run by running it once, and return the number of scores per photo."""
    return len(classifier.score_pixels(np.zeros((*classifier.size, 3), np.uint8)))
