"""Image with the results of `grid`: accuracy against latency and against the number of multiply-accumulates."""
