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
    /** Put here by `poets-edge android MODEL`; stored uncompressed, so that it can be mapped. */
    static final String MODEL_ASSET = "model.tflite";

    /** The whole model file, memory-mapped. @throws java.io.FileNotFoundException there is none */
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

    /** Of TensorFlow Lite. */
    protected String interpreterVersion() {
        return TfliteModel.version();
    }

    /** How many inferences of one number of threads are timed. */
    protected int benchmarkRuns() {
        return Benchmark.RUNS;
    }
}
