package org.poetsedge.demo.core;

import java.nio.ByteBuffer;
import java.nio.ByteOrder;

/** Reads scores out of a model's output tensor, de-quantized by the tensor's own scale and zero point. */
public final class OutputDecoder {
    private final TensorSpec output;

    public OutputDecoder(TensorSpec output) {
        this.output = output;
    }

    /** Returns a direct buffer with the size and byte order that {@link #decode} requires. */
    public ByteBuffer newBuffer() {
        return ByteBuffer.allocateDirect(output.byteSize()).order(ByteOrder.nativeOrder());
    }

    /** Returns one score per element of the tensor. */
    public float[] decode(ByteBuffer tensor) {
        tensor.rewind();
        float[] scores = new float[output.elements()];
        for (int i = 0; i < scores.length; i++) {
            scores[i] = real(tensor);
        }
        return scores;
    }

    private float real(ByteBuffer tensor) {
        if (output.type == TensorSpec.Type.FLOAT32) {
            return tensor.getFloat();
        }
        int stored = tensor.get();
        if (output.type == TensorSpec.Type.UINT8) {
            stored &= 0xff;
        }
        return output.scale == 0 ? stored : (stored - output.zeroPoint) * output.scale;
    }
}
