"""Questions about a set of models: accuracy over latency, and the model to ship."""
