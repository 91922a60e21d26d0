package org.poetsedge.demo.core;

import java.nio.ByteBuffer;
import java.nio.ByteOrder;

/**
 * Writes a picture into a model's input tensor: resize, normalize, quantize.
 *
 * <p>Each of the 256 values of a channel is computed once, with the order of float32 operations
 * in Python, so the tensors are equal to the last bit.
 */
public final class InputEncoder {
    private static final int LEVELS = 256;

    private final TensorSpec input;
    private final boolean antialias;
    private final float[][] reals = new float[3][LEVELS];
    private final byte[][] integers = new byte[3][LEVELS];

    /** @param input of shape [1, height, width, 3] */
    public InputEncoder(TensorSpec input, InputRange range) {
        this(input, range, true);
    }

    /**
     * @param input of shape [1, height, width, 3]
     * @param antialias whether pictures are resized with antialiasing, instead of as MediaPipe does
     */
    public InputEncoder(TensorSpec input, InputRange range, boolean antialias) {
        this.input = input;
        this.antialias = antialias;
        for (int channel = 0; channel < 3; channel++) {
            double channelMean = range.mean[range.mean.length == 1 ? 0 : channel];
            double channelStd = range.std[range.std.length == 1 ? 0 : channel];
            float factor = (float) (1.0 / channelStd);
            float offset = (float) (channelMean / channelStd);
            for (int level = 0; level < LEVELS; level++) {
                float real = level * factor - offset;
                reals[channel][level] = real;
                integers[channel][level] = quantize(real, level);
            }
        }
    }

    private byte quantize(float real, int level) {
        if (input.scale == 0) {
            return (byte) level; // An integer tensor without a scale accepts pixels unchanged.
        }
        float quantized = (float) Math.rint(real / input.scale) + input.zeroPoint;
        return (byte) Math.max(input.type.lowest, Math.min(input.type.highest, (int) quantized));
    }

    /** Returns a direct buffer with the size and byte order that {@link #encode} requires. */
    public ByteBuffer newBuffer() {
        return ByteBuffer.allocateDirect(input.byteSize()).order(ByteOrder.nativeOrder());
    }

    /** Fills `tensor` with an upright picture of any size; its position is at the start afterwards. */
    public void encode(Picture picture, ByteBuffer tensor) {
        Picture fitted = Resampler.resize(picture, input.dimension(2), input.dimension(1), antialias);
        tensor.rewind();
        for (int pixel : fitted.argb) {
            for (int channel = 0, shift = 16; channel < 3; channel++, shift -= 8) {
                int level = pixel >> shift & 0xff;
                if (input.type == TensorSpec.Type.FLOAT32) {
                    tensor.putFloat(reals[channel][level]);
                } else {
                    tensor.put(integers[channel][level]);
                }
            }
        }
        tensor.rewind();
    }
}
