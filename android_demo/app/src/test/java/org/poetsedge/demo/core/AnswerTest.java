package org.poetsedge.demo.core;

import static org.junit.Assert.assertArrayEquals;
import static org.junit.Assert.assertEquals;
import static org.junit.Assert.assertThrows;

import java.util.Arrays;
import java.util.List;
import org.junit.Test;

/** Ranking and smoothing. */
public final class AnswerTest {
    private static final List<String> LABELS = Arrays.asList("a", "b", "c", "d");

    @Test
    public void bestFirstAndEqualOnesInTheirOrder() {
        assertEquals("[b 0.4, d 0.4, a 0.1]", Answer.best(LABELS, new float[] {.1f, .4f, .1f, .4f}, 3).toString());
        assertEquals("[a 0.25]", Answer.best(LABELS, new float[] {.25f, .25f, .25f, .25f}, 1).toString());
        assertEquals("[b 1.0, a 0.0]", Answer.best(LABELS.subList(0, 2), new float[] {0, 1}, 3).toString());
    }

    @Test
    public void smoothing() {
        Smoother smoother = new Smoother(0.25f);
        assertArrayEquals(new float[] {1, 0}, smoother.add(new float[] {1, 0}), 0);
        assertArrayEquals(new float[] {0.75f, 0.25f}, smoother.add(new float[] {0, 1}), 0);
        smoother.reset();
        assertArrayEquals(new float[] {0, 1}, smoother.add(new float[] {0, 1}), 0);
        assertArrayEquals(new float[] {1, 0, 0}, smoother.add(new float[] {1, 0, 0}), 0); // another model
        assertThrows(IllegalArgumentException.class, () -> new Smoother(0));
    }
}
