"""Scan folders, archives and addresses for photos, read and hash the photos, and assign them to splits and folds."""
