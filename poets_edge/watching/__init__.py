"""Frames of cameras, videos, folders and streams, labelled as they arrive. Runs on a Raspberry Pi."""
