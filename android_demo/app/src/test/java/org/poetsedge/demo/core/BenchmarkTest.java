package org.poetsedge.demo.core;

import static org.junit.Assert.assertEquals;
import static org.junit.Assert.assertTrue;

import java.nio.ByteBuffer;
import java.util.Arrays;
import java.util.List;
import java.util.Set;
import java.util.TreeSet;
import org.junit.Assume;
import org.junit.Test;

/** The measurement, with a real interpreter, and the figures that follow from samples. */
public final class BenchmarkTest {
    @Test
    public void percentilesAreNumpys() {
        Samples samples = new Samples(new double[] {4, 1, 3, 2, 10});
        assertEquals(3, samples.median(), 0);
        assertEquals(7.6, samples.percentile(90), 1e-9); // numpy.percentile([4, 1, 3, 2, 10], 90)
        assertEquals(10, samples.percentile(100), 0);
        assertEquals((4 - 2) / 3.0, samples.spread(), 1e-9);
    }

    @Test
    public void aWarmUpIsOverOnceItsTimesHaveSettled() {
        double[] falling = new double[20];
        double[] level = new double[20];
        for (int i = 0; i < 20; i++) {
            falling[i] = 100 - i;
            level[i] = 100 + i % 2;
        }
        assertEquals(false, Samples.settled(falling, 20));
        assertEquals(true, Samples.settled(level, 20));
        assertEquals(false, Samples.settled(level, 19));
    }

    @Test
    public void eachRoundHasAFreshInterpreter() throws Exception {
        Assume.assumeTrue(System.getProperty("os.name").equals("Linux"));
        for (Vectors vectors : Vectors.all()) {
            final int[] opened = {0};
            ModelOpener opener =
                    new ModelOpener() {
                        @Override
                        public Model open(ByteBuffer file, int threads) throws ModelException {
                            opened[0]++;
                            return new JvmModel(file);
                        }
                    };
            List<Benchmark.Round> rounds =
                    new Benchmark(opener, vectors.model(), 20, 60).measure(Arrays.asList(1, 2), new Quiet(null));
            assertEquals(10, rounds.size());
            assertEquals(10, opened[0]);
            Set<Integer> threads = new TreeSet<>();
            for (Benchmark.Round round : rounds) {
                threads.add(round.threads);
                assertEquals(4, round.samples.length);
                assertTrue(round.load > 0 && round.first > 0 && round.warmUpRuns >= 2);
                assertTrue(new Samples(round.samples).median() > 0);
            }
            assertEquals(new TreeSet<>(Arrays.asList(1, 2)), threads);
            return; // one model is enough
        }
    }

    @Test
    public void itCanBeStopped() throws Exception {
        for (Vectors vectors : Vectors.all()) {
            ModelOpener opener =
                    new ModelOpener() {
                        @Override
                        public Model open(ByteBuffer file, int threads) throws ModelException {
                            return new JvmModel(file);
                        }
                    };
            Quiet progress = new Quiet(2);
            assertEquals(2, new Benchmark(opener, vectors.model(), 20, 60).measure(Arrays.asList(1), progress).size());
            return;
        }
    }

    @Test
    public void threadsAreThosePythonMeasures() {
        assertEquals(Arrays.asList(1), Benchmark.threads(1));
        assertEquals(Arrays.asList(1, 2), Benchmark.threads(3));
        assertEquals(Arrays.asList(1, 2, 4), Benchmark.threads(8));
    }

    /** Stops after some rounds, if told to. */
    private static final class Quiet implements Benchmark.Progress {
        private final Integer stopAfter;
        private int seen;

        Quiet(Integer stopAfter) {
            this.stopAfter = stopAfter;
        }

        @Override
        public void done(Benchmark.Round round, int done, int total) {
            seen = done;
        }

        @Override
        public boolean stopped() {
            return stopAfter != null && seen >= stopAfter;
        }
    }
}
