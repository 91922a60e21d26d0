package org.poetsedge.demo.core;

import java.nio.ByteBuffer;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Collections;
import java.util.List;
import java.util.Random;

/**
 * Measurement of the latency of a model, as in `poets-edge benchmark`.
 *
 * <p>Each number of threads runs in several rounds, each with a fresh interpreter, in random order within a round, after
 * a warm-up; all samples are kept. The only difference is that an app cannot start new processes.
 */
public final class Benchmark {
    /** Limits for all rounds of one number of threads; the measurement ends at the first one that is reached. */
    public static final int RUNS = 1000;

    public static final double SECONDS = 30;

    public static final int ROUNDS = 5;
    private static final double LONGEST_WARM_UP_SECONDS = 5;

    /** Times of one new interpreter, in milliseconds. */
    public static final class Round {
        public final int threads;
        public final double load;
        public final double first;
        public final int warmUpRuns;
        public final boolean steady;
        public final double[] samples;

        Round(int threads, double load, double first, int warmUpRuns, boolean steady, double[] samples) {
            this.threads = threads;
            this.load = load;
            this.first = first;
            this.warmUpRuns = warmUpRuns;
            this.steady = steady;
            this.samples = samples;
        }
    }

    /** Listener that is called after each round. */
    public interface Progress {
        void done(Round round, int done, int total);

        /** Asked between inferences; true ends it all. */
        boolean stopped();
    }

    private final ModelOpener opener;
    private final ByteBuffer file;
    private final ModelMetadata metadata;
    private final int runs;
    private final double seconds;

    /**
     * @param runs number of inferences per number of threads, unless the time limit is reached first
     * @param seconds time limit
     */
    public Benchmark(ModelOpener opener, ByteBuffer file, int runs, double seconds) throws ModelException {
        this.opener = opener;
        this.file = file;
        this.metadata = ModelMetadata.read(file);
        this.runs = runs;
        this.seconds = seconds;
    }

    /** Returns 1, 2 and 4, up to the number of processors. */
    public static List<Integer> threads(int processors) {
        List<Integer> counts = new ArrayList<>();
        for (int count = 1; count <= Math.min(4, processors); count *= 2) {
            counts.add(count);
        }
        return counts;
    }

    /**
     * Measures until all rounds are done or the measurement is stopped.
     *
     * @throws ModelException the model cannot be run
     */
    public List<Round> measure(List<Integer> threads, Progress progress) throws ModelException {
        List<Round> found = new ArrayList<>();
        int total = threads.size() * ROUNDS;
        for (int turn = 0; turn < ROUNDS; turn++) {
            List<Integer> order = new ArrayList<>(threads);
            Collections.shuffle(order, new Random(turn));
            for (int count : order) {
                Round round = measure(count, progress);
                if (progress.stopped()) {
                    return found;
                }
                found.add(round);
                progress.done(round, found.size(), total);
            }
        }
        return found;
    }

    private Round measure(int threads, Progress progress) throws ModelException {
        long start = System.nanoTime();
        Classifier classifier = new Classifier(opener.open(file.duplicate(), threads), metadata);
        try {
            double load = since(start);
            Picture picture = picture(classifier.inputWidth(), classifier.inputHeight());
            start = System.nanoTime();
            classifier.score(picture);
            double first = since(start);
            double[] times = new double[64];
            int warm = 0;
            boolean steady = false;
            for (start = System.nanoTime();
                    !steady && since(start) < LONGEST_WARM_UP_SECONDS * 1000 && !progress.stopped();
                    steady = Samples.settled(times, warm)) {
                times = warm == times.length ? Arrays.copyOf(times, 2 * warm) : times;
                times[warm++] = classifier.scoreAgain();
            }
            int wanted = (runs + ROUNDS - 1) / ROUNDS;
            double[] samples = new double[wanted];
            int count = 0;
            for (start = System.nanoTime();
                    count < wanted && (count == 0 || since(start) < seconds * 1000 / ROUNDS) && !progress.stopped(); ) {
                samples[count++] = classifier.scoreAgain();
            }
            return new Round(threads, load, first, warm, steady, Arrays.copyOf(samples, count));
        } finally {
            classifier.close();
        }
    }

    /** Returns noise from a fixed seed; the duration of an inference does not depend on the picture. */
    private static Picture picture(int width, int height) {
        int[] argb = new int[width * height];
        Random random = new Random(0);
        for (int i = 0; i < argb.length; i++) {
            argb[i] = random.nextInt();
        }
        return new Picture(width, height, argb);
    }

    private static double since(long start) {
        return (System.nanoTime() - start) / 1e6;
    }
}
