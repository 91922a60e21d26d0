"""Export of models for microcontrollers: firmware sources, verified in TensorFlow Lite Micro."""
