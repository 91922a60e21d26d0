"""Labels of a camera's, a video's or a folder's frames as they arrive."""
