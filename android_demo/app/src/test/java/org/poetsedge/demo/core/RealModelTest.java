package org.poetsedge.demo.core;

import static org.junit.Assert.assertArrayEquals;
import static org.junit.Assert.assertEquals;
import static org.junit.Assert.assertTrue;

import java.io.File;
import org.junit.Assume;
import org.junit.Before;
import org.junit.Test;

/**
 * The app's whole way from a picture to its answers, through a real interpreter.
 *
 * <p>It is another build of TensorFlow Lite than Python's, with other arithmetic inside (no XNNPACK), so scores
 * differ: of float models in their last digits, of quantized models by a few of their 256 steps.
 */
public final class RealModelTest {
    private static final float FLOAT_TOLERANCE = 1e-4f;
    private static final float QUANTIZED_TOLERANCE = 40 / 256f;

    @Before
    public void needsDesktopLinux() {
        String machine = System.getProperty("os.name") + " " + System.getProperty("os.arch");
        Assume.assumeTrue(machine, machine.equals("Linux amd64"));
    }

    @Test
    public void answersAsPythonDoes() throws Exception {
        for (Vectors vectors : Vectors.all()) {
            Classifier classifier = new Classifier(new JvmModel(vectors.model()), ModelMetadata.read(vectors.model()));
            boolean isFloat = vectors.folder.getName().startsWith("float"); // else weights of 8 bits
            float tolerance = isFloat ? FLOAT_TOLERANCE : QUANTIZED_TOLERANCE;
            int agreed = 0;
            int sameVerdict = 0;
            int photos = 0;
            for (File file : vectors.photoFiles()) {
                Vectors.Photo photo = Vectors.read(file);
                Scored scored = classifier.score(photo.picture);
                float[] scores = scored.scores;
                sameVerdict += scored.isUnknown() == new Scored(scores, photo.distance).isUnknown() ? 1 : 0;
                assertEquals(classifier.hasDetector(), !Float.isNaN(photo.distance));
                assertEquals(file.toString(), photo.distance, scored.distance, isFloat ? FLOAT_TOLERANCE : 0.2f);
                assertArrayEquals(file.toString(), photo.scores, scores, tolerance);
                String answer = Answer.best(classifier.labels, scores, 1).get(0).label;
                agreed += answer.equals(vectors.labels.get(photo.best[0])) ? 1 : 0;
                photos++;
            }
            assertTrue(
                    sameVerdict + " verdicts of " + photos + " in " + vectors.folder,
                    sameVerdict >= (isFloat ? 1 : 0.95) * photos);
            assertTrue(agreed + " of " + photos + " in " + vectors.folder, agreed >= (isFloat ? 1 : 0.9) * photos);
            assertTrue(classifier.inferenceMillis() > 0);
            classifier.close();
        }
    }

    @Test
    public void theInterpreterDescribesTheTensorsAsPythonsDoes() throws Exception {
        for (Vectors vectors : Vectors.all()) {
            try (Model model = new JvmModel(vectors.model())) {
                assertSame(vectors.input, model.input());
                assertSame(vectors.output, model.outputs()[0]);
            }
        }
    }

    private static void assertSame(TensorSpec expected, TensorSpec found) {
        assertEquals(expected.toString(), found.toString());
        assertEquals(expected.scale, found.scale, 0);
        assertEquals(expected.zeroPoint, found.zeroPoint);
    }
}
