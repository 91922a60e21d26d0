"""Frames from cameras and video files, through picamera2 or OpenCV: the one place that may import these, lazily."""
