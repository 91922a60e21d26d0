package org.poetsedge.demo.core;

/** Steadies the scores of a live picture: each frame moves them a part of the way to its own. */
public final class Smoother {
    private final float weight;
    private float[] steady;

    /** @param weight weight of the newest frame, above 0 and at most 1 (no smoothing) */
    public Smoother(float weight) {
        if (!(weight > 0 && weight <= 1)) {
            throw new IllegalArgumentException("weight must be above 0 and at most 1, not " + weight);
        }
        this.weight = weight;
    }

    /** Adds the scores of a frame, and returns smoothed scores, whose sum is 1 if the sum of all scores is 1. */
    public float[] add(float[] scores) {
        if (steady == null || steady.length != scores.length) {
            steady = scores.clone();
        } else {
            for (int i = 0; i < scores.length; i++) {
                steady[i] += weight * (scores[i] - steady[i]);
            }
        }
        return steady.clone();
    }

    /** Discards previous frames, because the next frame shows a different scene. */
    public void reset() {
        steady = null;
    }
}
