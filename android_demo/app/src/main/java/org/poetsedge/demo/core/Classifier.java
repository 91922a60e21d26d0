package org.poetsedge.demo.core;

import java.nio.ByteBuffer;
import java.util.List;

/** A picture in, a score a label out. For one thread at a time. */
public final class Classifier {
    public final List<String> labels;
    private final Model model;
    private final InputEncoder encoder;
    private final OutputDecoder decoder;
    private final ByteBuffer input;
    private final ByteBuffer output;
    private long inferenceNanos;

    /** @throws ModelException the model is no image classifier, or its labels do not fit it */
    public Classifier(Model model, ModelMetadata metadata) throws ModelException {
        TensorSpec in = model.input();
        TensorSpec out = model.output();
        if (in.rank() != 4 || in.dimension(0) != 1 || in.dimension(3) != 3) {
            throw new ModelException("The model takes " + in + ", not one colour picture [1, height, width, 3].");
        }
        if (metadata.labels.isEmpty()) {
            throw new ModelException("The model carries no labels.");
        }
        if (metadata.labels.size() != out.elements()) {
            throw new ModelException(
                    "The model has " + out.elements() + " outputs but " + metadata.labels.size() + " labels.");
        }
        this.model = model;
        labels = metadata.labels;
        encoder = new InputEncoder(in, InputRange.of(metadata, in));
        decoder = new OutputDecoder(out);
        input = encoder.newBuffer();
        output = decoder.newBuffer();
    }

    /** One score a label, for an upright picture of any size. */
    public float[] scores(Picture picture) {
        encoder.encode(picture, input);
        output.rewind();
        long start = System.nanoTime();
        model.run(input, output);
        inferenceNanos = System.nanoTime() - start;
        return decoder.decode(output);
    }

    /** Runs the last picture once more. @return how long the inference took, in milliseconds */
    double scoreAgain() {
        input.rewind();
        output.rewind();
        long start = System.nanoTime();
        model.run(input, output);
        return (System.nanoTime() - start) / 1e6;
    }

    /** How long the last inference took, without resizing and conversion. */
    public double inferenceMillis() {
        return inferenceNanos / 1e6;
    }

    /** The model's input width and height in pixels. */
    public int inputWidth() {
        return model.input().dimension(2);
    }

    public int inputHeight() {
        return model.input().dimension(1);
    }

    public void close() {
        model.close();
    }
}
