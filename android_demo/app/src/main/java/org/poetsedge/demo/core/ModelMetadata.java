package org.poetsedge.demo.core;

import java.io.IOException;
import java.nio.BufferUnderflowException;
import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.security.MessageDigest;
import java.security.NoSuchAlgorithmException;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Collections;
import java.util.List;

/**
 * Metadata of a `.tflite`: labels and normalization, from its standard TFLite metadata.
 *
 * <p>The metadata are a FlatBuffer in one of the model's buffers, which names the labels file in the
 * zip archive appended to the model. Field numbers are those in TensorFlow's schema.fbs and metadata_schema.fbs.
 */
public final class ModelMetadata {
    private static final String NAME = "TFLITE_METADATA";
    private static final String RESIZE = "POETS_EDGE_RESIZE"; // its models resize as in MediaPipe
    private static final String INTERPOLATION = "bilinear without antialiasing";
    private static final String FACTS = "poets_edge.json";
    private static final int NORMALIZATION = 1; // ProcessUnitOptions
    private static final int AXIS_LABELS = 2; // AssociatedFileType
    private static final String DISTANCE = "distance"; // name of the output with the distance from the training photos

    /** Normalization of the input; null if the model does not specify it. */
    final InputRange normalization;

    public final List<String> labels;

    /** Facts that poets-edge stored when it exported the model, as JSON; "{}" for models from other programs. */
    public final String facts;

    /** Whether poets-edge exported the model. */
    final boolean isOwn;

    /** Index of the output that the labels belong to. */
    final int scoreOutput;

    /** Index of the output with the distance from the training photos; -1 if the model has no detector. */
    final int distanceOutput;

    /** Whether pictures are resized with antialiasing, instead of as MediaPipe does. */
    final boolean antialias;

    ModelMetadata(InputRange normalization, List<String> labels, String facts, int scoreOutput, int distanceOutput) {
        this(normalization, labels, facts, scoreOutput, distanceOutput, true);
    }

    ModelMetadata(
            InputRange normalization,
            List<String> labels,
            String facts,
            int scoreOutput,
            int distanceOutput,
            boolean antialias) {
        this.antialias = antialias;
        this.scoreOutput = scoreOutput;
        this.distanceOutput = facts == null ? -1 : distanceOutput; // else the name may mean anything
        this.facts = facts == null ? "{}" : facts;
        isOwn = facts != null;
        this.normalization = normalization;
        this.labels = Collections.unmodifiableList(labels);
    }

    /** Whether the model detects pictures unlike its training photos. */
    public boolean hasDetector() {
        return distanceOutput >= 0;
    }

    /**
     * Reads a `.tflite` file.
     *
     * @throws ModelException the file is not a model, or is damaged
     */
    public static ModelMetadata read(ByteBuffer file) throws ModelException {
        if (file.limit() < 8 || !isText(file, 4, "TFL3")) {
            throw new ModelException("The model is not a TensorFlow Lite file.");
        }
        try {
            AppendedFiles appended = AppendedFiles.of(file);
            checkUndamaged(file, appended);
            return describe(FlatTable.root(file), appended);
        } catch (IOException | IndexOutOfBoundsException | IllegalArgumentException | BufferUnderflowException error) {
            throw damaged(error);
        }
    }

    private static ModelMetadata describe(FlatTable model, AppendedFiles appended) throws ModelException {
        InputRange range = null;
        List<String> labels = new ArrayList<>();
        int scoreOutput = 0;
        int distanceOutput = -1;
        ByteBuffer metadata = find(model, NAME);
        FlatTable[] subgraphs = metadata == null ? new FlatTable[0] : FlatTable.root(metadata).tables(3);
        ByteBuffer resize = find(model, RESIZE);
        boolean antialias = resize == null || !StandardCharsets.UTF_8.decode(resize).toString().equals(INTERPOLATION);
        for (FlatTable subgraph : subgraphs) {
            FlatTable normalization = normalization(subgraph.tables(2));
            if (normalization != null && normalization.has(0)) {
                range = sound(normalization.floats(0), normalization.floats(1));
            }
            FlatTable[] outputs = subgraph.tables(3);
            for (int i = outputs.length - 1; i >= 0; i--) {
                byte[] text = appended.files.get(labelFile(outputs[i]));
                if (text != null) {
                    labels = lines(new String(text, StandardCharsets.UTF_8));
                    scoreOutput = i;
                } else if (outputs[i].text(0).equals(DISTANCE)) {
                    distanceOutput = i;
                }
            }
        }
        byte[] facts = appended.files.get(FACTS);
        String text = facts == null ? null : new String(facts, StandardCharsets.UTF_8);
        return new ModelMetadata(range, labels, text, scoreOutput, distanceOutput, antialias);
    }

