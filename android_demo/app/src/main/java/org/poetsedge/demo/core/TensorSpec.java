package org.poetsedge.demo.core;

import java.util.Arrays;

/** One end of a model: its shape, its type, and what its integers mean. */
public final class TensorSpec {
    /** Supported types of inputs and outputs. */
    public enum Type {
        FLOAT32(4, 0, 0),
        UINT8(1, 0, 255),
        INT8(1, -128, 127);

        final int bytes;
        final int lowest;
        final int highest;

        Type(int bytes, int lowest, int highest) {
            this.bytes = bytes;
            this.lowest = lowest;
            this.highest = highest;
        }
    }

    public final Type type;
    /** Real value = (stored value - zeroPoint) * scale; the scale is 0 if the tensor is not quantized. */
    public final float scale;
    public final int zeroPoint;
    private final int[] shape;

    public TensorSpec(Type type, int[] shape, float scale, int zeroPoint) {
        this.type = type;
        this.shape = shape.clone();
        this.scale = scale;
        this.zeroPoint = zeroPoint;
    }

    public int rank() {
        return shape.length;
    }

    public int dimension(int axis) {
        return shape[axis];
    }

    /** Number of values in the tensor. */
    public int elements() {
        int count = 1;
        for (int size : shape) {
            count *= size;
        }
        return count;
    }

    public int byteSize() {
        return elements() * type.bytes;
    }

    @Override
    public String toString() {
        return type + " " + Arrays.toString(shape);
    }
}
