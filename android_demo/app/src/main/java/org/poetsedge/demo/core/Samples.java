package org.poetsedge.demo.core;

import java.util.Arrays;

/** What samples say, in their own unit, as poets-edge's Python says it (bench/samples.py). */
public final class Samples {
    private static final int WINDOW = 10;
    private static final double STEADY = 0.03;

    private final double[] ordered;

    /** @param samples at least one */
    public Samples(double[] samples) {
        ordered = samples.clone();
        Arrays.sort(ordered);
    }

    public int count() {
        return ordered.length;
    }

    public double median() {
        return percentile(50);
    }

    /** Percentile by linear interpolation (Hyndman and Fan's type 7, numpy's default). */
    public double percentile(double percent) {
        double position = (ordered.length - 1) * percent / 100;
        int low = (int) Math.floor(position);
        int high = Math.min(low + 1, ordered.length - 1);
        return ordered[low] + (ordered[high] - ordered[low]) * (position - low);
    }

    /** Interquartile range divided by the median. */
    public double spread() {
        return median() == 0 ? 0 : (percentile(75) - percentile(25)) / median();
    }

    /** Whether the medians of the last two windows of a warm-up agree, so that the times have settled. */
    static boolean settled(double[] times, int count) {
        if (count < 2 * WINDOW || count % WINDOW != 0) {
            return false;
        }
        double earlier = new Samples(Arrays.copyOfRange(times, count - 2 * WINDOW, count - WINDOW)).median();
        double last = new Samples(Arrays.copyOfRange(times, count - WINDOW, count)).median();
        return Math.abs(last - earlier) <= STEADY * earlier;
    }
}
