"""HTML pages, charts, thumbnails and TensorBoard event files."""
