"""How fast a model is on this device, and several devices side by side. Runs on a Raspberry Pi."""
