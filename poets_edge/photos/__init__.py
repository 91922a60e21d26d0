"""Where photos come from: scanning a folder of classes, and dividing it into sets."""
