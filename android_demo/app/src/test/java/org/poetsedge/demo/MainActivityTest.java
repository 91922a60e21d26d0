package org.poetsedge.demo;

import static org.junit.Assert.assertEquals;
import static org.junit.Assert.assertFalse;
import static org.junit.Assert.assertNotNull;
import static org.junit.Assert.assertNotSame;
import static org.junit.Assert.assertTrue;
import static org.robolectric.Shadows.shadowOf;

import android.Manifest;
import android.app.Activity;
import android.app.AlertDialog;
import android.content.Context;
import android.content.Intent;
import android.content.pm.PackageManager;
import android.content.res.Configuration;
import android.graphics.Bitmap;
import android.graphics.Color;
import android.graphics.SurfaceTexture;
import android.hardware.camera2.CameraCharacteristics;
import android.hardware.camera2.CameraManager;
import android.net.Uri;
import android.os.Looper;
import android.provider.Settings;
import android.view.TextureView;
import android.view.View;
import android.widget.CompoundButton;
import android.widget.ProgressBar;
import android.widget.TextView;
import java.io.ByteArrayInputStream;
import java.io.ByteArrayOutputStream;
import java.io.File;
import java.nio.file.Files;
import java.util.Arrays;
import java.util.concurrent.Callable;
import org.json.JSONObject;
import org.junit.Assume;
import org.junit.Before;
import org.junit.Test;
import org.junit.runner.RunWith;
import org.poetsedge.demo.core.Answer;
import org.robolectric.Robolectric;
import org.robolectric.RobolectricTestRunner;
import org.robolectric.RuntimeEnvironment;
import org.robolectric.android.controller.ActivityController;
import org.robolectric.annotation.Config;
import org.robolectric.annotation.GraphicsMode;
import org.robolectric.shadows.ShadowCameraCharacteristics;
import org.robolectric.shadows.ShadowDialog;
import org.robolectric.shadows.StreamConfigurationMapBuilder;

/** The activity's life, with the interpreter faked and a real model file of flowers. */
@RunWith(RobolectricTestRunner.class)
@Config(application = FakeApplication.class)
@GraphicsMode(GraphicsMode.Mode.NATIVE) // real decoders and drawing
public final class MainActivityTest {
    private static final Uri PICTURE = Uri.parse("content://pictures/1");

    private byte[] model;
    private ActivityController<MainActivity> controller;
    private MainActivity activity;

    @Before
    public void prepare() throws Exception {
        String vectors = System.getProperty("poetsedge.vectors");
        Assume.assumeTrue("no vectors", vectors != null);
        model = Files.readAllBytes(new File(vectors, "float32/model.tflite").toPath());
        FakeApplication.reset(model);
        addCamera("0", CameraCharacteristics.LENS_FACING_BACK, 90);
        addCamera("1", CameraCharacteristics.LENS_FACING_FRONT, 270);
    }

    @Test
    public void startsTheCameraWhenAllowed() {
        allowCamera();
        start();
        waitForModel();
        assertFalse(isShown(R.id.message));
        assertTrue(isShown(R.id.switch_camera));
        assertTrue(isShown(R.id.hint));
        // The view gets a surface: the camera opens, the viewfinder shows, and pausing closes it again.
        TextureView preview = activity.findViewById(R.id.preview);
        preview.layout(0, 0, 1080, 1440);
        preview.getSurfaceTextureListener().onSurfaceTextureAvailable(new SurfaceTexture(0), 1080, 1440);
        settle();
        assertFalse(isShown(R.id.message));
        controller.pause();
        controller.resume();
        settle();
        click(R.id.switch_camera);
        settle();
        assertFalse(isShown(R.id.message));
    }

    @Test
    public void asksForPermissionOnce() {
        start();
        waitForModel();
        assertEquals(Manifest.permission.CAMERA, shadowOf(activity).getLastRequestedPermission().requestedPermissions[0]);
        assertFalse(isShown(R.id.message));
        answerPermission(PackageManager.PERMISSION_DENIED);
        assertMessage(R.string.permission_refused);
        controller.pause();
        controller.resume();
        assertMessage(R.string.permission_refused);
    }

