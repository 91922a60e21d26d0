package org.poetsedge.demo.core;

import java.util.List;

/** The arithmetic of sizes and angles: which way is up, what fits where. */
public final class Framing {
    /** Minimum length of both sides of a JPEG that is decoded at 1/2, 1/4 or 1/8 of its size, as in Python. */
    private static final int SMALLEST_DECODE = 448;

    private Framing() {}

    /** A width and a height in pixels. */
    public static final class Size {
        public final int width;
        public final int height;

        public Size(int width, int height) {
            this.width = width;
            this.height = height;
        }
    }

    /** Transformation of a camera picture in a view: scaling about the center, then rotation about it. */
    public static final class Placement {
        public final float scaleX;
        public final float scaleY;
        public final int degrees;
        /** Side of the picture's central square on the screen. */
        public final int square;

        Placement(float scaleX, float scaleY, int degrees, int square) {
            this.scaleX = scaleX;
            this.scaleY = scaleY;
            this.degrees = degrees;
            this.square = square;
        }
    }

    /**
     * Returns the clockwise rotation, in degrees, that makes a sensor's picture upright on the screen.
     *
     * @param sensor clockwise angle of the sensor in the phone's natural orientation, 0 to 270
     * @param display rotation of the screen from this orientation, 0 to 270
     * @param front whether the camera faces the user
     */
    public static int uprightTurn(int sensor, int display, boolean front) {
        return front ? (sensor + display) % 360 : (sensor - display + 360) % 360;
    }

    /**
     * Returns the transformation that shows a complete camera preview in a view, upright and undistorted.
     *
     * <p>Android stretches the picture to the view, and rotates it upright for the natural orientation only;
     * the transformation undoes the stretching and adds the rotation of the screen.
     *
     * @param buffer size of the camera's picture in the sensor's orientation
     */
    public static Placement placement(Size buffer, Size view, int sensor, int display) {
        boolean sideways = sensor % 180 != 0;
        double width = sideways ? buffer.height : buffer.width;
        double height = sideways ? buffer.width : buffer.height;
        boolean turned = display % 180 != 0;
        double scale =
                Math.min(view.width / (turned ? height : width), view.height / (turned ? width : height));
        return new Placement(
                (float) (scale * width / view.width),
                (float) (scale * height / view.height),
                (360 - display) % 360,
                (int) (scale * Math.min(width, height)));
    }

    /**
     * Returns the smallest size with aspect ratio 4:3 whose short side is at least `shortSide`; otherwise the size with
     * the longest short side and any aspect ratio.
     *
     * @param sizes supported sizes of the camera, not empty
     */
    public static Size choose(List<Size> sizes, int shortSide) {
        Size best = null;
        Size largest = sizes.get(0);
        for (Size size : sizes) {
            int side = Math.min(size.width, size.height);
            if (side > Math.min(largest.width, largest.height)) {
                largest = size;
            }
            boolean fourToThree = Math.max(size.width, size.height) * 3 == side * 4;
            if (fourToThree && side >= shortSide && (best == null || side < Math.min(best.width, best.height))) {
                best = size;
            }
        }
        return best == null ? largest : best;
    }

    /** Returns the divisor (1, 2, 4 or 8) of the size at which Python decodes a JPEG. */
    public static int sampleSize(int width, int height) {
        int divisor = 8;
        while (divisor > 1 && Math.min(width, height) / SMALLEST_DECODE < divisor) {
            divisor /= 2;
        }
        return divisor;
    }
}
