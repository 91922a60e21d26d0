"""Frozen graphs: as data, as TensorFlow Lite models, and run by TensorFlow. TensorFlow is loaded only here."""
