"""Read frames from cameras and video files with picamera2 or OpenCV, which only this package imports."""
