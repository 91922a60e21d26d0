"""Training the last blocks of a backbone together with the head, from cached activations of what lies below them."""
