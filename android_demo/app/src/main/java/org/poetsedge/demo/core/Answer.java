package org.poetsedge.demo.core;

import java.util.ArrayList;
import java.util.List;

/** A label and its score, 0 to 1. */
public final class Answer {
    public final String label;
    public final float score;

    public Answer(String label, float score) {
        this.label = label;
        this.score = score;
    }

    /** Returns the `count` best labels, best first; equal scores keep the order of the labels. */
    public static List<Answer> best(List<String> labels, float[] scores, int count) {
        List<Answer> best = new ArrayList<>();
        for (int i = 0; i < scores.length; i++) {
            int place = best.size();
            while (place > 0 && best.get(place - 1).score < scores[i]) {
                place--;
            }
            if (place < count) {
                best.add(place, new Answer(labels.get(i), scores[i]));
                if (best.size() > count) {
                    best.remove(count);
                }
            }
        }
        return best;
    }

    @Override
    public String toString() {
        return label + " " + score;
    }
}
