package org.poetsedge.demo.core;

/**
 * Resizes a whole picture exactly as Python does, to the last bit: with Pillow's antialiased bilinear filter,
 * or without antialiasing, as MediaPipe does.
 *
 * <p>Each output sample is a weighted mean of the input samples under a triangle. When shrinking, the triangle
 * is as wide as two output pixels, so every input pixel counts. Rows are done first, then columns, each
 * rounded to 8 bits, with weights of 22 fractional bits, in integer arithmetic, so results are equal everywhere.
 */
public final class Resampler {
    private static final int FRACTION_BITS = 22;
    private static final int HALF = 1 << (FRACTION_BITS - 1);

    private Resampler() {}

    public static Picture resize(Picture picture, int width, int height) {
        return resize(picture, width, height, true);
    }

    public static Picture resize(Picture picture, int width, int height, boolean antialias) {
        int[] narrowed = resizeRows(picture.argb, picture.width, picture.height, width, antialias);
        return new Picture(width, height, resizeColumns(narrowed, width, picture.height, height, antialias));
    }

    private static int[] resizeRows(int[] pixels, int width, int height, int newWidth, boolean antialias) {
        if (width == newWidth) {
            return pixels;
        }
        int[] resized = new int[newWidth * height];
        for (int x = 0; x < newWidth; x++) {
            Weights weights = Weights.of(x, width, newWidth, antialias);
            for (int y = 0; y < height; y++) {
                resized[y * newWidth + x] = weights.mean(pixels, y * width + weights.first, 1);
            }
        }
        return resized;
    }

    private static int[] resizeColumns(int[] pixels, int width, int height, int newHeight, boolean antialias) {
        if (height == newHeight) {
            return pixels;
        }
        int[] resized = new int[width * newHeight];
        for (int y = 0; y < newHeight; y++) {
            Weights weights = Weights.of(y, height, newHeight, antialias);
            for (int x = 0; x < width; x++) {
                resized[y * width + x] = weights.mean(pixels, weights.first * width + x, width);
            }
        }
        return resized;
    }

    /** Weights of the input samples first, first + 1, ... for one output sample. */
    private static final class Weights {
        final int first;
        final int[] fixedPoint;

        private Weights(int first, int[] fixedPoint) {
            this.first = first;
            this.fixedPoint = fixedPoint;
        }

        static Weights of(int index, int size, int newSize, boolean antialias) {
            return antialias ? average(index, size, newSize) : neighbors(index, size, newSize);
        }

        /** Weights of the two samples next to index * size / newSize. */
        private static Weights neighbors(int index, int size, int newSize) {
            double place = index * ((double) size / newSize);
            int first = (int) place;
            if (first == size - 1) {
                return new Weights(first, new int[] {1 << FRACTION_BITS});
            }
            int weight = (int) ((place - first) * (1 << FRACTION_BITS) + 0.5);
            return new Weights(first, new int[] {(1 << FRACTION_BITS) - weight, weight});
        }

        private static Weights average(int index, int size, int newSize) {
            double scale = (double) size / newSize;
            double reach = Math.max(scale, 1.0);
            double center = (index + 0.5) * scale;
            int first = Math.max(0, (int) (center - reach + 0.5));
            int end = Math.min(size, (int) (center + reach + 0.5));
            double[] exact = new double[end - first];
            double sum = 0;
            for (int i = 0; i < exact.length; i++) {
                // Multiplication by the inverse instead of division, so that the last bit is equal.
                double distance = Math.abs((first + i - center + 0.5) * (1.0 / reach));
                exact[i] = distance < 1.0 ? 1.0 - distance : 0.0;
                sum += exact[i];
            }
            int[] fixedPoint = new int[exact.length];
            for (int i = 0; i < exact.length; i++) {
                fixedPoint[i] = (int) (exact[i] / sum * (1 << FRACTION_BITS) + 0.5);
            }
            return new Weights(first, fixedPoint);
        }

        int mean(int[] pixels, int start, int step) {
            int red = HALF;
            int green = HALF;
            int blue = HALF;
            int at = start;
            for (int weight : fixedPoint) {
                int pixel = pixels[at];
                red += (pixel >> 16 & 0xff) * weight;
                green += (pixel >> 8 & 0xff) * weight;
                blue += (pixel & 0xff) * weight;
                at += step;
            }
            return 0xff000000 | clip(red) << 16 | clip(green) << 8 | clip(blue);
        }

        private static int clip(int sum) {
            // Weights can add up to a little over one, never below zero.
            return Math.min(255, sum >> FRACTION_BITS);
        }
    }
}