    @Test
    public void aRefusedPermissionCanBeGivenLater() {
        start();
        waitForModel();
        answerPermission(PackageManager.PERMISSION_DENIED);
        // Refused for good: the button leads to the settings.
        click(R.id.message_action);
        Intent settings = shadowOf(activity).getNextStartedActivity();
        assertEquals(Settings.ACTION_APPLICATION_DETAILS_SETTINGS, settings.getAction());
        assertEquals("package:org.poetsedge.demo", settings.getDataString());
        controller.pause();
        allowCamera();
        controller.resume();
        assertFalse(isShown(R.id.message));
    }

    @Test
    public void aPictureIsLabeledWithoutTheCamera() throws Exception {
        start();
        waitForModel();
        answerPermission(PackageManager.PERMISSION_DENIED);
        choose(picture());
        waitUntil("answers", () -> isShown(R.id.answer_1));
        assertEquals("dandelion", text(R.id.answer_1, R.id.label));
        assertEquals("60 %", text(R.id.answer_1, R.id.score));
        assertEquals("sunflowers", text(R.id.answer_2, R.id.label));
        assertEquals("daisy", text(R.id.answer_3, R.id.label));
        assertEquals(600, ((ProgressBar) row(R.id.answer_1).findViewById(R.id.bar)).getProgress());
        assertTrue(((TextView) activity.findViewById(R.id.timing)).getText().toString().contains("ms"));
        assertTrue(isShown(R.id.picture));
        assertFalse(isShown(R.id.message));
        assertFalse(isShown(R.id.switch_camera));

        click(R.id.gallery); // now "Camera"
        assertFalse(isShown(R.id.picture));
        assertMessage(R.string.permission_refused);
    }

    @Test
    public void anUnknownPictureIsNotNamedUnlessAllAreAccepted() {
        start();
        waitForModel();
        Answer nearest = new Answer("dandelion", 0.6f);
        activity.onAnswers(new Recognizer.Answers(Arrays.asList(nearest), true, true, 1, 2));
        assertTrue(isShown(R.id.unknown));
        assertFalse(isShown(R.id.answer_1));
        assertTrue(((TextView) activity.findViewById(R.id.nearest)).getText().toString().endsWith("dandelion"));
        ((CompoundButton) activity.findViewById(R.id.accept_all)).setChecked(true);
        assertFalse(isShown(R.id.unknown));
        assertEquals("dandelion", text(R.id.answer_1, R.id.label));
        turn(); // it is remembered
        waitForModel();
        activity.onAnswers(new Recognizer.Answers(Arrays.asList(nearest), true, true, 1, 2));
        assertFalse(isShown(R.id.unknown));
        ((CompoundButton) activity.findViewById(R.id.accept_all)).setChecked(false);
        assertTrue(isShown(R.id.unknown));
        activity.onAnswers(new Recognizer.Answers(Arrays.asList(nearest), false, true, 1, 2));
        assertFalse(isShown(R.id.unknown));
        assertTrue(isShown(R.id.answer_1));
    }

    @Test
    public void theSwitchIsThereForModelsWithADetector() throws Exception {
        start();
        waitForModel();
        boolean detector = !Float.isNaN(FakeApplication.distance);
        waitUntil("the switch", () -> isShown(R.id.accept_all) == detector);
        Assume.assumeTrue("no detector", detector);
        answerPermission(PackageManager.PERMISSION_DENIED);
        FakeApplication.distance = 1.5f;
        choose(picture());
        waitUntil("the answer", () -> isShown(R.id.unknown));
        assertFalse(isShown(R.id.answer_1));
    }

