package org.poetsedge.demo.core;

import java.nio.ByteBuffer;

/** Loads a model into an interpreter. The app uses TensorFlow Lite; tests use a fake. */
public interface ModelOpener {
    /**
     * @param file content of a `.tflite`, in a direct buffer that must exist as long as the model
     * @param threads CPU threads for one inference
     * @throws ModelException the interpreter cannot run it
     */
    Model open(ByteBuffer file, int threads) throws ModelException;
}
