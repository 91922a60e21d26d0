"""Other devices over ssh: installing the program there, measuring, deploying a model."""
