"""Tests of the inference of input ranges from the first layers, and of parsing input ranges given by users."""

from __future__ import annotations

import numpy as np
import pytest

from poets_edge.errors import UsageError
from poets_edge.photos.normalization import BACKBONE, RAW, UNIT, Normalization, parse_input_range
from poets_edge.tflite.first_layers import (
    BlueFirstError,
    check_channel_order,
    evidence_of_arithmetic,
    evidence_of_quantization,
    evidence_of_weights,
)

IMAGENET_MEAN, IMAGENET_STD = np.array([0.485, 0.456, 0.406]), np.array([0.229, 0.224, 0.225])


@pytest.mark.parametrize(
    ("scale", "offset", "expected"),
    [
        (1 / 255, 0, RAW),
        (1 / 127.5, -1, RAW),
        (1 / (255 * IMAGENET_STD), -IMAGENET_MEAN / IMAGENET_STD, RAW),
        (1, [-103.939, -116.779, -123.68], RAW),
        (2, -1, UNIT),
        (1 / IMAGENET_STD, -IMAGENET_MEAN / IMAGENET_STD, UNIT),
        (1, -0.5, UNIT),
        (255, 0, UNIT),
        (127.5, 127.5, BACKBONE),
        (0.5, 0.5, BACKBONE),
    ],
)
def test_common_rescalings_of_the_input_are_recognized_from_arithmetic(
    scale: object, offset: object, expected: Normalization
) -> None:
    found = evidence_of_arithmetic(np.asarray(scale, float), np.asarray(offset, float))
    assert found is not None and found.normalization == expected
    assert found.reason.startswith("its first layers compute (input - ")


@pytest.mark.parametrize(("scale", "offset"), [(1, 0), (0, 0), (-1, 0), (1e-5, 0), (2, 0), (1, 0.5)])
def test_ambiguous_arithmetic_does_not_determine_the_input_range(scale: float, offset: float) -> None:
    assert evidence_of_arithmetic(scale, offset) is None


def test_standardization_of_bright_photos_does_not_determine_the_input_range() -> None:
    """Photos of hands on white have a mean of about 219 and a standard deviation of about 42, in pixel values."""
    mean, std = 219 / 127.5 - 1, 42 / 127.5
    assert evidence_of_arithmetic(1 / std, -mean / std) is None


@pytest.mark.parametrize(
    ("lowest", "highest", "expected"),
    [
        (-0.9961, 1.0039, BACKBONE),
        (0, 0.98, UNIT),
        (0, 255, RAW),
        (3, 250, RAW),
        (-2.127, 2.631, Normalization(tuple(255 * IMAGENET_MEAN), tuple(255 * IMAGENET_STD))),
    ],
)
def test_common_ranges_of_quantized_inputs_are_recognized(
    lowest: float, highest: float, expected: Normalization
) -> None:
    found = evidence_of_quantization(lowest, highest)
    assert found is not None and found.normalization.is_close(expected, 1e-3)
    assert evidence_of_quantization(lowest - 0.2 * (highest - lowest), highest) is None


@pytest.mark.parametrize("scale", [1, 1 / 57, 4.4])
def test_channel_order_check_rejects_means_in_the_order_blue_green_red(scale: float) -> None:
    means = np.array([123.68, 116.78, 103.94]) / (255 if scale == 4.4 else 1)
    check_channel_order(scale, -means * scale)
    check_channel_order(scale, -means.mean() * scale)
    with pytest.raises(BlueFirstError, match="Reverse the channels"):
        check_channel_order(scale, -means[::-1] * scale)


def test_rescaling_that_is_folded_into_the_weights_is_recognized() -> None:
    rng = np.random.default_rng(0)
    weights, bias = rng.normal(0, 0.4, (8, 3, 3, 3)), rng.normal(0, 7, 8)
    assert evidence_of_weights(weights, bias) is None
    found = evidence_of_weights(weights / 127.5, bias)
    assert found is not None and found.normalization == RAW
    assert evidence_of_weights(weights / 127.5, np.zeros(8)) is None, "no bias to compare with"
    for each, expected in ((0.0006, True), (0.001, False)):  # 27 weights add up to 1.6 % and 2.7 % of the bias
        assert (evidence_of_weights(np.full((8, 3, 3, 3), each), np.ones(8)) is not None) is expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [("-1:1", BACKBONE), ("0:1", UNIT), ("0:255", RAW), ("-1:0.9921875", Normalization((128.0,), (128.0,)))],
)
def test_input_range_round_trips_through_text(text: str, expected: Normalization) -> None:
    assert parse_input_range(text) == expected
    assert parse_input_range(expected.text).is_close(expected, 1e-9)


def test_input_range_may_be_given_for_each_channel() -> None:
    mean, std = tuple(255 * IMAGENET_MEAN), tuple(255 * IMAGENET_STD)
    assert parse_input_range(Normalization(mean, std).text).is_close(Normalization(mean, std), 1e-9)


@pytest.mark.parametrize("text", ["", "1", "1:0", "0:0", "a:b", "0:nan", "0:inf", "0:1:2", "0:1,0:1", "0:1e-9"])
def test_invalid_text_is_rejected_as_an_input_range(text: str) -> None:
    with pytest.raises(UsageError, match="`input_range`"):
        parse_input_range(text)


