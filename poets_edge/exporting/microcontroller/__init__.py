"""Export models for microcontrollers: firmware sources, with a model that is verified in TensorFlow Lite Micro."""
