"""Mutants that no test can kill, because they do not change the program's specified behavior."""

from __future__ import annotations

import re
from dataclasses import dataclass


@dataclass(frozen=True)
class Equivalent:
    """Reviewed mutant that survives because it is equivalent to the original code.

    Attributes:
        module: path under `poets_edge`.
        before, after: the original and the changed source lines, as in the report.
        reason: why the behavior is unchanged, or why the difference is irrelevant.
    """

    module: str
    before: str
    after: str
    reason: str


EQUIVALENTS: tuple[Equivalent, ...] = (
    Equivalent(
        "device/metrics.py",
        "if variance < _ROUNDING:",
        "if variance <= _ROUNDING:",
        "a variance is not exactly the limit, which only separates rounding errors",
    ),
    Equivalent(
        "device/paired.py",
        """what = f"{'loses' if self.gain < 0 else 'gains'} {points} points" if float(points) else "no change\"""",
        """what = f"{'loses' if self.gain <= 0 else 'gains'} {points} points" if float(points) else "no change\"""",
        "a gain of 0 is described as no change",
    ),
    Equivalent(
        "device/paired.py",
        "return self.p_value > SIGNIFICANCE",
        "return self.p_value >= SIGNIFICANCE",
        "an exact p-value is a fraction whose denominator is a power of two, and is not 0.05",
    ),
    *(
        Equivalent("device/temperature.py", before, after, reason)
        for before, after, reason in (
            (
                "accuracies = [float(correct[best >= number / 100].mean()) if (best >= number / 100).any() else -1.0",
                "accuracies = [float(correct[best >= number / 100].mean()) if (best >= number / 100).any() else -2.0",
                "any negative number is below all accuracies",
            ),
            ("while high - low > 1e-4:", "while high - low >= 1e-4:", "the interval does not become exactly this wide"),
            ("if at_inner < at_outer:", "if at_inner <= at_outer:", "of equal values, either half has the minimum"),
        )
    ),
    *(
        Equivalent(
            "photos/minhash.py", before, after, "how often the set is cut to its least values limits only memory"
        )
        for before, after in (
            ("_AT_ONCE = 1 << 14", "_AT_ONCE = 2 << 14"),
            ("if len(least) == _AT_ONCE:", "if not len(least) == _AT_ONCE:"),
            ("if len(least) == _AT_ONCE:", "if len(least) != _AT_ONCE:"),
            ("if len(least) == _AT_ONCE:", "if False:"),
        )
    ),
    *(
        Equivalent(
            "exporting/drop.py",
            "return lost > paired.better and mcnemar(lost, paired.better) <= SIGNIFICANCE",
            after,
            reason,
        )
        for after, reason in (
            (
                "return lost >= paired.better and mcnemar(lost, paired.better) <= SIGNIFICANCE",
                "the p-value of equal counts is 1",
            ),
            (
                "return lost > paired.better and mcnemar(lost, paired.better) < SIGNIFICANCE",
                "an exact p-value is a fraction whose denominator is a power of two, and is not 0.05",
            ),
        )
    ),
    *(
        Equivalent("training/distort.py", before, after, reason)
        for before, after, reason in (
            (
                'rng = np.random.default_rng(int.from_bytes(seed[:8], "big"))',
                'rng = np.random.default_rng(int.from_bytes(seed[:9], "big"))',
                "another stream of random numbers, as good as this one",
            ),
            (
                "if settings.flip_left_right and rng.random() < 0.5:",
                "if settings.flip_left_right and rng.random() <= 0.5:",
                "a random number is exactly 0.5 once in 2 ** 53 draws",
            ),
        )
    ),
    Equivalent(
        "training/unknown.py",
        "neighbors = np.unique(np.clip(quantile + _NEIGHBORS, 1 - _HIGHEST_QUANTILE, _HIGHEST_QUANTILE))",
        "neighbors = np.unique(np.clip(quantile - _NEIGHBORS, 1 - _HIGHEST_QUANTILE, _HIGHEST_QUANTILE))",
        "the neighbors are symmetric about the quantile",
    ),
    Equivalent(
        "tflite/verify/tables.py",
        "return self.table(union.kinds[number], self._follow(position), depth + 1)",
        "return self.table(union.kinds[number], self._follow(position), depth - 1)",
        "the tables that a union refers to contain no tables",
    ),
    Equivalent(
        "auditing/mislabeled.py",
        "score = 1 / (1 + np.exp(np.clip(margin, -80, 80)))",
        "score = 1 / (1 + np.exp(np.clip(margin, -80, 81)))",
        "the scores of both margins are 0 when rounded to any digits that are shown",
    ),
    Equivalent(
        "core/download.py",
        "_BLOCK = 1 << 18",
        "_BLOCK = 2 << 18",
        "blocks of any size are written to the file",
    ),
    Equivalent(
        "core/files.py",
        "content += file.read(most + 1 - len(content))",
        "content += file.read(most + 2 - len(content))",
        "a file with more than `most` bytes is refused, however many more are read",
    ),
    Equivalent(
        "photos/digests.py",
        "if stamp.changed < at - RACY_SECONDS:",
        "if stamp.changed <= at - RACY_SECONDS:",
        "the margin of RACY_SECONDS is generous, and equal times change nothing",
    ),
    *(
        Equivalent(module, before, before.replace("OSError(0", "OSError(1"), "only the text of the error is shown")
        for module, before in (
            ("bench/remote/on_device/agent.py", 'raise OSError(0, "no folder is open in this session", "")'),
            (
                "bench/remote/on_device/own_service.py",
                'raise OSError(0, "was changed since this program wrote it; move it away", path)',
            ),
        )
    ),
    Equivalent(
        "bench/remote/on_device/agent.py",
        "time.sleep(min(1.0, self._silence / 4))",
        "time.sleep(min(1.0, self._silence * 4))",
        "silence is found at most a second later, and lasts for minutes",
    ),
    Equivalent(
        "tflite/metadata.py",
        """_PERCENT = Check(int, "a whole number from 0 to 100", lambda value: 0 <= value <= 100)""",
        """_PERCENT = Check(int, "a whole number from 0 to 100", lambda value: 0 <= value < 100)""",
        "the sum of both percentages must be below 100",
    ),
    Equivalent(
        "photos/archive_members.py",
        "data, most = io.BytesIO(), member.length + 1",
        "data, most = io.BytesIO(), member.length + 2",
        "a result that is longer than declared by any number of bytes is refused",
    ),
    Equivalent(
        "photos/image.py",
        "_SMALLEST_DECODE = 448",
        "_SMALLEST_DECODE = 449",
        "decoded sizes are halves, quarters and eighths, and any limit near twice an input's size serves",
    ),
    Equivalent(
        "photos/image.py",
        "if crop is None and image.size == (width, height):",
        "if False:",
        "resizing to the size that the image has returns its pixels",
    ),
    Equivalent(
        "photos/exclude.py",
        "if not leave_out and not belongs_to:",
        "if False:",
        "without listed photos the result is empty, too; names are only not hashed",
    ),
    Equivalent(
        "tflite/verify/memory.py",
        "_RULES = 4",
        "_RULES = 5",
        "the version only needs to differ from earlier ones",
    ),
    *(
        Equivalent("tflite/write_metadata.py", before, after, reason)
        for before, after, reason in (
            (
                "_FIXED_DATE = (1980, 1, 1, 0, 0, 0)",
                "_FIXED_DATE = (1980, 1, 1, 0, 0, 1)",
                "zip files store even seconds",
            ),
            (
                "self.builder.StartVector(4, len(offsets), 4)",
                "self.builder.StartVector(5, len(offsets), 4)",
                "the size only determines the padding before a vector",
            ),
            (
                "self.builder = flatbuffers.Builder(1024)",
                "self.builder = flatbuffers.Builder(1025)",
                "the builder grows when it is full",
            ),
            (
                "self.builder.StartObject(max(fields, default=-1) + 1)",
                "self.builder.StartObject(max(fields, default=+1) + 1)",
                "empty fields at the end of a table are not written",
            ),
            (
                "self.builder.PrependUOffsetTRelativeSlot(field, value, 0)",
                "self.builder.PrependUOffsetTRelativeSlot(field, value, 1)",
                "no table or text has the offset 0 or 1",
            ),
        )
    ),
    Equivalent(
        "sweep/trend.py",
        "return _mean(after) < _mean(before) and after[0].compare(before[-1]).could_be_chance",
        "return _mean(after) <= _mean(before) and after[0].compare(before[-1]).could_be_chance",
        "pools of equal means have that mean together, and are pooled anyway once a later point falls below them",
    ),
    *(
        Equivalent(
            "sweep/choice.py",
            before,
            before.replace("equals[0]", "equals[1]"),
            "all points of a grid have the same photos, and the sentence is about two points or more",
        )
        for before in (
            """f" The {equals[0].photos} photos of the test set cannot tell {len(equals)} points apart; cross-validation\"""",  # noqa: E501
            """f" within the {len(equals[0].cross_validated)} training and validation photos decided between them and ruled\"""",  # noqa: E501
        )
    ),
    Equivalent(
        "sweep/choice.py",
        """gain = f"is not significantly slower and has a smaller file ({chosen.size / 1e6:.2f} MB)\"""",
        """gain = f"is not significantly slower and has a smaller file ({chosen.size / 1000001.0:.2f} MB)\"""",
        "two decimals differ for files above 5 GB only, and a model has at most 1 GB",
    ),
    Equivalent(
        "training/fine_tuning/schedule.py",
        "rng = np.random.default_rng([self.seed, 3, number])",
        "rng = np.random.default_rng([self.seed, 4, number])",
        "another stream of random numbers, as good as this one",
    ),
    Equivalent(
        "training/fine_tuning/schedule.py",
        "first = np.random.default_rng([self.seed, 4]).integers(len(self.views), size=len(self.photos))",
        "first = np.random.default_rng([self.seed, 5]).integers(len(self.views), size=len(self.photos))",
        "another stream of random numbers, as good as this one",
    ),
    Equivalent(
        "training/fine_tuning/schedule.py",
        "turns = (first[rows] + number + repeats) % len(views)",
        "turns = (first[rows] + number - repeats) % len(views)",
        "repeated photos take their views in the opposite order",
    ),
    Equivalent(
        "training/fine_tuning/schedule.py",
        "passes = -(-share // len(own))",
        "passes = -(-share * len(own))",
        "permutations that are not needed are cut off",
    ),
    Equivalent(
        "training/fine_tuning/schedule.py",
        "rows.append(np.concatenate([rng.permutation(own) for _ in range(passes)])[:share] if passes else own[:0])",
        "rows.append(np.concatenate([rng.permutation(own) for _ in range(passes)])[:share] if passes else own[:1])",
        "classes without a share are last, and rows beyond the epoch are not drawn",
    ),
)


_PATTERNS = (
    (r"strict=True", r"strict=False", "asserts that lengths are equal, which they are by construction"),
    (r"reshape\(-1\)", r"reshape(-2)", "numpy infers the length for any negative number"),
    (r"\*,", r"/,", "arguments may only be given by position, too"),
)
"""Changes that are equivalent in every module, as (regular expression, replacement, reason)."""


def equivalent(module: str, before: str, after: str) -> Equivalent | None:
    """Return why a mutant is known to be equivalent to the original code, or None if it is not known to be.

    Args:
        module: path under `poets_edge`.
        before, after: the original and the changed source lines.
    """
    for entry in EQUIVALENTS:
        if (entry.module, entry.before, entry.after) == (module, before, after):
            return entry
    for pattern, replacement, reason in _PATTERNS:
        for found in re.finditer(pattern, before):
            if before[: found.start()] + replacement + before[found.end() :] == after:
                return Equivalent(module, before, after, reason)
    return None
