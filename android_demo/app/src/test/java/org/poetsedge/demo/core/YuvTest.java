package org.poetsedge.demo.core;

import static org.junit.Assert.assertArrayEquals;
import static org.junit.Assert.assertEquals;
import static org.junit.Assert.assertTrue;

import java.awt.image.BufferedImage;
import java.awt.image.Raster;
import java.io.ByteArrayInputStream;
import java.io.ByteArrayOutputStream;
import java.nio.ByteBuffer;
import java.util.HashSet;
import java.util.Random;
import java.util.Set;
import javax.imageio.ImageIO;
import javax.imageio.ImageReader;
import org.junit.Test;

public final class YuvTest {
    @Test
    public void grayHasNoColor() {
        assertEquals(0xff000000, Yuv.toArgb(0, 128, 128));
        assertEquals(0xff7f7f7f, Yuv.toArgb(127, 128, 128));
        assertEquals(0xffffffff, Yuv.toArgb(255, 128, 128));
    }

    /** Java's JPEG library gives a picture before and after it turned the colors into RGB. */
    @Test
    public void equalsTheJpegLibrary() throws Exception {
        byte[] jpeg = colorfulJpeg();
        ImageReader reader = ImageIO.getImageReadersByFormatName("jpeg").next();
        reader.setInput(ImageIO.createImageInputStream(new ByteArrayInputStream(jpeg)));
        Raster ycbcr = reader.readRaster(0, null);
        BufferedImage rgb = ImageIO.read(new ByteArrayInputStream(jpeg));
        Set<Integer> colors = new HashSet<>();
        for (int y = 0; y < rgb.getHeight(); y++) {
            for (int x = 0; x < rgb.getWidth(); x++) {
                int[] sample = ycbcr.getPixel(x, y, (int[]) null);
                assertEquals(rgb.getRGB(x, y), Yuv.toArgb(sample[0], sample[1], sample[2]));
                colors.add(rgb.getRGB(x, y));
            }
        }
        assertTrue("only " + colors.size() + " colors", colors.size() > 10000);
    }

    private static byte[] colorfulJpeg() throws Exception {
        BufferedImage picture = new BufferedImage(256, 256, BufferedImage.TYPE_INT_RGB);
        Random random = new Random(3);
        for (int y = 0; y < 256; y++) {
            for (int x = 0; x < 256; x++) {
                // Large patches keep strong colors through the JPEG's coarse chroma.
                picture.setRGB(x, y, new Random(x / 16 * 16 + y / 16).nextInt() + random.nextInt(32));
            }
        }
        ByteArrayOutputStream jpeg = new ByteArrayOutputStream();
        ImageIO.write(picture, "jpeg", jpeg);
        return jpeg.toByteArray();
    }

    /** Cameras deliver chroma as planes of their own, or interleaved, with or without padding. */
    @Test
    public void allLayoutsGiveTheSamePicture() {
        int width = 6;
        int height = 4;
        byte[] luma = new byte[width * height];
        byte[] cb = new byte[width * height / 4];
        byte[] cr = new byte[width * height / 4];
        Random random = new Random(1);
        random.nextBytes(luma);
        random.nextBytes(cb);
        random.nextBytes(cr);
        Picture planar = Yuv.toPicture(width, height, plane(luma, 6, 1), plane(cb, 3, 1), plane(cr, 3, 1));
        assertEquals(Yuv.toArgb(luma[15] & 0xff, cb[4] & 0xff, cr[4] & 0xff), planar.argb[15]);

        byte[] padded = new byte[10 * height];
        byte[] interleaved = new byte[8 * height / 2];
        for (int y = 0; y < height; y++) {
            System.arraycopy(luma, y * width, padded, y * 10, width);
        }
        for (int i = 0; i < cb.length; i++) {
            interleaved[i / 3 * 8 + i % 3 * 2] = cr[i];
            interleaved[i / 3 * 8 + i % 3 * 2 + 1] = cb[i];
        }
        ByteBuffer fromCb = ByteBuffer.wrap(interleaved);
        fromCb.position(1); // Android's buffer of the second plane starts one byte into the first.
        Picture semiPlanar =
                Yuv.toPicture(width, height, plane(padded, 10, 1), new Yuv.Plane(fromCb, 8, 2), plane(interleaved, 8, 2));
        assertArrayEquals(planar.argb, semiPlanar.argb);
    }

    private static Yuv.Plane plane(byte[] samples, int rowStride, int pixelStride) {
        return new Yuv.Plane(ByteBuffer.wrap(samples), rowStride, pixelStride);
    }
}
