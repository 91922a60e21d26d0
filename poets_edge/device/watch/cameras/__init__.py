"""Reading of frames from cameras and video files with picamera2 or OpenCV, which no other package imports."""
