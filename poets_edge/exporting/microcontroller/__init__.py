"""Export models for microcontrollers: firmware sources, and a model that is tested in TensorFlow Lite Micro."""