    private static ByteBuffer find(FlatTable model, String name) {
        FlatTable[] buffers = model.tables(4);
        for (FlatTable entry : model.tables(6)) {
            if (entry.text(0).equals(name)) {
                return buffers[entry.integer(1)].bytes(0);
            }
        }
        return null;
    }

    private static FlatTable normalization(FlatTable[] inputs) {
        for (FlatTable input : inputs) {
            for (FlatTable unit : input.tables(4)) {
                if (unit.unsignedByte(0) == NORMALIZATION) {
                    return unit.table(1);
                }
            }
        }
        return null;
    }

    private static String labelFile(FlatTable output) {
        for (FlatTable file : output.tables(6)) {
            if (file.unsignedByte(2) == AXIS_LABELS) {
                return file.text(0);
            }
        }
        return null;
    }

    private static InputRange sound(float[] mean, float[] std) throws ModelException {
        boolean sound = mean.length == std.length && (mean.length == 1 || mean.length == 3);
        for (int i = 0; sound && i < mean.length; i++) {
            sound = Math.abs(mean[i]) <= Float.MAX_VALUE && std[i] > 0 && std[i] <= Float.MAX_VALUE; // never for NaN
        }
        if (!sound) {
            String values = "mean " + Arrays.toString(mean) + ", deviation " + Arrays.toString(std);
            throw new ModelException("The model's normalization (" + values + ") is invalid: export it again.");
        }
        return new InputRange(mean, std);
    }

    private static List<String> lines(String text) {
        String plain = (text.startsWith("\ufeff") ? text.substring(1) : text).replace("\r\n", "\n");
        // A limit of 0 drops the empty lines at the end; an empty text has no label at all.
        return plain.isEmpty() ? new ArrayList<String>() : Arrays.asList(plain.split("\n", 0));
    }

    private static void checkUndamaged(ByteBuffer file, AppendedFiles appended) throws ModelException {
        byte[] facts = appended.files.get(FACTS);
        String expected = facts == null ? null : checksum(new String(facts, StandardCharsets.UTF_8));
        if (expected != null && !expected.equals(sha256(file, appended.start))) {
            throw damaged(null);
        }
    }

    /** Returns the value of "sha256" in the outermost object of a JSON text; null if it is missing. */
    private static String checksum(String json) {
        int depth = 0;
        boolean wanted = false;
        for (int i = 0; i < json.length(); i++) {
            char c = json.charAt(i);
            if (c == '"') {
                int end = endOfString(json, i + 1);
                String text = json.substring(i + 1, end);
                if (wanted) {
                    return text;
                }
                wanted = depth == 1 && text.equals("sha256");
                i = end;
            } else if (c == '{' || c == '[') {
                depth++;
            } else if (c == '}' || c == ']') {
                depth--;
            } else if (c == ',') {
                wanted = false;
            }
        }
        return null;
    }

    private static int endOfString(String json, int start) {
        int end = start;
        while (end < json.length() && json.charAt(end) != '"') {
            end += json.charAt(end) == '\\' ? 2 : 1;
        }
        return Math.min(end, json.length());
    }

    /** Returns the checksum of a file, hexadecimal. */
    public static String sha256(ByteBuffer file) {
        return sha256(file, file.limit());
    }

    private static String sha256(ByteBuffer file, int length) {
        try {
            MessageDigest digest = MessageDigest.getInstance("SHA-256");
            ByteBuffer model = file.duplicate();
            model.rewind();
            model.limit(length);
            digest.update(model);
            StringBuilder hex = new StringBuilder();
            for (byte part : digest.digest()) {
                hex.append(String.format("%02x", part));
            }
            return hex.toString();
        } catch (NoSuchAlgorithmException impossible) {
            throw new IllegalStateException(impossible); // Java and Android both guarantee SHA-256.
        }
    }

    private static boolean isText(ByteBuffer file, int at, String text) {
        for (int i = 0; i < text.length(); i++) {
            if (file.get(at + i) != text.charAt(i)) {
                return false;
            }
        }
        return true;
    }

    private static ModelException damaged(Throwable cause) {
        return new ModelException("The model is damaged: export it and copy it again.", cause);
    }
}
