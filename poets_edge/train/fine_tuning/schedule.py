"""Which view of which photo is shown when: decided by the seed, the epoch and nothing else.

So an epoch can be repeated, or gone on from, without knowing what came before it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from poets_edge.train.bottlenecks import HashedPhoto
from poets_edge.train.fine_tuning.activations import View

Indices = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Schedule:
    """The training photos and how they take turns.

    Attributes:
        photos: of the training set.
        classes: int64 [photos], the number of each one's class.
        views: names of the views that each photo has.
        whole: names of those that show all of it, in the last epochs; none where there are no such epochs.
        whole_from: the first of these epochs, counted from 0.
        batch_size: photos a step, no more than there are.
        seed: decides the order.
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
        """In an epoch: as many as show as many photos as there are, the last few left for another epoch."""
        return max(1, len(self.photos) // self.batch)

    @property
    def batch(self) -> int:
        """Photos a step."""
        return min(self.batch_size, len(self.photos))

    def everything(self) -> list[View]:
        """All views of all photos."""
        return [View(photo, name) for photo in self.photos for name in (*self.views, *self.whole)]

    def epoch(self, number: int) -> Iterator[tuple[list[View], Indices]]:
        """The batches of epoch 0, 1, ...: views, and their classes as int64 [batch].

        Every class is shown equally often, as it is when a head is trained: the photos of a small one more than once.
        A photo shows its views in turn, one an epoch.
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
        """Row numbers in the order of an epoch, and how often each was shown in it before."""
        wanted = self.steps * self.batch
        present = rng.permutation(np.unique(self.classes))
        rows, repeats = [], []
        for place, number in enumerate(present):
            share = wanted // len(present) + (place < wanted % len(present))
            own = np.flatnonzero(self.classes == number)
            passes = -(-share // len(own))
            rows.append(np.concatenate([rng.permutation(own) for _ in range(passes)])[:share] if passes else own[:0])
            repeats.append(np.arange(share) // len(own))
        order = rng.permutation(wanted)
        return np.concatenate(rows)[order], np.concatenate(repeats)[order]