    @Test
    public void aDamagedPictureGivesAMessage() {
        allowCamera();
        start();
        waitForModel();
        choose("no picture at all".getBytes());
        waitUntil("a message", () -> isShown(R.id.message));
        assertMessage(R.string.picture_unreadable);
        click(R.id.gallery);
        assertFalse(isShown(R.id.message));
    }

    @Test
    public void turningTheDeviceKeepsPictureAndCamera() throws Exception {
        allowCamera();
        start();
        waitForModel();
        choose(picture());
        waitUntil("answers", () -> isShown(R.id.answer_1));
        turn();
        waitUntil("answers", () -> isShown(R.id.answer_1));
        assertTrue(isShown(R.id.picture));
        assertEquals("dandelion", text(R.id.answer_1, R.id.label));
        turn();
        waitUntil("answers", () -> isShown(R.id.answer_1));
        controller.pause().stop().destroy();
        waitUntil("all models to be closed", () -> FakeApplication.opened == 3 && FakeApplication.closed == 3);
    }

    @Test
    public void threadsAreChosenAndRemembered() {
        allowCamera();
        start();
        waitForModel();
        click(R.id.threads);
        AlertDialog dialog = (AlertDialog) ShadowDialog.getLatestDialog();
        assertNotNull(dialog);
        shadowOf(dialog).clickOnItem(0);
        waitUntil("the model to be opened again", () -> FakeApplication.opened == 2);
        assertEquals(1, FakeApplication.lastThreads);
        assertEquals("1 thread", ((TextView) activity.findViewById(R.id.threads)).getText().toString());
        turn();
        waitUntil("the model to be opened again", () -> FakeApplication.opened == 3);
        assertEquals(1, FakeApplication.lastThreads);
    }

    /** Writes what is shared beside the screenshots; Python's `compare` reads it in tests/android. */
    @Test
    public void measuringSharesWhatCompareReads() throws Exception {
        allowCamera();
        start();
        waitForModel();
        click(R.id.threads);
        AlertDialog dialog = (AlertDialog) ShadowDialog.getLatestDialog();
        dialog.getButton(AlertDialog.BUTTON_NEUTRAL).performClick();
        waitUntil(
                "the measurement is shared",
                new Callable<Boolean>() {
                    @Override
                    public Boolean call() {
                        return shadowOf(activity).peekNextStartedActivity() != null;
                    }
                });
        Intent send = shadowOf(activity).getNextStartedActivity().getParcelableExtra(Intent.EXTRA_INTENT, Intent.class);
        Uri uri = send.getParcelableExtra(Intent.EXTRA_STREAM, Uri.class);
        ShareProvider provider = Robolectric.setupContentProvider(ShareProvider.class, uri.getAuthority());
        File shared = new File(new File(activity.getCacheDir(), "shared"), uri.getLastPathSegment());
        byte[] bytes = Files.readAllBytes(shared.toPath());
        try (android.database.Cursor row = provider.query(uri, null, null, null, null)) {
            assertTrue(row.moveToFirst());
            assertEquals(bytes.length, row.getLong(1));
        }
        JSONObject found = new JSONObject(new String(bytes, java.nio.charset.StandardCharsets.UTF_8));
        assertEquals("poets_edge-benchmark-1", found.getString("format"));
        JSONObject machine = found.getJSONObject("machine");
        assertEquals("tensorflow-lite", machine.getString("interpreter"));
        assertEquals(android.os.Build.MANUFACTURER + " " + android.os.Build.MODEL, machine.getString("board"));
        JSONObject result = found.getJSONArray("results").getJSONObject(0);
        assertEquals(model.length, result.getInt("size"));
        assertEquals("float32", result.getString("quantization").replace("none", "float32"));
        assertEquals(5, result.getJSONArray("rounds").length());
        assertEquals(50, result.getJSONObject("latency_ms").getInt("count"));
        assertTrue(result.getJSONArray("rounds").getJSONObject(0).getJSONObject("state").has("thermal_status"));
        String folder = System.getProperty("poetsedge.screenshots");
        if (folder != null) {
            Files.write(new File(folder, "benchmark.json").toPath(), bytes);
        }
        waitUntil("the camera is back", () -> !isShown(R.id.message));
    }

