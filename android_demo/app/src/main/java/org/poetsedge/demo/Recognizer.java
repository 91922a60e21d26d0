package org.poetsedge.demo;

import android.os.Handler;
import android.os.HandlerThread;
import android.os.Looper;
import java.io.FileNotFoundException;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.util.List;
import java.util.concurrent.atomic.AtomicBoolean;
import org.poetsedge.demo.core.Answer;
import org.poetsedge.demo.core.Benchmark;
import org.poetsedge.demo.core.Classifier;
import org.poetsedge.demo.core.Model;
import org.poetsedge.demo.core.ModelException;
import org.poetsedge.demo.core.ModelMetadata;
import org.poetsedge.demo.core.Picture;
import org.poetsedge.demo.core.Scored;
import org.poetsedge.demo.core.Smoother;

/** Owns the classifier and the one thread it runs on; answers come back on the main thread. */
final class Recognizer {
    /** Number of labels that are shown. */
    static final int TOP = 3;

    private static final float NEWEST_FRAME = 0.3f;

    /** Callbacks on the main thread, which are not called after {@link #close}. */
    interface Listener {
        void onModelReady(Classifier classifier);

        void onModelMissing();

        void onModelRefused(String reason);

        void onAnswers(Answers answers);

        void onMeasuring(int done, int total);

        /** @param json as `poets-edge benchmark` writes it; null where it was stopped */
        void onMeasured(String json);
    }

    /** Result for one picture. */
    static final class Answers {
        final List<Answer> best;
        /** Whether the picture is unlike the training photos. */
        final boolean unknown;
        final boolean live;
        final double inferenceMillis;
        final double totalMillis;

        Answers(List<Answer> best, boolean unknown, boolean live, double inferenceMillis, double totalMillis) {
            this.best = best;
            this.unknown = unknown;
            this.live = live;
            this.inferenceMillis = inferenceMillis;
            this.totalMillis = totalMillis;
        }
    }

    private final DemoApplication app;
    private final Listener listener;
    private final Handler main = new Handler(Looper.getMainLooper());
    private final HandlerThread thread = new HandlerThread("recognizer");
    private final Handler worker;
    private final AtomicBoolean busy = new AtomicBoolean(true); // until a model is open
    private volatile boolean closed;
    private volatile boolean stopped;
    // Used only by the worker thread:
    private final Smoother smoother = new Smoother(NEWEST_FRAME);
    private final Smoother distances = new Smoother(NEWEST_FRAME);
    private Classifier classifier;

    Recognizer(DemoApplication app, Listener listener) {
        this.app = app;
        this.listener = listener;
        thread.start();
        worker = new Handler(thread.getLooper());
    }

    /** Loads the model, and closes a model that is open. */
    void open(final int threads) {
        busy.set(true);
        worker.post(
                new Runnable() {
                    @Override
                    public void run() {
                        closeClassifier();
                        load(threads);
                    }
                });
    }

    /** Whether a live frame would be labeled immediately; if not, it should be dropped. */
    boolean isFree() {
        return !busy.get();
    }

    /** Labels a camera frame. @param startedNanos when work on it began, by System.nanoTime() */
    void labelFrame(final Picture picture, final long startedNanos) {
        if (!busy.compareAndSet(false, true)) {
            return;
        }
        worker.post(
                new Runnable() {
                    @Override
                    public void run() {
                        label(picture, true, startedNanos);
                        busy.set(classifier == null);
                    }
                });
    }

    /** Labels a chosen picture. Call it on the thread of {@link #post}. */
    void labelPicture(Picture picture, long startedNanos) {
        label(picture, false, startedNanos);
    }

    /** Runs a task before the next picture is labeled. */
    void post(Runnable work) {
        worker.post(work);
    }

    /** Discards earlier frames, because the scene has changed. */
    void resetSmoothing() {
        worker.post(
                new Runnable() {
                    @Override
                    public void run() {
                        smoother.reset();
                        distances.reset();
                    }
                });
    }

