package org.poetsedge.demo.core;

import java.io.Closeable;
import java.nio.ByteBuffer;

/** An interpreter with a model loaded: the only door between this package and TensorFlow Lite. */
public interface Model extends Closeable {
    TensorSpec input();

    /** Descriptions of the outputs, in the order of the file. */
    TensorSpec[] outputs();

    /**
     * Runs one inference. All buffers must be direct, in native byte order, and as large as the tensors.
     *
     * @param outputs one buffer per output
     */
    void run(ByteBuffer input, ByteBuffer[] outputs);

    @Override
    void close();
}
