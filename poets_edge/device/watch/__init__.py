"""Labelling of the frames of a camera, a video, a folder or a stream as they arrive."""