    /**
     * Measures the latency of the model while no other work is done, and opens the model again.
     *
     * @param threads for labeling, afterwards
     */
    void measure(final int threads) {
        busy.set(true);
        stopped = false;
        worker.post(
                new Runnable() {
                    @Override
                    public void run() {
                        closeClassifier();
                        String json = null;
                        try {
                            json = measured();
                        } catch (IOException | ModelException | IllegalArgumentException | IllegalStateException error) {
                            tellRefused("The model cannot be measured: " + error.getMessage());
                            return;
                        }
                        tellMeasured(json);
                        load(threads);
                    }
                });
    }

    /** Ends a measurement without a result. */
    void stopMeasuring() {
        stopped = true;
    }

    private String measured() throws IOException, ModelException {
        ByteBuffer file = app.modelFile();
        final BenchmarkFile result = new BenchmarkFile(file, Device.facts(app));
        new Benchmark(app.modelOpener(), file, app.benchmarkRuns(), Benchmark.SECONDS)
                .measure(
                        Benchmark.threads(Runtime.getRuntime().availableProcessors()),
                        new Benchmark.Progress() {
                            @Override
                            public void done(Benchmark.Round round, int done, int total) {
                                result.add(round, Device.state(app));
                                tellMeasuring(done, total);
                            }

                            @Override
                            public boolean stopped() {
                                return stopped || closed;
                            }
                        });
        return stopped || closed ? null : result.json();
    }

    /** Ends the thread once its current work is done. */
    void close() {
        closed = true;
        worker.post(
                new Runnable() {
                    @Override
                    public void run() {
                        closeClassifier();
                        thread.quit();
                    }
                });
    }

    private void load(int threads) {
        try {
            ByteBuffer file = app.modelFile();
            ModelMetadata metadata = ModelMetadata.read(file);
            Model model = app.modelOpener().open(file, threads);
            try {
                classifier = new Classifier(model, metadata);
            } finally {
                if (classifier == null) {
                    model.close();
                }
            }
            tellReady(classifier);
            busy.set(false);
        } catch (FileNotFoundException missing) {
            tellRefused(null);
        } catch (IOException error) {
            tellRefused("The model cannot be read: " + error.getMessage());
        } catch (ModelException error) {
            tellRefused(error.getMessage());
        }
    }

    private void label(Picture picture, boolean live, long startedNanos) {
        if (classifier == null) {
            return;
        }
        Scored scored;
        try {
            scored = classifier.score(picture);
        } catch (IllegalArgumentException | IllegalStateException error) {
            // a problem that loading the model did not reveal
            closeClassifier();
            tellRefused("The model fails: " + error.getMessage());
            return;
        }
        if (live) {
            float[] distance = distances.add(new float[] {scored.distance});
            scored = new Scored(smoother.add(scored.scores), distance[0]);
        }
        List<Answer> best = Answer.best(classifier.labels, scored.scores, TOP);
        double total = (System.nanoTime() - startedNanos) / 1e6;
        tellAnswers(new Answers(best, scored.isUnknown(), live, classifier.inferenceMillis(), total));
    }

    private void closeClassifier() {
        if (classifier != null) {
            classifier.close();
            classifier = null;
        }
    }

    private void tellReady(final Classifier ready) {
        tell(
                new Runnable() {
                    @Override
                    public void run() {
                        listener.onModelReady(ready);
                    }
                });
    }

    private void tellRefused(final String reason) {
        tell(
                new Runnable() {
                    @Override
                    public void run() {
                        if (reason == null) {
                            listener.onModelMissing();
                        } else {
                            listener.onModelRefused(reason);
                        }
                    }
                });
    }

    private void tellAnswers(final Answers answers) {
        tell(
                new Runnable() {
                    @Override
                    public void run() {
                        listener.onAnswers(answers);
                    }
                });
    }

    private void tellMeasuring(final int done, final int total) {
        tell(
                new Runnable() {
                    @Override
                    public void run() {
                        listener.onMeasuring(done, total);
                    }
                });
    }

    private void tellMeasured(final String json) {
        tell(
                new Runnable() {
                    @Override
                    public void run() {
                        listener.onMeasured(json);
                    }
                });
    }

    private void tell(final Runnable message) {
        main.post(
                new Runnable() {
                    @Override
                    public void run() {
                        if (!closed) {
                            message.run();
                        }
                    }
                });
    }
}
