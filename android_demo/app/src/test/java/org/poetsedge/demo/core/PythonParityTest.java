package org.poetsedge.demo.core;

import static org.junit.Assert.assertArrayEquals;
import static org.junit.Assert.assertEquals;
import static org.junit.Assert.assertTrue;

import java.io.File;
import java.nio.ByteBuffer;
import java.util.ArrayList;
import java.util.HashSet;
import java.util.List;
import java.util.Set;
import org.junit.Test;

/** Real photos through real models: every step in Java gives what Python's gave. */
public final class PythonParityTest {
    private static final int PHOTOS = 50;

    @Test
    public void inputTensorsAreEqualToTheLastBit() throws Exception {
        for (Vectors vectors : Vectors.all()) {
            ModelMetadata metadata = ModelMetadata.read(vectors.model());
            InputEncoder encoder = new InputEncoder(vectors.input, InputRange.of(metadata, vectors.input), metadata.antialias);
            ByteBuffer tensor = encoder.newBuffer();
            for (File file : vectors.photoFiles()) {
                Vectors.Photo photo = Vectors.read(file);
                encoder.encode(photo.picture, tensor);
                assertArrayEquals(file.toString(), photo.inputTensor, bytes(tensor));
            }
        }
    }

    @Test
    public void scoresAreEqualToTheLastBitAndInTheSameOrder() throws Exception {
        for (Vectors vectors : Vectors.all()) {
            ModelMetadata metadata = ModelMetadata.read(vectors.model());
            OutputDecoder decoder = new OutputDecoder(vectors.output);
            for (File file : vectors.photoFiles()) {
                Vectors.Photo photo = Vectors.read(file);
                ByteBuffer raw = decoder.newBuffer();
                raw.put(photo.outputTensor);
                float[] scores = decoder.decode(raw);
                assertArrayEquals(file.toString(), photo.scores, scores, 0f);
                List<String> expected = new ArrayList<>();
                for (int index : photo.best) {
                    expected.add(vectors.labels.get(index));
                }
                assertEquals(file.toString(), expected, names(Answer.best(metadata.labels, scores, photo.best.length)));
            }
        }
    }

    @Test
    public void labelsComeOutOfTheModel() throws Exception {
        for (Vectors vectors : Vectors.all()) {
            assertEquals(vectors.labels, ModelMetadata.read(vectors.model()).labels);
        }
    }

    /** Guards the tests above: vectors of a model that always answers the same would prove nothing. */
    @Test
    public void vectorsCoverBothKindsOfModelAndVary() throws Exception {
        Set<TensorSpec.Type> types = new HashSet<>();
        for (Vectors vectors : Vectors.all()) {
            types.add(vectors.input.type);
            assertTrue(vectors.folder + " holds too few", vectors.photoFiles().size() >= PHOTOS);
            Set<Integer> answers = new HashSet<>();
            Set<Boolean> tall = new HashSet<>();
            for (File file : vectors.photoFiles()) {
                Vectors.Photo photo = Vectors.read(file);
                answers.add(photo.best[0]);
                tall.add(photo.picture.height > photo.picture.width);
            }
            assertEquals("answers of " + vectors.folder, vectors.labels.size(), answers.size());
            assertEquals("portraits and landscapes in " + vectors.folder, 2, tall.size());
        }
        assertTrue(types.toString(), types.contains(TensorSpec.Type.FLOAT32) && types.contains(TensorSpec.Type.UINT8));
    }

    private static List<String> names(List<Answer> answers) {
        List<String> names = new ArrayList<>();
        for (Answer answer : answers) {
            names.add(answer.label);
        }
        return names;
    }

    private static byte[] bytes(ByteBuffer buffer) {
        byte[] bytes = new byte[buffer.remaining()];
        buffer.duplicate().get(bytes);
        return bytes;
    }
}