    @Test
    public void aMeasurementEndsWhenTheAppIsLeft() {
        allowCamera();
        start();
        waitForModel();
        FakeApplication.inferenceMillis = 5;
        click(R.id.threads);
        ((AlertDialog) ShadowDialog.getLatestDialog()).getButton(AlertDialog.BUTTON_NEUTRAL).performClick();
        settle();
        assertTrue(isShown(R.id.message));
        controller.pause();
        settle();
        controller.resume();
        waitUntil("the camera is back", () -> !isShown(R.id.message));
        assertEquals(null, shadowOf(activity).peekNextStartedActivity());
    }

    @Test
    public void aMissingModelGivesAMessage() {
        FakeApplication.reset(null);
        allowCamera();
        start();
        waitUntil("a message", () -> message().equals(activity.getString(R.string.model_missing)));
        click(R.id.gallery); // must not crash either
        turn();
        waitUntil("a message", () -> message().equals(activity.getString(R.string.model_missing)));
    }

    @Test
    public void aDamagedModelGivesAMessage() {
        byte[] damaged = model.clone();
        damaged[damaged.length / 2] ^= 1;
        assertRefusal(damaged, "The model is damaged");
        assertRefusal(new byte[] {1, 2, 3}, "not a TensorFlow Lite file");
        assertRefusal(Arrays.copyOf(model, model.length - 4000), "no labels");
        assertEquals(0, FakeApplication.opened - FakeApplication.closed);
    }

    @Test
    public void labelsThatDoNotFitGiveAMessage() {
        FakeApplication.scores = new float[] {0.5f, 0.5f};
        allowCamera();
        start();
        waitUntil("a message", () -> message().equals("The model has 2 outputs but 5 labels."));
    }

    @Test
    public void aFailingInterpreterGivesAMessage() {
        FakeApplication.fails = true;
        allowCamera();
        start();
        waitForModel();
        choose(picture());
        waitUntil("a message", () -> message().equals("The model fails: operator 7 failed"));
        assertTrue(isShown(R.id.message));
        assertEquals(1, FakeApplication.closed);
    }

    @Test
    public void withoutACameraPicturesStillWork() throws Exception {
        CameraManager cameras = (CameraManager) RuntimeEnvironment.getApplication().getSystemService(Context.CAMERA_SERVICE);
        shadowOf(cameras).removeCamera("0");
        shadowOf(cameras).removeCamera("1");
        start();
        waitUntil("a message", () -> message().equals(activity.getString(R.string.no_camera)));
        choose(picture());
        waitUntil("answers", () -> isShown(R.id.answer_1));
        assertFalse(isShown(R.id.message));
    }

    /** The real application, whose assets hold no model here. */
    @Test
    @Config(application = DemoApplication.class)
    public void theRealAssetsAreLookedAt() {
        allowCamera();
        start();
        waitUntil("a message", () -> message().equals(activity.getString(R.string.model_missing)));
    }

    // Steps

    private void start() {
        controller = Robolectric.buildActivity(MainActivity.class).setup();
        activity = controller.get();
    }

    private void waitForModel() {
        waitUntil("the model", () -> !message().equals(activity.getString(R.string.loading)) || !isShown(R.id.message));
    }

    /** Turns the device by a quarter, upon which Android starts the activity anew. */
    private void turn() {
        MainActivity before = activity;
        Configuration turned = new Configuration(activity.getResources().getConfiguration());
        boolean wide = turned.orientation == Configuration.ORIENTATION_LANDSCAPE;
        turned.orientation = wide ? Configuration.ORIENTATION_PORTRAIT : Configuration.ORIENTATION_LANDSCAPE;
        turned.screenWidthDp = activity.getResources().getConfiguration().screenHeightDp;
        turned.screenHeightDp = activity.getResources().getConfiguration().screenWidthDp;
        controller.configurationChange(turned).visible();
        activity = controller.get();
        assertNotSame(before, activity);
    }

