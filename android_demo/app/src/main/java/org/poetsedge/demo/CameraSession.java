package org.poetsedge.demo;

import android.annotation.SuppressLint;
import android.graphics.ImageFormat;
import android.hardware.camera2.CameraAccessException;
import android.hardware.camera2.CameraCaptureSession;
import android.hardware.camera2.CameraDevice;
import android.hardware.camera2.CameraManager;
import android.hardware.camera2.CaptureRequest;
import android.hardware.camera2.params.OutputConfiguration;
import android.hardware.camera2.params.SessionConfiguration;
import android.media.Image;
import android.media.ImageReader;
import android.os.Handler;
import android.os.HandlerThread;
import android.os.Looper;
import android.view.Surface;
import android.view.TextureView;
import java.util.Arrays;
import java.util.concurrent.Executor;
import org.poetsedge.demo.core.Framing;
import org.poetsedge.demo.core.Picture;
import org.poetsedge.demo.core.Yuv;

/** One camera from its opening to its closing. Everything happens on a thread of its own. */
final class CameraSession extends CameraDevice.StateCallback
        implements ImageReader.OnImageAvailableListener, Executor {
    private static final int FRAMES_IN_FLIGHT = 2;
    private static final long CLOSING_MILLIS = 1000;

    private final CameraManager cameras;
    private final CameraFeed.Camera camera;
    private final Surface preview;
    private final TextureView view;
    private final CameraFeed.Listener listener;
    private final HandlerThread thread = new HandlerThread("camera");
    private final ImageReader frames;
    private Handler handler;
    private volatile boolean closed;
    // Used only by the thread after its start:
    private boolean opening;
    private CameraDevice device;

    CameraSession(
            CameraManager cameras,
            CameraFeed.Camera camera,
            Surface preview,
            TextureView view,
            CameraFeed.Listener listener) {
        this.cameras = cameras;
        this.camera = camera;
        this.preview = preview;
        this.view = view;
        this.listener = listener;
        frames =
                ImageReader.newInstance(
                        camera.frame.width, camera.frame.height, ImageFormat.YUV_420_888, FRAMES_IN_FLIGHT);
    }

    @SuppressLint("MissingPermission") // The activity starts a camera only with the permission.
    void open() {
        thread.start();
        handler = new Handler(thread.getLooper());
        frames.setOnImageAvailableListener(this, handler);
        opening = true;
        try {
            cameras.openCamera(camera.id, this, handler);
        } catch (CameraAccessException | SecurityException | IllegalArgumentException unusable) {
            opening = false;
            fail();
        }
    }

    /** Releases the camera; returns when it is closed or about to be closed. */
    void close() {
        closed = true;
        handler.post(
                new Runnable() {
                    @Override
                    public void run() {
                        if (!opening) { // otherwise, the thread must continue until it knows what to close
                            release();
                        }
                    }
                });
        try {
            thread.join(CLOSING_MILLIS);
        } catch (InterruptedException interrupted) {
            Thread.currentThread().interrupt();
        }
    }

    private void release() {
        if (device != null) {
            device.close();
        }
        frames.close();
        preview.release();
        thread.quitSafely();
    }

    @Override
    public void onOpened(CameraDevice opened) {
        opening = false;
        device = opened;
        if (closed) {
            release();
            return;
        }
        try {
            device.createCaptureSession(
                    new SessionConfiguration(
                            SessionConfiguration.SESSION_REGULAR,
                            Arrays.asList(
                                    new OutputConfiguration(preview), new OutputConfiguration(frames.getSurface())),
                            this,
                            new Repeating()));
        } catch (CameraAccessException | IllegalArgumentException | IllegalStateException unusable) {
            fail();
        }
    }

    /** Requests pictures until the session ends. */
    private final class Repeating extends CameraCaptureSession.StateCallback {
        @Override
        public void onConfigured(CameraCaptureSession session) {
            if (closed) {
                return;
            }
            try {
                CaptureRequest.Builder request = device.createCaptureRequest(CameraDevice.TEMPLATE_PREVIEW);
                request.addTarget(preview);
                request.addTarget(frames.getSurface());
                session.setRepeatingRequest(request.build(), null, handler);
            } catch (CameraAccessException | IllegalArgumentException | IllegalStateException unusable) {
                fail();
            }
        }

        @Override
        public void onConfigureFailed(CameraCaptureSession session) {
            fail();
        }
    }

    @Override
    public void onImageAvailable(ImageReader reader) {
        try (Image image = reader.acquireLatestImage()) {
            if (image == null || closed || !listener.wantsFrame()) {
                return;
            }
            long started = System.nanoTime();
            int turn = Framing.uprightTurn(camera.sensor, CameraFeed.displayDegrees(view), camera.front);
            listener.onFrame(toPicture(image).centerSquare().turned(turn), started);
        }
    }

    private static Picture toPicture(Image image) {
        Image.Plane[] planes = image.getPlanes();
        return Yuv.toPicture(image.getWidth(), image.getHeight(), plane(planes[0]), plane(planes[1]), plane(planes[2]));
    }

    private static Yuv.Plane plane(Image.Plane plane) {
        return new Yuv.Plane(plane.getBuffer(), plane.getRowStride(), plane.getPixelStride());
    }

    @Override
    public void onDisconnected(CameraDevice lost) {
        giveUp(lost);
    }

    @Override
    public void onError(CameraDevice failed, int error) {
        giveUp(failed);
    }

    private void giveUp(CameraDevice lost) {
        opening = false;
        device = lost;
        if (closed) {
            release();
        } else {
            fail(); // The listener closes this session, which releases the device.
        }
    }

    private void fail() {
        new Handler(Looper.getMainLooper())
                .post(
                        new Runnable() {
                            @Override
                            public void run() {
                                if (!closed) {
                                    listener.onCameraFailed();
                                }
                            }
                        });
    }

    @Override
    public void execute(Runnable callback) {
        handler.post(callback);
    }
}
