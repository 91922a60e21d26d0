package org.poetsedge.demo.core;

import java.nio.ByteBuffer;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Collections;
import java.util.List;
import java.util.Random;

/**
 * How fast the model is here, measured as `poets-edge benchmark` measures.
 *
 * <p>Each number of threads runs in several rounds, each with a fresh interpreter, in random order within a round, after
 * a warm-up; every sample is kept. An app cannot start processes as a desktop does: that is the one difference.
 */
public final class Benchmark {
    /** Of all rounds of one number of threads together: whichever is reached first. */
    public static final int RUNS = 1000;

    public static final double SECONDS = 30;

    public static final int ROUNDS = 5;
    private static final double LONGEST_WARM_UP_SECONDS = 5;

    /** One fresh interpreter's times, in milliseconds. */
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

    /** Hears of each round as it is done. */
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
     * @param runs of one number of threads, at least, unless they take longer than...
     * @param seconds ...so many
     */
    public Benchmark(ModelOpener opener, ByteBuffer file, int runs, double seconds) throws ModelException {
        this.opener = opener;
        this.file = file;
        this.metadata = ModelMetadata.read(file);
        this.runs = runs;
        this.seconds = seconds;
    }

    /** 1, 2 and 4, as far as there are processors. */
    public static List<Integer> threads(int processors) {
        List<Integer> counts = new ArrayList<>();
        for (int count = 1; count <= Math.min(4, processors); count *= 2) {
            counts.add(count);
        }
        return counts;
    }

    /**
     * Measures until all rounds are done, or it is told to stop.
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

    /** Noise, the same each time: an inference takes as long for any picture. */
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
