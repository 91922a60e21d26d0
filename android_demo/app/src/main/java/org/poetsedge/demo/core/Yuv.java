package org.poetsedge.demo.core;

import java.nio.ByteBuffer;

/**
 * Turns a camera frame (YUV 4:2:0, three planes, any strides) into RGB.
 *
 * <p>The conversion is that of JPEG files (JFIF, full range) in 16-bit fixed point, so a frame and a JPEG of
 * the same scene get the same colors. Each chroma sample serves its block of 2 x 2 pixels.
 */
public final class Yuv {
    private static final int BITS = 16;
    private static final int HALF = 1 << (BITS - 1);
    private static final int RED_FROM_CR = 91881; // 1.40200 * 2^16
    private static final int GREEN_FROM_CB = 22554; // 0.34414 * 2^16
    private static final int GREEN_FROM_CR = 46802; // 0.71414 * 2^16
    private static final int BLUE_FROM_CB = 116130; // 1.77200 * 2^16

    private Yuv() {}

    /** One plane of a frame: sample (x, y) lies at y * rowStride + x * pixelStride of the buffer. */
    public static final class Plane {
        private final ByteBuffer samples;
        private final int rowStride;
        private final int pixelStride;

        public Plane(ByteBuffer samples, int rowStride, int pixelStride) {
            this.samples = samples;
            this.rowStride = rowStride;
            this.pixelStride = pixelStride;
        }

        private int at(int x, int y) {
            return samples.get(samples.position() + y * rowStride + x * pixelStride) & 0xff;
        }
    }

    public static Picture toPicture(int width, int height, Plane luma, Plane cb, Plane cr) {
        int[] argb = new int[width * height];
        for (int y = 0; y < height; y++) {
            for (int x = 0; x < width; x++) {
                argb[y * width + x] = toArgb(luma.at(x, y), cb.at(x / 2, y / 2), cr.at(x / 2, y / 2));
            }
        }
        return new Picture(width, height, argb);
    }

    /** One opaque pixel. @param luma 0 to 255 @param cb 0 to 255, 128 is gray @param cr likewise */
    public static int toArgb(int luma, int cb, int cr) {
        int blueness = cb - 128;
        int redness = cr - 128;
        int red = luma + ((RED_FROM_CR * redness + HALF) >> BITS);
        int green = luma + ((-GREEN_FROM_CB * blueness - GREEN_FROM_CR * redness + HALF) >> BITS);
        int blue = luma + ((BLUE_FROM_CB * blueness + HALF) >> BITS);
        return 0xff000000 | clip(red) << 16 | clip(green) << 8 | clip(blue);
    }

    private static int clip(int value) {
        return Math.max(0, Math.min(255, value));
    }
}
