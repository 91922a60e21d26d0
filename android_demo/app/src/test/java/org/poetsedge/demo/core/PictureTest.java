package org.poetsedge.demo.core;

import static org.junit.Assert.assertArrayEquals;
import static org.junit.Assert.assertEquals;
import static org.junit.Assert.assertThrows;

import org.junit.Test;

public final class PictureTest {
    private static final Picture SIX = new Picture(3, 2, new int[] {1, 2, 3, 4, 5, 6});

    @Test
    public void turnsClockwise() {
        assertArrayEquals(new int[] {4, 1, 5, 2, 6, 3}, SIX.turned(90).argb);
        assertArrayEquals(new int[] {6, 5, 4, 3, 2, 1}, SIX.turned(180).argb);
        assertArrayEquals(new int[] {3, 6, 2, 5, 1, 4}, SIX.turned(270).argb);
        assertArrayEquals(SIX.argb, SIX.turned(0).argb);
        assertEquals(2, SIX.turned(90).width);
        assertEquals(3, SIX.turned(270).height);
        assertThrows(IllegalArgumentException.class, () -> SIX.turned(45));
    }

    @Test
    public void cutsTheMiddle() {
        assertArrayEquals(new int[] {1, 2, 4, 5}, SIX.centerSquare().argb);
        assertArrayEquals(new int[] {3, 4}, new Picture(1, 2, new int[] {3, 4}).turned(0).argb);
        Picture tall = new Picture(2, 6, new int[] {1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12});
        assertArrayEquals(new int[] {5, 6, 7, 8}, tall.centerSquare().argb);
    }

    @Test
    public void refusesPixelsThatDoNotFit() {
        assertThrows(IllegalArgumentException.class, () -> new Picture(2, 2, new int[3]));
        assertThrows(IllegalArgumentException.class, () -> new Picture(0, 0, new int[0]));
    }
}
