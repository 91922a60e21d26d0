package org.poetsedge.demo.core;

import static org.junit.Assert.assertArrayEquals;
import static org.junit.Assert.assertEquals;

import java.nio.ByteBuffer;
import org.junit.Test;

/** InputEncoder and OutputDecoder on numbers that can be checked by hand. */
public final class TensorTest {
    private static final Picture PIXEL = new Picture(1, 1, new int[] {0xff00ff80}); // red 0, green 255, blue 128

    @Test
    public void floatInput() {
        ByteBuffer tensor = encode(TensorSpec.Type.FLOAT32, 0, 0, 127.5f);
        assertEquals(-1f, tensor.getFloat(0), 0);
        assertEquals(1f, tensor.getFloat(4), 0);
        assertEquals(128 * (float) (1 / 127.5) - 1, tensor.getFloat(8), 0);
    }

    @Test
    public void quantizedInputUsesTheModelsOwnScale() {
        // The real values are -1, 1 and 0.0039.
        assertBytes(encode(TensorSpec.Type.UINT8, 1 / 128f, 128, 127.5f), 0, 255, 129); // 256 is clipped
        assertBytes(encode(TensorSpec.Type.UINT8, 1 / 128f, 127, 127.5f), 0, 255, 128); // -1 is clipped
        assertBytes(encode(TensorSpec.Type.UINT8, 1 / 64f, 128, 127.5f), 64, 192, 128);
        assertBytes(encode(TensorSpec.Type.INT8, 1 / 128f, 0, 127.5f), -128, 127, 1);
        assertBytes(encode(TensorSpec.Type.UINT8, 0, 0, 127.5f), 0, 255, 128);
    }

    @Test
    public void halvesGoToTheEvenNeighbor() {
        // With mean 0 and std 1 the real value is the pixel; a scale of 2 makes 255 and 129 end in a half.
        TensorSpec spec = new TensorSpec(TensorSpec.Type.UINT8, new int[] {1, 1, 1, 3}, 2, 0);
        InputEncoder encoder = new InputEncoder(spec, new InputRange(new float[] {0}, new float[] {1}));
        ByteBuffer tensor = encoder.newBuffer();
        encoder.encode(new Picture(1, 1, new int[] {0xff0181ff}), tensor);
        assertBytes(tensor, 0, 64, 128); // 0.5, 64.5, 127.5
    }

    @Test
    public void eachChannelHasItsOwnNormalization() {
        TensorSpec spec = new TensorSpec(TensorSpec.Type.FLOAT32, new int[] {1, 1, 1, 3}, 0, 0);
        InputRange range = new InputRange(new float[] {0, 5, 28}, new float[] {1, 50, 100});
        InputEncoder encoder = new InputEncoder(spec, range);
        ByteBuffer tensor = encoder.newBuffer();
        encoder.encode(PIXEL, tensor);
        assertEquals(0f, tensor.getFloat(0), 0);
        assertEquals(5f, tensor.getFloat(4), 1e-6f);
        assertEquals(1f, tensor.getFloat(8), 1e-6f);
    }

    @Test
    public void outputs() {
        assertArrayEquals(new float[] {0f, 0.5f, 255 / 256f}, decode(TensorSpec.Type.UINT8, 1 / 256f, 0), 0);
        assertArrayEquals(new float[] {0.5f, 0f, 127 / 256f}, decode(TensorSpec.Type.INT8, 1 / 256f, -128), 0);
        assertArrayEquals(new float[] {0f, 128f, 255f}, decode(TensorSpec.Type.UINT8, 0, 0), 0);
    }

    private static ByteBuffer encode(TensorSpec.Type type, float scale, int zeroPoint, float meanAndStd) {
        TensorSpec spec = new TensorSpec(type, new int[] {1, 1, 1, 3}, scale, zeroPoint);
        float[] numbers = {meanAndStd};
        InputEncoder encoder = new InputEncoder(spec, new InputRange(numbers, numbers));
        ByteBuffer tensor = encoder.newBuffer();
        encoder.encode(PIXEL, tensor);
        return tensor;
    }

    private static float[] decode(TensorSpec.Type type, float scale, int zeroPoint) {
        OutputDecoder decoder = new OutputDecoder(new TensorSpec(type, new int[] {1, 3}, scale, zeroPoint));
        ByteBuffer raw = decoder.newBuffer();
        raw.put(new byte[] {0, (byte) 128, (byte) 255});
        return decoder.decode(raw);
    }

    private static void assertBytes(ByteBuffer tensor, int... expected) {
        for (int i = 0; i < expected.length; i++) {
            assertEquals("element " + i, (byte) expected[i], tensor.get(i));
        }
    }
}
