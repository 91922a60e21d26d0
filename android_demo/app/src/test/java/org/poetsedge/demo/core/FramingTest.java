package org.poetsedge.demo.core;

import static org.junit.Assert.assertEquals;

import java.util.Arrays;
import org.junit.Test;

public final class FramingTest {
    @Test
    public void uprightTurn() {
        // Nearly all phones: back sensor at 90, front at 270.
        assertEquals(90, Framing.uprightTurn(90, 0, false));
        assertEquals(0, Framing.uprightTurn(90, 90, false));
        assertEquals(180, Framing.uprightTurn(90, 270, false));
        assertEquals(270, Framing.uprightTurn(270, 0, true));
        assertEquals(0, Framing.uprightTurn(270, 90, true));
        assertEquals(180, Framing.uprightTurn(270, 270, true));
    }

    @Test
    public void portraitPreviewIsNotStretched() {
        // 960 x 720 sensor at 90 degrees is 720 x 960 upright; in 1080 x 1500 it becomes 1080 x 1440.
        Framing.Placement placement = Framing.placement(size(960, 720), size(1080, 1500), 90, 0);
        assertEquals(1f, placement.scaleX, 1e-6);
        assertEquals(1440f / 1500, placement.scaleY, 1e-6);
        assertEquals(0, placement.degrees);
        assertEquals(1080, placement.square);
    }

    @Test
    public void landscapePreviewIsTurnedBack() {
        // Seen at 960 x 720 in 1600 x 900: 1200 x 900. Before the turn that is 900 wide and 1200 high.
        Framing.Placement placement = Framing.placement(size(960, 720), size(1600, 900), 90, 90);
        assertEquals(900f / 1600, placement.scaleX, 1e-6);
        assertEquals(1200f / 900, placement.scaleY, 1e-6);
        assertEquals(270, placement.degrees);
        assertEquals(900, placement.square);
        assertEquals(90, Framing.placement(size(960, 720), size(1600, 900), 90, 270).degrees);
    }

    @Test
    public void choosesTheSmallestThatWillDo() {
        Framing.Size chosen =
                Framing.choose(Arrays.asList(size(4000, 3000), size(1920, 1080), size(640, 480), size(320, 240)), 480);
        assertEquals(640, chosen.width);
        assertEquals(1920, Framing.choose(Arrays.asList(size(640, 480), size(1920, 1080)), 720).width);
    }

    /** The limits of Pillow's draft mode with 448 x 448, which Python's read_photo asks for. */
    @Test
    public void largePicturesAreDecodedSmaller() {
        assertEquals(1, Framing.sampleSize(500, 333));
        assertEquals(1, Framing.sampleSize(895, 4000));
        assertEquals(2, Framing.sampleSize(896, 4000));
        assertEquals(2, Framing.sampleSize(4000, 1791));
        assertEquals(4, Framing.sampleSize(4000, 3000));
        assertEquals(8, Framing.sampleSize(12000, 9000));
        assertEquals(1, Framing.sampleSize(1, 1));
    }

    private static Framing.Size size(int width, int height) {
        return new Framing.Size(width, height);
    }
}
