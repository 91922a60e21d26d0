"""Fixtures for the benchmarks: shared photos and weights, and a trained model."""

from tests.conftest import flowers, keras_home, shared, trained

__all__ = ["flowers", "keras_home", "shared", "trained"]
