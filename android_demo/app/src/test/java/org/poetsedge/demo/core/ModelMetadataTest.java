package org.poetsedge.demo.core;

import static org.junit.Assert.assertArrayEquals;
import static org.junit.Assert.assertEquals;
import static org.junit.Assert.assertThrows;
import static org.junit.Assert.assertTrue;

import java.io.ByteArrayOutputStream;
import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.util.Arrays;
import java.util.Random;
import java.util.zip.ZipEntry;
import java.util.zip.ZipOutputStream;
import org.junit.Test;

public final class ModelMetadataTest {
    @Test
    public void somethingElseIsRefused() {
        String message = refusal("a text file, not a model".getBytes(StandardCharsets.UTF_8));
        assertTrue(message, message.contains("not a TensorFlow Lite file"));
        assertTrue(refusal(new byte[0]).contains("not a TensorFlow Lite file"));
    }

    @Test
    public void normalizationIsRead() throws Exception {
        for (Vectors vectors : Vectors.all()) {
            ModelMetadata metadata = ModelMetadata.read(vectors.model());
            // With a uint8 input's scale of 1/128 and zero point of 128, that is a pixel as it is.
            float expected = vectors.input.type == TensorSpec.Type.UINT8 ? 128 : 127.5f;
            assertArrayEquals(new float[] {expected}, metadata.normalization.mean, 0);
            assertArrayEquals(new float[] {expected}, metadata.normalization.std, 0);
            assertTrue(metadata.isOwn);
        }
    }

    @Test
    public void aChangedByteIsNoticed() throws Exception {
        for (Vectors vectors : Vectors.all()) {
            byte[] model = bytes(vectors.model());
            model[model.length / 2] ^= 1;
            assertTrue(refusal(model).contains("damaged"));
        }
    }

    @Test
    public void aTruncatedModelHasNoLabels() throws Exception {
        for (Vectors vectors : Vectors.all()) {
            byte[] model = bytes(vectors.model());
            ModelMetadata metadata = ModelMetadata.read(Vectors.direct(Arrays.copyOf(model, model.length - 4000)));
            assertTrue(metadata.labels.isEmpty());
        }
    }

    /** Whatever is wrong with a file, the answer is a refusal or a reading, never another exception. */
    @Test
    public void damageNeverCrashes() throws Exception {
        Random random = new Random(7);
        for (Vectors vectors : Vectors.all()) {
            byte[] model = bytes(vectors.model());
            for (int round = 0; round < 300; round++) {
                byte[] damaged = Arrays.copyOf(model, round % 2 == 0 ? model.length : random.nextInt(model.length));
                for (int i = 0; i < 40; i++) {
                    boolean head = random.nextBoolean(); // where the tables are
                    int at = head ? 8 + random.nextInt(2000) : damaged.length - 1 - random.nextInt(3000);
                    if (at >= 8 && at < damaged.length) {
                        damaged[at] = (byte) random.nextInt();
                    }
                }
                try {
                    ModelMetadata.read(Vectors.direct(damaged));
                } catch (ModelException refused) {
                    assertTrue(refused.getMessage().endsWith("."));
                }
            }
        }
    }

    /** Offsets in the archive may count from its own start, as `cat model labels.zip` leaves them. */
    @Test
    public void archivesOfOtherWritersAreRead() throws Exception {
        ByteArrayOutputStream archive = new ByteArrayOutputStream();
        archive.write(new byte[1000]);
        int before = archive.size();
        ByteArrayOutputStream zipped = new ByteArrayOutputStream();
        try (ZipOutputStream zip = new ZipOutputStream(zipped)) {
            zip.putNextEntry(new ZipEntry("labels.txt"));
            zip.write("rose\n".getBytes(StandardCharsets.UTF_8));
        }
        archive.write(zipped.toByteArray());
        AppendedFiles files = AppendedFiles.of(Vectors.direct(archive.toByteArray()));
        assertEquals(before, files.start);
        assertArrayEquals("rose\n".getBytes(StandardCharsets.UTF_8), files.files.get("labels.txt"));
    }

    private static String refusal(byte[] file) {
        return assertThrows(ModelException.class, () -> ModelMetadata.read(Vectors.direct(file))).getMessage();
    }

    private static byte[] bytes(ByteBuffer buffer) {
        byte[] bytes = new byte[buffer.remaining()];
        buffer.get(bytes);
        return bytes;
    }
}
