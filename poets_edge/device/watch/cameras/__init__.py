"""Read frames from cameras and video files with picamera2 or OpenCV; no other package imports these libraries."""
