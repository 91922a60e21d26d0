"""Frames of cameras and video files, with picamera2 or OpenCV, which only modules in this package import."""
