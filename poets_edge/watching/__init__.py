"""Frames of cameras, videos, folders and streams, labelled as they come. Runs on a Raspberry Pi."""
