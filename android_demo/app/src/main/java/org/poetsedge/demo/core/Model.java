package org.poetsedge.demo.core;

import java.io.Closeable;
import java.nio.ByteBuffer;

/** An interpreter with a model loaded: the only door between this package and TensorFlow Lite. */
public interface Model extends Closeable {
    TensorSpec input();

    TensorSpec output();

    /** Runs one inference. Both buffers are direct, in native byte order, and hold whole tensors. */
    void run(ByteBuffer input, ByteBuffer output);

    @Override
    void close();
}
