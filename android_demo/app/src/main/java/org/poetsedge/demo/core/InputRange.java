package org.poetsedge.demo.core;

/**
 * Normalization of a model's input: (pixel - mean) / std.
 *
 * <p>It must be specified by the model, as in Python's tflite/input_range.py; a model that does not specify it is refused,
 * because it cannot be guessed.
 */
public final class InputRange {
    private static final InputRange BACKBONE = new InputRange(new float[] {127.5f}, new float[] {127.5f}); // -1 to 1
    private static final InputRange RAW = new InputRange(new float[] {0}, new float[] {1});

    /** One number for all colors, or one per color (red, green, blue), in units of pixel values. */
    public final float[] mean;

    public final float[] std;

    InputRange(float[] mean, float[] std) {
        this.mean = mean;
        this.std = std;
    }

    /** @throws ModelException the model does not specify its normalization */
    public static InputRange of(ModelMetadata metadata, TensorSpec input) throws ModelException {
        InputRange stored = metadata.normalization;
        if (metadata.isOwn) {
            return stored == null ? BACKBONE : stored;
        }
        boolean isFloat = input.type == TensorSpec.Type.FLOAT32;
        if (!isFloat && input.scale != 0) {
            // All other readers ignore the metadata in this case, and use the whole range of the bytes.
            return new InputRange(
                    new float[] {input.zeroPoint - input.type.lowest}, new float[] {1 / input.scale});
        }
        if (input.type == TensorSpec.Type.UINT8) {
            return RAW;
        }
        if (stored != null && isFloat) {
            return stored;
        }
        throw new ModelException(
                "The model does not say how it takes pixels. Write it with its input range:"
                        + " poets-edge android MODEL --input-range 0:1, -1:1 or 0:255");
    }
}
