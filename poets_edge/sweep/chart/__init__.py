"""Chart of a grid as an image: accuracy against latency and against the number of multiply-accumulates."""
