package org.poetsedge.demo.core;

import static org.junit.Assert.assertArrayEquals;
import static org.junit.Assert.assertEquals;
import static org.junit.Assert.assertThrows;
import static org.junit.Assert.assertTrue;

import java.util.Arrays;
import java.util.List;
import org.junit.Test;

/** How a model takes its pixels follows from what it states, and never from a guess. */
public final class InputRangeTest {
    private static final List<String> LABELS = Arrays.asList("a", "b", "c");
    private static final TensorSpec FLOAT = spec(TensorSpec.Type.FLOAT32, 0, 0);

    @Test
    public void metadataOfAFloatModelCount() throws Exception {
        assertRange(0, 255, InputRange.of(foreign(new InputRange(new float[] {0}, new float[] {255})), FLOAT));
    }

    @Test
    public void aModelOfPoetsEdgeStatesItsRange() throws Exception {
        InputRange stored = new InputRange(new float[] {128}, new float[] {128});
        TensorSpec bytes = spec(TensorSpec.Type.UINT8, 1 / 128f, 128);
        assertRange(128, 128, InputRange.of(new ModelMetadata(stored, LABELS, "{}", 0, -1), bytes));
        assertRange(127.5f, 127.5f, InputRange.of(new ModelMetadata(null, LABELS, "{}", 0, -1), FLOAT));
    }

    @Test
    public void aQuantizedInputOfAnotherProgramUsesAllItsBytes() throws Exception {
        InputRange misleading = new InputRange(new float[] {127.5f}, new float[] {127.5f});
        TensorSpec bytes = spec(TensorSpec.Type.UINT8, 1 / 255f, 0);
        TensorSpec signed = spec(TensorSpec.Type.INT8, 1 / 255f, -128);
        for (InputRange stored : new InputRange[] {null, misleading}) {
            assertRange(0, 255, InputRange.of(foreign(stored), bytes));
            assertRange(0, 255, InputRange.of(foreign(stored), signed));
            assertRange(0, 1, InputRange.of(foreign(stored), spec(TensorSpec.Type.UINT8, 0, 0)));
        }
    }

    @Test
    public void withoutEvidenceAModelIsRefused() {
        for (TensorSpec silent : new TensorSpec[] {FLOAT, spec(TensorSpec.Type.INT8, 0, 0)}) {
            ModelException refused =
                    assertThrows(ModelException.class, () -> InputRange.of(foreign(null), silent));
            String message = refused.getMessage();
            assertTrue(message, message.contains("poets-edge android MODEL --input-range"));
            assertEquals(message, -1, message.indexOf('\n'));
        }
    }

    private static ModelMetadata foreign(InputRange stored) {
        return new ModelMetadata(stored, LABELS, null, 0, -1);
    }

    private static TensorSpec spec(TensorSpec.Type type, float scale, int zeroPoint) {
        return new TensorSpec(type, new int[] {1, 8, 8, 3}, scale, zeroPoint);
    }

    private static void assertRange(float mean, float std, InputRange found) {
        assertArrayEquals(new float[] {mean}, found.mean, 0);
        assertArrayEquals(new float[] {std}, found.std, 1e-4f);
    }
}
