"""Overlap between the photos that a model is evaluated on and the photos that it has learned from."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Literal, TypeAlias

import numpy as np
import numpy.typing as npt

from poets_edge.core.wording import accuracy_text, interval_text, percent
from poets_edge.device.metrics import Evaluation
from poets_edge.device.scorer import Scorer
from poets_edge.errors import ModelError, RecordError
from poets_edge.photos.known_photos import UNCHECKED, KnownPhotos, known_photos
from poets_edge.photos.minhash import current_signature, overlap
from poets_edge.photos.split_names import NO_SPLIT, SPLIT_NAMES
from poets_edge.photos.table import Digest, PhotoTable, SplitNumbers

Evidence: TypeAlias = Literal["contents", "sample", "names", "unknown"]

_TRAINING, _VALIDATION = (SPLIT_NAMES.index(name) for name in ("training", "validation"))


@dataclass(frozen=True, kw_only=True)
class TrainingOverlap:
    """Number of photos in an evaluation, and how many of them the model was trained or validated on.

    Attributes:
        photos: number of photos in the evaluation.
        training: number of photos that the model was trained on.
        validation: number of photos that the model was validated on, which means that they were used to choose among
            models or to fit the temperature of the scores.
        evidence: how the photos of the training run are recognized. "contents": the model stores the SHA-256 digests of
            all of them; "sample": it stores only those digests that begin with some zero bits, because there are many;
            "names": it stores names and sizes (models from poets_edge 0.2); "unknown": it stores nothing about them.
        new: number of photos that were not in the training run: their digests are not stored in the model.
        unchecked: number of photos that may have been in the training run, because the model does not store digests
            that begin like theirs.
    """

    photos: int
    training: int = 0
    validation: int = 0
    evidence: Evidence = "contents"
    new: int = 0
    unchecked: int = 0

    @staticmethod
    def of(splits: SplitNumbers, known: KnownPhotos | None, facts: Mapping[str, Any]) -> TrainingOverlap:
        """Count the evaluated photos that the model was trained or validated on.

        Args:
            splits: result of `splits_of`.
            known: digests of the training run's photos, as stored in the model; None if it stores none.
            facts: how the model was trained and exported, as stored with it.
        """
        if known is None:
            by_name = "photos_sketch" in (facts.get("training") or facts)
            return TrainingOverlap(photos=len(splits), evidence="names" if by_name else "unknown")
        return TrainingOverlap(
            photos=len(splits),
            training=int((splits == _TRAINING).sum()),
            validation=int((splits == _VALIDATION).sum()),
            evidence="sample" if known.sample_bits else "contents",
            new=int((splits == NO_SPLIT).sum()),
            unchecked=int((splits == UNCHECKED).sum()),
        )

    @property
    def warning(self) -> str | None:
        """Warning that training photos may be counted as new; None if photos are recognized by their contents."""
        if self.evidence == "unknown":
            return (
                "which photos the model has learned from is not known: if some of these are among them, it is less"
                " accurate on new ones."
            )
        if self.evidence == "names":
            return (
                "the model knows its training folder by names and sizes only, so single photos that it has learned from"
                " may be counted as new ones. Train or export again to recognize them by their contents."
            )
        return None

    @property
    def unrecognized_warning(self) -> str | None:
        """Message that states how many photos could not be matched with a training photo and may still be copies.

        It is None if all photos were matched, or if the model stores no digests of its training photos.
        """
        count = self.new + self.unchecked
        if not count:
            return None
        line = (
            f"none of the {self.photos:,} photos is a file of the training run"
            if count == self.photos
            else f"{count:,} of the {self.photos:,} photos are not files of the training run"
        )
        line += "; copies that were saved again are not recognized"
        if self.unchecked:
            line += f", and {self.unchecked:,} are outside the sample of files that the model keeps"
        return line

    def __bool__(self) -> bool:
        return bool(self.training or self.validation)

    def __str__(self) -> str:
        """Return a phrase such as `trained on 811 and validated on 95 of 1,000 photos`."""
        validated = f" and validated on {self.validation:,}" if self.validation else ""
        at_least = "at least " if self.evidence == "sample" else ""
        return f"trained on {at_least}{self.training:,}{validated} of {self.photos:,} photos"

    def to_json(self) -> dict[str, Any]:
        """Return the attributes of this object as a JSON-compatible dictionary."""
        return asdict(self)


def overlap_lines(
    overlap: TrainingOverlap, learned: npt.NDArray[np.bool_], unseen: Evaluation | None
) -> tuple[str, ...]:
    """Return sentences for users about the photos in an evaluation that the model has learned from.

    They state the number of these photos, the accuracy on the others, and how many photos were not recognized. The
    result is empty if all photos were recognized, and the model has not learned from any of them.

    Args:
        learned: whether the model has learned from each evaluated photo, bool [photos].
        unseen: evaluation on the photos that the model has not learned from; None if the model has learned from all
            evaluated photos, or from none of them.
    """
    lines = []
    if overlap:
        line = f"the model was {overlap}"
        if len(learned) and learned.all():
            line += ": expect it to be less accurate on new ones"
        elif unseen is not None:
            line += f"; on the other {unseen.count}: {accuracy_text(unseen.accuracy, unseen.count, unseen.interval)}"
        lines.append(line)
    return (*lines, overlap.unrecognized_warning) if overlap.unrecognized_warning else tuple(lines)


def copies_warning(evaluation: Evaluation, facts: Mapping[str, Any]) -> str | None:
    """Return a warning if a model is suspiciously accurate on photos that seem to be new to it; otherwise None.

    The accuracy is suspicious if it is significantly higher than the model's accuracy in cross-validation or, without
    cross-validation, on its test set. The photos may then be copies of training photos that were saved again, resized,
    cropped or mirrored, which cannot be recognized by their contents. If neither accuracy is known, None is returned.

    Args:
        evaluation: evaluation on the photos that are not recognized as training photos.
        facts: how the model was trained and exported, as stored with it.
    """
    training = facts.get("training") or facts
    cross_validation = None if training.get("own_test_set") else training.get("cross_validation")
    held_out = cross_validation or facts.get("test")
    if not evaluation.count or not held_out or held_out["accuracy"] is None:
        return None
    high = held_out["interval95"][1]
    if evaluation.interval[0] <= high:
        return None
    which = "in cross-validation" if cross_validation else "on its own test photos"
    return (
        f"{percent(evaluation.accuracy)} of {evaluation.count} photos that the model does not recognize by their"
        f" contents are labeled correctly ({interval_text(evaluation.interval)}), significantly more than {which}"
        f" ({percent(held_out['accuracy'])}, {interval_text(held_out['interval95'])}): if they are copies of its"
        " training photos that were saved again, resized or cropped, it is less accurate on new ones."
    )


def is_learned(splits: SplitNumbers) -> npt.NDArray[np.bool_]:
    """Return whether each photo is in the training or validation split, bool [photos]."""
    return np.asarray((splits == _TRAINING) | (splits == _VALIDATION))


def photos_of_model(scorer: Scorer) -> KnownPhotos | None:
    """Return the digests of the photos that a model was trained, validated and tested on; None if it stores none.

    Raises:
        ModelError: the digests are damaged.
    """
    try:
        return known_photos(scorer.facts)
    except RecordError as error:
        raise ModelError(f"the photos of the training run inside the model are damaged ({error}).") from None


def splits_of(digests: Digest, known: KnownPhotos | None) -> SplitNumbers:
    """Return the split of each photo in the training run as a number, int8 [photos]; see `KnownPhotos.splits`.

    All numbers are NO_SPLIT if `known` is None.
    """
    return known.splits(digests) if known else np.full(len(digests), NO_SPLIT, np.int8)


def was_trained_on(photos: PhotoTable, facts: Mapping[str, Any]) -> bool:
    """Return whether a model without photo digests, from poets_edge 0.2 or older, was trained on some of the photos.

    A model from version 0.2 contains a MinHash signature of its training folder, which is compared with the photos. For
    a model from version 0.1, which has no signature, the result is True; for a model from another program, False.

    Args:
        facts: how the model was trained and exported, as stored with it.
    """
    training = facts.get("training") or facts
    if "photos_sketch" not in training:
        return bool(training.get("classes"))  # version 0.1 recorded only the classes; foreign models have none
    return overlap(training["photos_sketch"], current_signature(photos))