    private void choose(byte[] file) {
        click(R.id.gallery);
        Intent chooser = shadowOf(activity).getNextStartedActivityForResult().intent;
        assertEquals(Intent.ACTION_OPEN_DOCUMENT, chooser.getAction());
        assertEquals("image/*", chooser.getType());
        shadowOf(RuntimeEnvironment.getApplication().getContentResolver())
                .registerInputStreamSupplier(PICTURE, () -> new ByteArrayInputStream(file));
        shadowOf(activity).receiveResult(chooser, Activity.RESULT_OK, new Intent().setData(PICTURE));
    }

    private static byte[] picture() {
        Bitmap bitmap = Bitmap.createBitmap(40, 30, Bitmap.Config.ARGB_8888);
        bitmap.eraseColor(Color.YELLOW);
        ByteArrayOutputStream file = new ByteArrayOutputStream();
        bitmap.compress(Bitmap.CompressFormat.PNG, 100, file);
        return file.toByteArray();
    }

    private void answerPermission(int answer) {
        activity.onRequestPermissionsResult(1, new String[] {Manifest.permission.CAMERA}, new int[] {answer});
    }

    private static void allowCamera() {
        shadowOf(RuntimeEnvironment.getApplication()).grantPermissions(Manifest.permission.CAMERA);
    }

    private static void addCamera(String id, int facing, int orientation) {
        CameraCharacteristics facts = ShadowCameraCharacteristics.newCameraCharacteristics();
        ShadowCameraCharacteristics shadow = shadowOf(facts);
        shadow.set(CameraCharacteristics.LENS_FACING, facing);
        shadow.set(CameraCharacteristics.SENSOR_ORIENTATION, orientation);
        shadow.set(
                CameraCharacteristics.SCALER_STREAM_CONFIGURATION_MAP,
                StreamConfigurationMapBuilder.newBuilder()
                        .addOutputSize(new android.util.Size(1920, 1080))
                        .addOutputSize(new android.util.Size(960, 720))
                        .addOutputSize(android.graphics.ImageFormat.YUV_420_888, new android.util.Size(640, 480))
                        .build());
        CameraManager cameras = (CameraManager) RuntimeEnvironment.getApplication().getSystemService(Context.CAMERA_SERVICE);
        shadowOf(cameras).addCamera(id, facts);
    }

    // Looks

    private void assertRefusal(byte[] file, String fragment) {
        FakeApplication.reset(file);
        allowCamera();
        start();
        waitUntil("a message with: " + fragment, () -> message().contains(fragment));
        controller.pause().stop().destroy();
    }

    private void assertMessage(int text) {
        assertTrue(isShown(R.id.message));
        assertEquals(activity.getString(text), message());
    }

    private String message() {
        return ((TextView) activity.findViewById(R.id.message_text)).getText().toString();
    }

    private View row(int id) {
        return activity.findViewById(id);
    }

    private String text(int row, int view) {
        return ((TextView) row(row).findViewById(view)).getText().toString();
    }

    private boolean isShown(int view) {
        return activity.findViewById(view).isShown();
    }

    private void click(int view) {
        assertTrue(activity.findViewById(view).performClick());
    }

    private static void settle() {
        shadowOf(Looper.getMainLooper()).idle();
    }

    /** Lets the background threads work until something holds. */
    private static void waitUntil(String what, Callable<Boolean> holds) {
        long end = System.nanoTime() + 10_000_000_000L;
        try {
            for (settle(); !holds.call(); settle()) {
                assertTrue("waited in vain for " + what, System.nanoTime() < end);
                Thread.sleep(5);
            }
        } catch (RuntimeException | InterruptedException error) {
            throw new AssertionError(error);
        } catch (Exception error) {
            throw new AssertionError(error);
        }
    }
}
