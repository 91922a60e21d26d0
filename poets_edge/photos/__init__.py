"""Photos: decoding, scanning of folders, archives and addresses, hashing, splits and folds."""
