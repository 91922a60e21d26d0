"""Frames from cameras and video files, through picamera2 or OpenCV: the one room that may import these, lazily."""
