package org.poetsedge.demo.core;

/** What a model makes of one picture. */
public final class Scored {
    private static final float FARTHEST = 1;

    /** One a label. */
    public final float[] scores;

    /** From the training photos; NaN where the model has no detector of pictures unlike them. */
    public final float distance;

    public Scored(float[] scores, float distance) {
        this.scores = scores;
        this.distance = distance;
    }

    /** Whether the picture is unlike the training photos; never where the model has no detector. */
    public boolean isUnknown() {
        return distance > FARTHEST;
    }
}
