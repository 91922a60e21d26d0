package org.poetsedge.demo.core;

import java.io.Closeable;
import java.nio.ByteBuffer;

/** An interpreter with a model loaded: the only door between this package and TensorFlow Lite. */
public interface Model extends Closeable {
    TensorSpec input();

    /** One for each output, in the order of the file. */
    TensorSpec[] outputs();

    /**
     * Runs one inference. All buffers are direct, in native byte order, and hold whole tensors.
     *
     * @param outputs one for each output
     */
    void run(ByteBuffer input, ByteBuffer[] outputs);

    @Override
    void close();
}
