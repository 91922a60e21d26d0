"""Train the final blocks of a backbone together with the head, from cached activations of the layers below."""
