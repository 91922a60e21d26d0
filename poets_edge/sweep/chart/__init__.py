"""Chart of a grid as a picture: accuracy against latency and against multiply-accumulates."""
