"""The agent and the modules that are sent to a device with it. They run there with the standard library only."""
