"""Run models on a device: classify photos, measure accuracies, compare two models, and label live frames."""
