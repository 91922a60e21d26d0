package org.poetsedge.demo;

import android.content.Context;
import android.graphics.ImageFormat;
import android.graphics.Matrix;
import android.graphics.SurfaceTexture;
import android.hardware.camera2.CameraAccessException;
import android.hardware.camera2.CameraCharacteristics;
import android.hardware.camera2.CameraManager;
import android.hardware.camera2.params.StreamConfigurationMap;
import android.hardware.display.DisplayManager;
import android.os.Handler;
import android.os.Looper;
import android.view.Display;
import android.view.Surface;
import android.view.TextureView;
import java.util.ArrayList;
import java.util.List;
import org.poetsedge.demo.core.Framing;
import org.poetsedge.demo.core.Picture;

/** Shows a camera's picture in a view, upright and in its proportions, and hands out its frames. */
final class CameraFeed implements TextureView.SurfaceTextureListener, DisplayManager.DisplayListener {
    private static final int PREVIEW_SHORT_SIDE = 720;
    private static final int FRAME_SHORT_SIDE = 480;

    interface Listener {
        /** Whether to go to the trouble of converting a frame. Called on the camera's thread. */
        boolean wantsFrame();

        /** The upright central square of a frame. Called on the camera's thread. */
        void onFrame(Picture square, long startedNanos);

        /** The picture was placed; its central square has this side on the screen. Main thread. */
        void onPlaced(int square);

        /** Main thread. */
        void onCameraFailed();
    }

    private final TextureView view;
    private final Listener listener;
    private final CameraManager cameras;
    private final DisplayManager displays;
    private SurfaceTexture texture;
    private Camera wanted;
    private CameraSession session;

    /** A chosen camera with its picture sizes. */
    static final class Camera {
        final String id;
        final boolean front;
        final int sensor;
        final Framing.Size preview;
        final Framing.Size frame;

        Camera(String id, CameraCharacteristics facts, int shortSide) {
            StreamConfigurationMap sizes = facts.get(CameraCharacteristics.SCALER_STREAM_CONFIGURATION_MAP);
            Integer orientation = facts.get(CameraCharacteristics.SENSOR_ORIENTATION);
            this.id = id;
            front = looksFrontwards(facts);
            sensor = orientation == null ? 0 : orientation;
            preview = Framing.choose(convert(sizes.getOutputSizes(SurfaceTexture.class)), PREVIEW_SHORT_SIDE);
            frame = Framing.choose(convert(sizes.getOutputSizes(ImageFormat.YUV_420_888)), shortSide);
        }

        private static List<Framing.Size> convert(android.util.Size[] sizes) {
            List<Framing.Size> converted = new ArrayList<>();
            for (android.util.Size size : sizes) {
                converted.add(new Framing.Size(size.getWidth(), size.getHeight()));
            }
            return converted;
        }
    }

    CameraFeed(Context context, TextureView view, Listener listener) {
        this.view = view;
        this.listener = listener;
        cameras = (CameraManager) context.getSystemService(Context.CAMERA_SERVICE);
        displays = (DisplayManager) context.getSystemService(Context.DISPLAY_SERVICE);
        view.setSurfaceTextureListener(this);
    }

    /** Returns the facings of the available cameras: none, one, or both. */
    List<Boolean> facings() {
        List<Boolean> facings = new ArrayList<>();
        for (boolean front : new boolean[] {false, true}) {
            if (find(front) != null) {
                facings.add(front);
            }
        }
        return facings;
    }

    /**
     * Opens a camera when the view is ready.
     *
     * @param inputSide longer side of the model's input; frames should be at least as large
     */
    void start(boolean front, int inputSide) {
        stop();
        try {
            String id = find(front);
            wanted = new Camera(id, cameras.getCameraCharacteristics(id), Math.max(FRAME_SHORT_SIDE, inputSide));
        } catch (CameraAccessException | IllegalArgumentException | NullPointerException unusable) {
            listener.onCameraFailed();
            return;
        }
        displays.registerDisplayListener(this, new Handler(Looper.getMainLooper()));
        openWhenReady();
    }

    /** Closes the camera; returns when it is closed. */
    void stop() {
        displays.unregisterDisplayListener(this);
        wanted = null;
        closeSession();
    }

    private void closeSession() {
        if (session != null) {
            session.close();
            session = null;
        }
    }

    private void openWhenReady() {
        if (wanted == null || texture == null || session != null) {
            return;
        }
        texture.setDefaultBufferSize(wanted.preview.width, wanted.preview.height);
        place();
        session = new CameraSession(cameras, wanted, new Surface(texture), view, listener);
        session.open();
    }

    private void place() {
        if (wanted == null || view.getWidth() == 0 || view.getHeight() == 0) {
            return;
        }
        Framing.Placement placement =
                Framing.placement(
                        wanted.preview,
                        new Framing.Size(view.getWidth(), view.getHeight()),
                        wanted.sensor,
                        displayDegrees(view));
        float middleX = view.getWidth() / 2f;
        float middleY = view.getHeight() / 2f;
        Matrix matrix = new Matrix();
        matrix.setScale(placement.scaleX, placement.scaleY, middleX, middleY);
        matrix.postRotate(placement.degrees, middleX, middleY);
        view.setTransform(matrix);
        listener.onPlaced(placement.square);
    }

    /** Returns the rotation of the screen from the natural orientation of the device, in degrees. */
    static int displayDegrees(TextureView view) {
        Display display = view.getDisplay();
        return display == null ? 0 : display.getRotation() * 90; // ROTATION_0 to ROTATION_270 are 0 to 3
    }

    private String find(boolean front) {
        try {
            for (String id : cameras.getCameraIdList()) {
                if (looksFrontwards(cameras.getCameraCharacteristics(id)) == front) {
                    return id;
                }
            }
        } catch (CameraAccessException | IllegalArgumentException unusable) {
            return null;
        }
        return null;
    }

    private static boolean looksFrontwards(CameraCharacteristics facts) {
        Integer facing = facts.get(CameraCharacteristics.LENS_FACING);
        return facing != null && facing == CameraCharacteristics.LENS_FACING_FRONT;
    }

    @Override
    public void onSurfaceTextureAvailable(SurfaceTexture available, int width, int height) {
        texture = available;
        openWhenReady();
    }

    @Override
    public void onSurfaceTextureSizeChanged(SurfaceTexture changed, int width, int height) {
        place();
    }

    @Override
    public boolean onSurfaceTextureDestroyed(SurfaceTexture destroyed) {
        texture = null;
        closeSession(); // The request is kept, because the view may get another surface.
        return true;
    }

    @Override
    public void onSurfaceTextureUpdated(SurfaceTexture updated) {}

    @Override
    public void onDisplayChanged(int display) {
        place(); // A rotation by 180 degrees does not recreate the activity; it only calls this method.
    }

    @Override
    public void onDisplayAdded(int display) {}

    @Override
    public void onDisplayRemoved(int display) {}
}
