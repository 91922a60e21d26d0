"""Label frames from a camera, a video, a folder or a stream as they arrive."""
