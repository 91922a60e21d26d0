"""Photos: decoding, folders, archives, addresses, hashing, splits and folds."""
