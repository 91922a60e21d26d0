package org.poetsedge.demo.core;

import static org.junit.Assert.assertArrayEquals;
import static org.junit.Assert.assertEquals;
import static org.junit.Assert.assertTrue;

import java.io.BufferedReader;
import java.io.InputStreamReader;
import java.nio.charset.StandardCharsets;
import java.util.Arrays;
import java.util.zip.CRC32;
import org.junit.Test;

public final class ResamplerTest {
    /** resize.txt holds checksums of what Python gives for {@link #noise} of many sizes. */
    @Test
    public void equalsPythonForAllSizes() throws Exception {
        int cases = 0;
        try (BufferedReader lines =
                new BufferedReader(
                        new InputStreamReader(
                                ResamplerTest.class.getResourceAsStream("/resize.txt"), StandardCharsets.US_ASCII))) {
            for (String line = lines.readLine(); line != null; line = lines.readLine()) {
                String[] words = line.split(" ");
                Picture from = noise(Integer.parseInt(words[0]), Integer.parseInt(words[1]));
                int width = Integer.parseInt(words[2]);
                int height = Integer.parseInt(words[3]);
                assertEquals(line, words[4], checksum(Resampler.resize(from, width, height)));
                assertEquals(line, words[5], checksum(Resampler.resize(from, width, height, false)));
                cases++;
            }
        }
        assertTrue(cases >= 100);
    }

    @Test
    public void sameSizeChangesNothing() {
        Picture picture = noise(37, 23);
        assertArrayEquals(picture.argb, Resampler.resize(picture, 37, 23).argb);
    }

    @Test
    public void evenColorStaysThatColor() {
        int[] pixels = new int[31 * 17];
        Arrays.fill(pixels, 0xff1080fe);
        for (int pixel : Resampler.resize(new Picture(31, 17, pixels), 224, 5).argb) {
            assertEquals(0xff1080fe, pixel);
        }
    }

    /** Noise of full contrast, the same in Python: a linear congruential generator's upper bits. */
    private static Picture noise(int width, int height) {
        int[] argb = new int[width * height];
        int state = width * 65536 + height;
        for (int i = 0; i < argb.length; i++) {
            state = state * 1664525 + 1013904223;
            argb[i] = 0xff000000 | state >>> 8;
        }
        return new Picture(width, height, argb);
    }

    private static String checksum(Picture picture) {
        CRC32 crc = new CRC32();
        for (int pixel : picture.argb) {
            crc.update(pixel >> 16);
            crc.update(pixel >> 8);
            crc.update(pixel);
        }
        return String.format("%08x", crc.getValue());
    }
}
