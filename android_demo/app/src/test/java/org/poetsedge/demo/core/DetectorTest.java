package org.poetsedge.demo.core;

import static org.junit.Assert.assertArrayEquals;
import static org.junit.Assert.assertEquals;
import static org.junit.Assert.assertFalse;
import static org.junit.Assert.assertThrows;
import static org.junit.Assert.assertTrue;

import java.nio.ByteBuffer;
import java.util.Arrays;
import java.util.List;
import org.junit.Test;

/** The second output, with the distance from the training photos. */
public final class DetectorTest {
    private static final List<String> LABELS = Arrays.asList("a", "b");
    private static final InputRange RANGE = new InputRange(new float[] {127.5f}, new float[] {127.5f});
    private static final TensorSpec SCORES = new TensorSpec(TensorSpec.Type.FLOAT32, new int[] {1, 2}, 0, 0);
    private static final TensorSpec DISTANCE = new TensorSpec(TensorSpec.Type.FLOAT32, new int[] {1, 1}, 0, 0);

    @Test
    public void aPictureIsUnknownAboveADistanceOfOne() throws Exception {
        assertTrue(score(1.001f).isUnknown());
        assertFalse(score(1).isUnknown());
        assertFalse(score(0.2f).isUnknown());
        assertArrayEquals(new float[] {0.25f, 0.75f}, score(2).scores, 0);
        assertEquals(2, score(2).distance, 0);
        assertFalse(new Scored(new float[] {1}, Float.NaN).isUnknown());
    }

    @Test
    public void outputsAreFoundInTheOrderOfTheFile() throws Exception {
        FakeModel model = new FakeModel(DISTANCE, SCORES);
        model.values = new float[][] {{3}, {0.25f, 0.75f}};
        Scored scored = new Classifier(model, own(1, 0)).score(picture());
        assertEquals(3, scored.distance, 0);
        assertArrayEquals(new float[] {0.25f, 0.75f}, scored.scores, 0);
    }

    @Test
    public void aQuantizedDistanceHasItsOwnScale() throws Exception {
        FakeModel model = new FakeModel(SCORES, new TensorSpec(TensorSpec.Type.UINT8, new int[] {1, 1}, 1 / 64f, 0));
        model.values = new float[][] {{0, 1}, null};
        model.bytes = new byte[] {(byte) 65};
        assertEquals(65 / 64f, new Classifier(model, own(0, 1)).score(picture()).distance, 0);
    }

    @Test
    public void otherOutputsAreRefused() {
        FakeModel two = new FakeModel(SCORES, DISTANCE);
        assertRefused("2 outputs", two, own(0, -1));
        assertRefused("2 outputs", two, new ModelMetadata(RANGE, LABELS, null, 0, 1)); // of another program
        assertRefused("does not have", new FakeModel(SCORES), new ModelMetadata(RANGE, LABELS, null, 1, -1));
        assertRefused("does not have", two, own(0, 2));
        assertRefused("not one number", new FakeModel(SCORES, SCORES), own(0, 1));
    }

    private static Scored score(float distance) throws ModelException {
        FakeModel model = new FakeModel(SCORES, DISTANCE);
        model.values = new float[][] {{0.25f, 0.75f}, {distance}};
        Classifier classifier = new Classifier(model, own(0, 1));
        assertTrue(classifier.hasDetector());
        return classifier.score(picture());
    }

    private static ModelMetadata own(int scores, int distance) {
        return new ModelMetadata(RANGE, LABELS, "{}", scores, distance);
    }

    private static Picture picture() {
        return new Picture(1, 1, new int[] {0xff102030});
    }

    private static void assertRefused(String fragment, Model model, ModelMetadata metadata) {
        String message = assertThrows(ModelException.class, () -> new Classifier(model, metadata)).getMessage();
        assertTrue(message, message.contains(fragment));
    }

    /** Answers the same to everything. */
    private static final class FakeModel implements Model {
        private final TensorSpec[] outputs;
        float[][] values;
        byte[] bytes;

        FakeModel(TensorSpec... outputs) {
            this.outputs = outputs;
        }

        @Override
        public TensorSpec input() {
            return new TensorSpec(TensorSpec.Type.FLOAT32, new int[] {1, 4, 4, 3}, 0, 0);
        }

        @Override
        public TensorSpec[] outputs() {
            return outputs;
        }

        @Override
        public void run(ByteBuffer input, ByteBuffer[] filled) {
            for (int i = 0; i < filled.length; i++) {
                if (values[i] == null) {
                    filled[i].put(bytes);
                } else {
                    filled[i].asFloatBuffer().put(values[i]);
                }
            }
        }

        @Override
        public void close() {}
    }
}
