"""Order in which fine-tuning shows photos and their views (distorted variants) in each epoch.

The order in an epoch depends only on the seed and the number of the epoch, so training can resume at any epoch.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from poets_edge.training.bottlenecks import HashedPhoto
from poets_edge.training.fine_tuning.activations import View

Indices = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Schedule:
    """Order in which the views (distorted variants) of the training photos are shown, in batches.

    Attributes:
        photos: training photos.
        classes: class number of each photo, int64 [photos].
        views: names of the views of each photo.
        whole: names of the views for the last epochs, which show the whole photo; may be empty.
        whole_from: index of the first epoch that shows `whole` views, counted from 0.
        batch_size: number of photos per step.
        seed: seed of the random order.
    """

    photos: Sequence[HashedPhoto]
    classes: Indices
    views: Sequence[str]
    whole: Sequence[str]
    whole_from: int
    batch_size: int
    seed: int

    @property
    def steps(self) -> int:
        """Number of steps per epoch: the number of photos divided by the batch size, rounded down, but at least 1."""
        return max(1, len(self.photos) // self.batch)

    @property
    def batch(self) -> int:
        """Number of photos per step: the batch size, or the number of photos if that is smaller."""
        return min(self.batch_size, len(self.photos))

    def all_views(self) -> list[View]:
        """Return all views (distorted variants) of all photos, including those that show the whole photo."""
        return [View(photo, name) for photo in self.photos for name in (*self.views, *self.whole)]

    def epoch(self, number: int) -> Iterator[tuple[list[View], Indices]]:
        """Yield the batches of an epoch: for each, distorted photos (views) and their class numbers, int64 [batch].

        All classes are shown equally often, as in the training of a head, so photos of a small class are repeated.
        Successive epochs show different variants of a photo.

        Args:
            number: index of the epoch, counted from 0.
        """
        views = self.views if number < self.whole_from else self.whole
        rng = np.random.default_rng([self.seed, 3, number])
        rows, repeats = self._rows(rng)
        first = np.random.default_rng([self.seed, 4]).integers(len(self.views), size=len(self.photos))
        turns = (first[rows] + number + repeats) % len(views)
        for start in range(0, self.steps * self.batch, self.batch):
            chosen = rows[start : start + self.batch]
            names = (views[turn] for turn in turns[start : start + self.batch])
            yield [View(self.photos[row], name) for row, name in zip(chosen, names, strict=True)], self.classes[chosen]

    def _rows(self, rng: np.random.Generator) -> tuple[Indices, Indices]:
        """Return the shuffled row numbers of the photos in an epoch, and a repetition number for each.

        The occurrences of a photo in the epoch are numbered 0, 1, ...
        """
        count = self.steps * self.batch
        present = rng.permutation(np.unique(self.classes))
        rows, repeats = [], []
        for index, number in enumerate(present):
            share = count // len(present) + (index < count % len(present))
            own = np.flatnonzero(self.classes == number)
            passes = -(-share // len(own))
            rows.append(np.concatenate([rng.permutation(own) for _ in range(passes)])[:share] if passes else own[:0])
            repeats.append(np.arange(share) // len(own))
        order = rng.permutation(count)
        return np.concatenate(rows)[order], np.concatenate(repeats)[order]
