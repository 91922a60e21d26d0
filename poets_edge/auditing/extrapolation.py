"""Extrapolation of a learning curve to more photos, with an interval.

The error of heads fitted to n photos is modeled as e(n) = e(m) (1 + r ((n / m)^-a - 1)), where m is the largest
measured number of photos and r, from 0 to 1, is the fraction of the errors that more photos would remove, so the curve
cannot fall. Errors have an irreducible part (wrong labels, two flowers in one photo, features that the backbone cannot
distinguish) and a part that is about inversely proportional to the square root of n, like the excess risk of penalized
regression. The exponent a is 1/2 for the curve, and varies from 0.3 to 0.8 for the interval. For flower photos, errors
of 21.1, 17.7, 15.5, 14.2 and 13.7 % with 100, 200, 400, 800 and 900 photos follow 9.9 % + 112 % / sqrt(n) to within 0.4
percentage points.

The 90 % interval covers the sampling of the evaluated photos, the uncertainty of r and a, and deviations from the
curve, such as the variation between heads fitted to different photos. Its measured coverage is in
`benchmarks/results/truth.md`.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]

FACTORS = (1.5, 2.0, 3.0, 4.0)
_DRAWS = 2000
_QUANTILES = (0.05, 0.95)

EXPONENT, _EXPONENT_RANGE = 0.5, (0.3, 0.8)
_PRIOR_OF_ONE, _PRIOR_PER_LOGARITHM, _PRIOR_SPREAD = 0.9, -0.09, 0.25
"""Prior mean of the fraction of errors that more photos would remove, 0.9 - 0.09 ln(n) for n photos (about 0.47 for 120
photos and 0.36 for 400), and its standard deviation, 0.25."""
_VARIATION = 0.17
"""Standard deviation of error rates from the modeled curve, relative to the error rate.

It covers the variation between heads fitted to different photos, and departures from the model. The likelihood of the
accuracies that were measured in 144 draws from four sets of photos is highest at 0.14, and the 95 % confidence interval
is 0.09 to 0.19 (`benchmarks/results/truth.md`). The value is in the upper part of this interval, so that 85 to 95 % of
the 90 % intervals contain the accuracy that users measure next, which has a sampling error of its own.
"""


@dataclass(frozen=True)
class Forecast:
    """Expected accuracy of a head that is fitted to a larger number of similar photos.

    Attributes:
        photos: number of photos.
        accuracy: expected accuracy, 0 to 1.
        interval: 90 % interval of the accuracy, 0 to 1.
    """

    photos: int
    accuracy: float
    interval: tuple[float, float]

    def to_json(self) -> dict[str, Any]:
        """Return the forecast as a JSON-compatible dictionary."""
        return {"photos": self.photos, "accuracy": self.accuracy, "interval90": list(self.interval)}


@dataclass(frozen=True)
class Measured:
    """Correct predictions of heads that were fitted to increasing numbers of photos.

    Attributes:
        sizes: mean numbers of photos that the heads were fitted to, ascending, [sizes].
        correct: fraction of correct predictions for each evaluated photo at each size, [evaluated, sizes].
    """

    sizes: Floats
    correct: Floats


def fit_removable(measured: Measured) -> tuple[float, float]:
    """Estimate the fraction of the errors that more photos would remove, and its standard deviation.

    Both follow from a Bayesian linear regression: the relative increase in error at a smaller number of photos is
    proportional to this fraction. The variance of the increase is that of a paired difference plus that of deviations
    from the curve.
    """
    last = measured.correct[:, -1]
    count = len(last)
    error = max(1 - float(last.mean()), 0.5 / count)
    smaller = measured.correct[:, :-1]
    increases = (last.mean() - smaller.mean(axis=0)) / error
    variances = ((smaller - last[:, None]) ** 2).mean(axis=0) / count / error**2 + _VARIATION**2
    steps = (measured.sizes[:-1] / measured.sizes[-1]) ** -EXPONENT - 1
    prior = _PRIOR_OF_ONE + _PRIOR_PER_LOGARITHM * math.log(measured.sizes[-1])
    precision = float((steps**2 / variances).sum()) + _PRIOR_SPREAD**-2
    mean = (float((steps * increases / variances).sum()) + max(0.1, prior) * _PRIOR_SPREAD**-2) / precision
    return float(min(1.0, max(0.0, mean))), precision**-0.5


def extrapolate(
    measured: Measured, removable: float, spread: float, photos: int, independent: float, rng: np.random.Generator
) -> tuple[Forecast, ...]:
    """Extrapolate the learning curve, and return the forecasts for larger numbers of photos.

    Args:
        removable, spread: fraction of the errors that more photos would remove, and its standard deviation.
        photos: current number of photos.
        independent: effective number of independent photos among the evaluated photos.
        rng: random generator for the interval.
    """
    error = 1 - float(measured.correct[:, -1].mean())
    growths = np.array(FACTORS) * photos / measured.sizes[-1]
    simulated = simulated_accuracies(error, removable, spread, growths, independent, rng)
    forecasts = []
    for factor, growth, drawn in zip(FACTORS, growths.tolist(), simulated, strict=True):
        accuracy = 1 - error * (1 + removable * (growth**-EXPONENT - 1))
        low, high = (float(value) for value in np.quantile(drawn, _QUANTILES))
        forecasts.append(Forecast(round(factor * photos), accuracy, (min(low, accuracy), max(high, accuracy))))
    return tuple(forecasts)


def simulated_accuracies(
    error: float, removable: float, spread: float, growths: Floats, independent: float, rng: np.random.Generator
) -> Floats:
    """Return random accuracies, distributed like those to expect of heads that are fitted to more photos.

    Args:
        error: measured error rate.
        removable, spread: fraction of the errors that more photos would remove, and its standard deviation.
        growths: numbers of photos, relative to the number at which `error` was measured.
        independent: effective number of independent photos among the evaluated photos.

    Returns:
        float64 [growths, simulations].
    """
    levels = rng.beta(independent * error + 0.5, independent * (1 - error) + 0.5, _DRAWS)
    levels *= np.exp(rng.normal(0, _VARIATION, _DRAWS))
    fractions = np.clip(rng.normal(removable, spread, _DRAWS), 0, 1)
    exponents = rng.uniform(*_EXPONENT_RANGE, _DRAWS)
    return np.clip(1 - levels * (1 + fractions * (growths[:, None] ** -exponents - 1)), 0, 1)
