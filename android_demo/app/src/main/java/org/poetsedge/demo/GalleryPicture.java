package org.poetsedge.demo;

import android.content.ContentResolver;
import android.graphics.Bitmap;
import android.graphics.Canvas;
import android.graphics.Color;
import android.graphics.ImageDecoder;
import android.net.Uri;
import android.util.Size;
import java.io.IOException;
import org.poetsedge.demo.core.Framing;
import org.poetsedge.demo.core.Picture;

/** Reads a picture as Python does: upright, large ones at reduced size, transparency laid over white. */
final class GalleryPicture {
    private GalleryPicture() {}

    /** @throws IOException the file is missing, is not a picture, or is damaged */
    static Bitmap read(ContentResolver resolver, Uri uri) throws IOException {
        try {
            Bitmap decoded = ImageDecoder.decodeBitmap(ImageDecoder.createSource(resolver, uri), AS_IN_PYTHON);
            return decoded.hasAlpha() ? overWhite(decoded) : decoded;
        } catch (SecurityException | IllegalArgumentException | OutOfMemoryError error) {
            throw new IOException(error);
        }
    }

    static Picture toPicture(Bitmap bitmap) {
        int[] argb = new int[bitmap.getWidth() * bitmap.getHeight()];
        bitmap.getPixels(argb, 0, bitmap.getWidth(), 0, 0, bitmap.getWidth(), bitmap.getHeight());
        return new Picture(bitmap.getWidth(), bitmap.getHeight(), argb);
    }

    private static final ImageDecoder.OnHeaderDecodedListener AS_IN_PYTHON =
            new ImageDecoder.OnHeaderDecodedListener() {
                @Override
                public void onHeaderDecoded(ImageDecoder decoder, ImageDecoder.ImageInfo info, ImageDecoder.Source s) {
                    Size size = info.getSize();
                    decoder.setTargetSampleSize(Framing.sampleSize(size.getWidth(), size.getHeight()));
                    decoder.setAllocator(ImageDecoder.ALLOCATOR_SOFTWARE); // gives access to the pixels
                }
            };

    private static Bitmap overWhite(Bitmap picture) {
        Bitmap flat = Bitmap.createBitmap(picture.getWidth(), picture.getHeight(), Bitmap.Config.ARGB_8888);
        Canvas canvas = new Canvas(flat);
        canvas.drawColor(Color.WHITE);
        canvas.drawBitmap(picture, 0, 0, null);
        return flat;
    }
}