@pytest.mark.parametrize(
    ("means", "factors", "expected"),
    [
        ((0.4, 0.45, 0.3), (3.4, 3.5, 4.5), UNIT),
        ((0.4, 0.45, 0.3), (3.2, 3.5, 4.5), None),
        ((0.5, 0.5, 0.5), (2.0, 2.0, 2.0), UNIT),
        ((0.5, 0.5, 0.506), (2.0, 2.0, 2.0), None),
        ((0.5, 0.5, 0.504), (2.0, 2.0, 2.0), UNIT),
        ((0.19, 0.45, 0.3), (4.0, 4.0, 4.0), None),
        ((0.4, 0.45, 0.81), (4.0, 4.0, 4.0), None),
        ((0.4, 0.45, 0.79), (4.0, 4.0, 12.1), None),
        ((0.4, 0.45, 0.79), (4.0, 4.0, 11.9), UNIT),
        ((124.0, 116.0, 104.0), (0.0175, 0.0171, 0.0174), RAW),
        ((124.0, 116.0, 181.0), (0.0175, 0.0171, 0.0174), None),
        ((124.0, 116.0, -1.1), (0.0175, 0.0171, 0.0174), None),
        ((124.0, 116.0, -0.9), (0.0031, 0.0171, 0.049), RAW),
        ((124.0, 116.0, 104.0), (0.0029, 0.0171, 0.0174), None),
        ((124.0, 116.0, 104.0), (0.0175, 0.0171, 0.051), None),
        ((139.0, 116.0, 91.0), (1.0, 1.0, 1.0), RAW),
        ((141.0, 116.0, 91.0), (1.0, 1.0, 1.0), None),
        ((139.0, 116.0, 89.0), (1.0, 1.0, 1.0), None),
        ((139.0, 116.0, 91.0), (1.0, 1.02, 1.0), None),
        ((139.0, 116.0, 91.0), (1.0, 0.98, 1.0), None),
        ((0.0, 0.0, 0.0), (255.0, 255.0, 201.0), UNIT),
        ((0.0, 0.0, 0.02), (255.0, 255.0, 255.0), None),
        ((0.0, 0.0, 0.0), (255.0, 255.0, 301.0), None),
        ((-1.0, -1.0, -1.0), (127.5, 101.0, 149.0), BACKBONE),
        ((-1.0, -1.0, -1.0), (127.5, 99.0, 149.0), None),
        ((-1.0, -1.0, -1.0), (0.5, 0.46, 0.54), BACKBONE),
        ((-1.0, -1.0, -0.89), (0.5, 0.5, 0.5), None),
        ((-1.0, -1.0, -1.0), (0.5, 0.5, -0.5), None),
    ],
)
def test_inferred_input_range_must_be_plausible_for_all_channels(
    means: tuple[float, ...], factors: tuple[float, ...], expected: Normalization | None
) -> None:
    found = evidence_of_arithmetic(factors, -np.array(means) * factors)
    assert (found and found.normalization) == expected


def test_reason_for_an_input_range_states_the_arithmetic_of_the_first_layers() -> None:
    found = evidence_of_arithmetic(
        [0.0175, 0.0171, 0.0175], -np.array([124.0, 116.0, 124.0]) * [0.0175, 0.0171, 0.0175]
    )
    assert found is not None
    assert found.reason == "its first layers compute (input - 124, 116) * 0.0175, 0.0171"


def test_quantized_range_may_differ_from_0_to_255_by_3_percent_at_either_end() -> None:
    """The range from 0 to 255 may differ by 7.65 at either end."""
    for low, high, fits in ((7, 255, True), (8, 255, False), (0, 248, True), (0, 247, False), (-7, 262, True)):
        found = evidence_of_quantization(low, high)
        assert (found is not None) == fits
        if found is not None:
            assert found.normalization == RAW
            assert found.reason == f"it quantizes its input as values from {low} to {high}"


def test_input_range_from_weights_requires_weights_that_are_small_relative_to_the_biases() -> None:
    """The sums are 0.02, 0.06 and 9 (median 0.06), and the root mean square of the biases 3 and -5 and 1 is 3.416."""
    weights = np.zeros((3, 2, 2, 1))
    weights[0, 0, 0], weights[0, 1, 1], weights[1, 0, 1], weights[2, 1, 0] = -0.01, 0.01, -0.06, 9.0
    found = evidence_of_weights(weights, np.array([3.0, -5.0, 1.0]))
    assert found is not None and found.normalization == RAW
    assert found.reason.endswith("by only 2 % of their bias")
    assert evidence_of_weights(weights, np.array([3.0, -4.0, 1.0]) * 0.98) is None  # 0.0204
    assert evidence_of_weights(weights * 1e-4, np.array([1e-3, -9e-4, 1e-3])) is None
    assert evidence_of_weights(weights * 1e-4, np.array([1e-3, -1.1e-3, 1e-3])) is not None
    assert evidence_of_weights(np.zeros((3, 2)), np.ones(3)) is None


@pytest.mark.parametrize(
    ("means", "refused"),
    [
        ((104.0, 117.0, 124.0), True),
        ((104.0, 117.0, 106.0), False),
        ((104.0, 117.0, 107.5), True),
        ((104.0, 117.0, 133.5), True),
        ((104.0, 117.0, 135.0), False),
        ((124.0, 117.0, 104.0), False),
        ((89.0, 100.0, 110.0), False),
        ((120.0, 125.0, 141.0), False),
        ((0.406, 0.456, 0.485), True),
        ((0.485, 0.456, 0.406), False),
    ],
)
def test_channel_order_check_compares_the_first_and_the_third_mean(means: tuple[float, ...], refused: bool) -> None:
    for factor in (1.0, 0.0175):
        if refused:
            with pytest.raises(
                BlueFirstError, match=f"subtract {means[0]:g}, {means[1]:g}, {means[2]:g}, the means of"
            ):
                check_channel_order(factor, -np.array(means) * factor)
        else:
            check_channel_order(factor, -np.array(means) * factor)
            assert check_channel_order(-factor, np.array(means) * factor) is None  # type: ignore[func-returns-value]
