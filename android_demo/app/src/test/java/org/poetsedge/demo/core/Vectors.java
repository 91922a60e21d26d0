package org.poetsedge.demo.core;

import java.io.DataInputStream;
import java.io.File;
import java.io.IOException;
import java.io.StringReader;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Properties;
import org.junit.Assume;

/** What Python made of real photos with one model, as poets_edge's write_vectors wrote it. */
final class Vectors {
    final File folder;
    final TensorSpec input;
    final TensorSpec output;
    final List<String> labels;

    private Vectors(File folder) throws IOException {
        Properties facts = new Properties();
        facts.load(new StringReader(text(new File(folder, "model.properties"))));
        this.folder = folder;
        input = spec(facts, "input");
        output = spec(facts, "output");
        labels = Arrays.asList(text(new File(folder, "labels.txt")).split("\n"));
    }

    /** One photo. */
    static final class Photo {
        final Picture picture;
        final byte[] inputTensor;
        final byte[] outputTensor;
        final float[] scores;
        final int[] best;
        final float distance; // NaN without a detector

        private Photo(DataInputStream in) throws IOException {
            int width = in.readInt();
            int height = in.readInt();
            picture = new Picture(width, height, argb(block(in)));
            inputTensor = block(in);
            outputTensor = block(in);
            ByteBuffer floats = ByteBuffer.wrap(block(in)).order(ByteOrder.LITTLE_ENDIAN);
            scores = new float[floats.capacity() / 4];
            floats.asFloatBuffer().get(scores);
            ByteBuffer indices = ByteBuffer.wrap(block(in)).order(ByteOrder.LITTLE_ENDIAN);
            best = new int[indices.capacity() / 4];
            indices.asIntBuffer().get(best);
            ByteBuffer far = ByteBuffer.wrap(block(in)).order(ByteOrder.LITTLE_ENDIAN);
            distance = far.hasRemaining() ? far.getFloat() : Float.NaN;
        }

        private static byte[] block(DataInputStream in) throws IOException {
            byte[] block = new byte[in.readInt()];
            in.readFully(block);
            return block;
        }
    }

    /** The folder named by the system property; the calling test skips where there is none. */
    static File root() {
        String root = System.getProperty("poetsedge.vectors");
        Assume.assumeTrue("no vectors", root != null && new File(root).isDirectory());
        return new File(root);
    }

    /** One for each model. */
    static List<Vectors> all() throws IOException {
        List<Vectors> all = new ArrayList<>();
        for (File folder : sorted(root())) {
            if (new File(folder, "model.properties").isFile()) {
                all.add(new Vectors(folder));
            }
        }
        return all;
    }

    List<File> photoFiles() {
        List<File> photos = new ArrayList<>();
        for (File file : sorted(folder)) {
            if (file.getName().endsWith(".bin")) {
                photos.add(file);
            }
        }
        return photos;
    }

    static Photo read(File file) throws IOException {
        try (DataInputStream in = new DataInputStream(Files.newInputStream(file.toPath()))) {
            return new Photo(in);
        }
    }

    /** The model file, in a direct buffer as the app maps it. */
    ByteBuffer model() throws IOException {
        return direct(Files.readAllBytes(new File(folder, "model.tflite").toPath()));
    }

    static ByteBuffer direct(byte[] bytes) {
        ByteBuffer buffer = ByteBuffer.allocateDirect(bytes.length).order(ByteOrder.nativeOrder());
        buffer.put(bytes).flip();
        return buffer;
    }

    static int[] argb(byte[] rgb) {
        int[] argb = new int[rgb.length / 3];
        for (int i = 0; i < argb.length; i++) {
            argb[i] = 0xff000000 | (rgb[3 * i] & 0xff) << 16 | (rgb[3 * i + 1] & 0xff) << 8 | rgb[3 * i + 2] & 0xff;
        }
        return argb;
    }

    private static File[] sorted(File folder) {
        File[] files = folder.listFiles();
        Arrays.sort(files);
        return files;
    }

    private static String text(File file) throws IOException {
        return new String(Files.readAllBytes(file.toPath()), StandardCharsets.UTF_8);
    }

    private static TensorSpec spec(Properties facts, String end) {
        String[] sizes = facts.getProperty(end + ".shape").split(",");
        int[] shape = new int[sizes.length];
        for (int i = 0; i < shape.length; i++) {
            shape[i] = Integer.parseInt(sizes[i]);
        }
        return new TensorSpec(
                TensorSpec.Type.valueOf(facts.getProperty(end + ".type")),
                shape,
                Float.parseFloat(facts.getProperty(end + ".scale")),
                Integer.parseInt(facts.getProperty(end + ".zeroPoint")));
    }
}
