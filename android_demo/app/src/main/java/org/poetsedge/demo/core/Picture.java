package org.poetsedge.demo.core;

/**
 * A picture in any orientation: one int per pixel, 0xAARRGGBB, row by row. Alpha is ignored.
 *
 * <p>This is the layout of Android's Bitmap, but the class does not use Android.
 */
public final class Picture {
    public final int width;
    public final int height;
    public final int[] argb;

    public Picture(int width, int height, int[] argb) {
        if (width < 1 || height < 1 || argb.length != width * height) {
            throw new IllegalArgumentException(
                    width + " x " + height + " does not describe " + argb.length + " pixels");
        }
        this.width = width;
        this.height = height;
        this.argb = argb;
    }

    /** Returns the largest centered square; if the margin is odd, the smaller part is cut off at the left or top. */
    public Picture centerSquare() {
        if (width == height) {
            return this;
        }
        int side = Math.min(width, height);
        int left = (width - side) / 2;
        int top = (height - side) / 2;
        int[] square = new int[side * side];
        for (int y = 0; y < side; y++) {
            System.arraycopy(argb, (top + y) * width + left, square, y * side, side);
        }
        return new Picture(side, side, square);
    }

    /** Returns the picture rotated clockwise. @param degrees 0, 90, 180 or 270 */
    public Picture turned(int degrees) {
        switch (degrees) {
            case 0:
                return this;
            case 90:
            case 270:
                return quarterTurned(degrees == 90);
            case 180:
                int[] turned = new int[argb.length];
                for (int i = 0; i < argb.length; i++) {
                    turned[argb.length - 1 - i] = argb[i];
                }
                return new Picture(width, height, turned);
            default:
                throw new IllegalArgumentException("a picture turns by 0, 90, 180 or 270 degrees, not " + degrees);
        }
    }

    private Picture quarterTurned(boolean clockwise) {
        int[] turned = new int[argb.length];
        for (int y = 0; y < height; y++) {
            for (int x = 0; x < width; x++) {
                int column = clockwise ? height - 1 - y : y;
                int row = clockwise ? x : width - 1 - x;
                turned[row * height + column] = argb[y * width + x];
            }
        }
        return new Picture(height, width, turned);
    }
}
