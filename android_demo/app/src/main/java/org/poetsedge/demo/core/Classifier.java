package org.poetsedge.demo.core;

import java.nio.ByteBuffer;
import java.util.List;

/** A picture in; a score a label, and a distance from the training photos, out. For one thread at a time. */
public final class Classifier {
    public final List<String> labels;
    private final Model model;
    private final InputEncoder encoder;
    private final OutputDecoder[] decoders;
    private final int scoreOutput;
    private final int distanceOutput; // -1 for none
    private final ByteBuffer input;
    private final ByteBuffer[] outputs;
    private long inferenceNanos;

    /** @throws ModelException the model is not an image classifier, or the number of labels is wrong */
    public Classifier(Model model, ModelMetadata metadata) throws ModelException {
        TensorSpec in = model.input();
        TensorSpec[] outs = model.outputs();
        if (in.rank() != 4 || in.dimension(0) != 1 || in.dimension(3) != 3) {
            throw new ModelException("The model takes " + in + ", not one color picture [1, height, width, 3].");
        }
        if (metadata.labels.isEmpty()) {
            throw new ModelException("The model carries no labels.");
        }
        if (outs.length != (metadata.distanceOutput < 0 ? 1 : 2)) {
            throw new ModelException("The model has " + outs.length + " outputs; an image classifier has one.");
        }
        if (metadata.scoreOutput >= outs.length || metadata.distanceOutput >= outs.length) {
            throw new ModelException("The model's metadata describe outputs that it does not have: export it again.");
        }
        if (metadata.distanceOutput >= 0 && outs[metadata.distanceOutput].elements() != 1) {
            throw new ModelException("The model's distance is not one number: export it again.");
        }
        TensorSpec out = outs[metadata.scoreOutput];
        if (metadata.labels.size() != out.elements()) {
            throw new ModelException(
                    "The model has " + out.elements() + " outputs but " + metadata.labels.size() + " labels.");
        }
        this.model = model;
        labels = metadata.labels;
        encoder = new InputEncoder(in, InputRange.of(metadata, in), metadata.antialias);
        scoreOutput = metadata.scoreOutput;
        distanceOutput = metadata.distanceOutput;
        input = encoder.newBuffer();
        decoders = new OutputDecoder[outs.length];
        outputs = new ByteBuffer[outs.length];
        for (int i = 0; i < outs.length; i++) {
            decoders[i] = new OutputDecoder(outs[i]);
            outputs[i] = decoders[i].newBuffer();
        }
    }

    /** Whether the model detects pictures unlike its training photos. */
    public boolean hasDetector() {
        return distanceOutput >= 0;
    }

    /** Returns the scores and the distance of an upright picture of any size. */
    public Scored score(Picture picture) {
        encoder.encode(picture, input);
        inferenceNanos = run();
        float distance = hasDetector() ? values(distanceOutput)[0] : Float.NaN;
        return new Scored(values(scoreOutput), distance);
    }

    private float[] values(int output) {
        return decoders[output].decode(outputs[output]);
    }

    /** @return duration of the inference in nanoseconds */
    private long run() {
        for (ByteBuffer output : outputs) {
            output.rewind();
        }
        long start = System.nanoTime();
        model.run(input, outputs);
        return System.nanoTime() - start;
    }

    /** Repeats the inference for the last picture. @return duration of the inference in milliseconds */
    double scoreAgain() {
        input.rewind();
        return run() / 1e6;
    }

    /** Duration of the last inference, without resizing and conversion. */
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
