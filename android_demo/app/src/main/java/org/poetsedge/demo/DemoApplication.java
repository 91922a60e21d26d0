package org.poetsedge.demo;

import android.app.Application;
import android.content.res.AssetFileDescriptor;
import java.io.FileInputStream;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.channels.FileChannel;
import org.poetsedge.demo.core.Benchmark;
import org.poetsedge.demo.core.ModelOpener;

/** Says where the model comes from and what runs it; tests replace either. */
public class DemoApplication extends Application {
    /** Model that `poets-edge android MODEL` has written; stored uncompressed, so that it can be memory-mapped. */
    static final String MODEL_ASSET = "model.tflite";

    /** Returns the memory-mapped model file. @throws java.io.FileNotFoundException the app has no model */
    protected ByteBuffer modelFile() throws IOException {
        try (AssetFileDescriptor asset = getAssets().openFd(MODEL_ASSET);
                FileInputStream file = new FileInputStream(asset.getFileDescriptor())) {
            return file.getChannel()
                    .map(FileChannel.MapMode.READ_ONLY, asset.getStartOffset(), asset.getDeclaredLength());
        }
    }

    protected ModelOpener modelOpener() {
        return TfliteModel.OPENER;
    }

    /** Version of TensorFlow Lite. */
    protected String interpreterVersion() {
        return TfliteModel.version();
    }

    /** Number of timed inferences per number of threads. */
    protected int benchmarkRuns() {
        return Benchmark.RUNS;
    }
}
