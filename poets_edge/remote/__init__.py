"""Other devices, over the system's own ssh: measuring on them, and setting them up. Plain install, no TensorFlow."""
