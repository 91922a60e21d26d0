package org.poetsedge.demo;

import java.io.FileNotFoundException;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import org.poetsedge.demo.core.Model;
import org.poetsedge.demo.core.ModelException;
import org.poetsedge.demo.core.ModelMetadata;
import org.poetsedge.demo.core.ModelOpener;
import org.poetsedge.demo.core.TensorSpec;

/** The app with a model file of the test's choosing and an interpreter that needs no native code. */
public final class FakeApplication extends DemoApplication {
    /** The model file; null stands for none. */
    static byte[] file;

    static float[] scores;
    static float distance;
    static boolean fails;
    static int opened;
    static int closed;
    static int lastThreads;
    static int inferenceMillis;

    static void reset(byte[] modelFile) {
        file = modelFile;
        scores = new float[] {0.1f, 0.6f, 0.02f, 0.25f, 0.03f};
        distance = hasDetector(modelFile) ? 0.5f : Float.NaN;
        fails = false;
        opened = 0;
        closed = 0;
        inferenceMillis = 0;
    }

    private static boolean hasDetector(byte[] modelFile) {
        try {
            return modelFile != null && ModelMetadata.read(direct(modelFile)).hasDetector();
        } catch (ModelException damaged) {
            return false;
        }
    }

    private static ByteBuffer direct(byte[] bytes) {
        ByteBuffer direct = ByteBuffer.allocateDirect(bytes.length).order(ByteOrder.nativeOrder());
        direct.put(bytes).flip();
        return direct;
    }

    @Override
    protected ByteBuffer modelFile() throws IOException {
        if (file == null) {
            throw new FileNotFoundException();
        }
        return direct(file);
    }

    @Override
    protected ModelOpener modelOpener() {
        return new ModelOpener() {
            @Override
            public Model open(ByteBuffer opening, int threads) {
                opened++;
                lastThreads = threads;
                return new FakeModel();
            }
        };
    }

    @Override
    protected String interpreterVersion() {
        return "2.16.1";
    }

    @Override
    protected int benchmarkRuns() {
        return 50;
    }

    /** Answers the same to everything. */
    private static final class FakeModel implements Model {
        @Override
        public TensorSpec input() {
            return new TensorSpec(TensorSpec.Type.UINT8, new int[] {1, 8, 8, 3}, 1 / 127.5f, 127);
        }

        @Override
        public TensorSpec[] outputs() {
            TensorSpec labels = new TensorSpec(TensorSpec.Type.FLOAT32, new int[] {1, scores.length}, 0, 0);
            TensorSpec one = new TensorSpec(TensorSpec.Type.FLOAT32, new int[] {1, 1}, 0, 0);
            return Float.isNaN(distance) ? new TensorSpec[] {labels} : new TensorSpec[] {labels, one};
        }

        @Override
        public void run(ByteBuffer input, ByteBuffer[] outputs) {
            if (fails) {
                throw new IllegalStateException("operator 7 failed");
            }
            if (inferenceMillis > 0) {
                pause(inferenceMillis);
            }
            outputs[0].asFloatBuffer().put(scores);
            if (outputs.length > 1) {
                outputs[1].asFloatBuffer().put(distance);
            }
        }

        private static void pause(int millis) {
            try {
                Thread.sleep(millis);
            } catch (InterruptedException ended) {
                Thread.currentThread().interrupt();
            }
        }

        @Override
        public void close() {
            closed++;
        }
    }
}
