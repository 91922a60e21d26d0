package org.poetsedge.demo.core;

/** What a model makes of one picture. */
public final class Scored {
    private static final float FARTHEST = 1;

    /** One score per label. */
    public final float[] scores;

    /** Distance from the training photos; NaN if the model has no unknown-photo detector. */
    public final float distance;

    public Scored(float[] scores, float distance) {
        this.scores = scores;
        this.distance = distance;
    }

    /** Whether the picture is unlike the training photos; false if the model has no detector. */
    public boolean isUnknown() {
        return distance > FARTHEST;
    }
}
