package org.poetsedge.demo;

import static org.junit.Assert.assertEquals;
import static org.junit.Assert.assertTrue;

import android.graphics.Bitmap;
import android.graphics.Canvas;
import android.graphics.Color;
import android.graphics.Rect;
import android.os.Looper;
import android.view.View;
import android.view.ViewGroup;
import android.widget.TextView;
import java.io.File;
import java.io.FileOutputStream;
import java.nio.file.Files;
import java.util.Arrays;
import java.util.concurrent.locks.LockSupport;
import org.junit.Assume;
import org.junit.Before;
import org.junit.Test;
import org.junit.runner.RunWith;
import org.poetsedge.demo.core.Answer;
import org.robolectric.Robolectric;
import org.robolectric.RobolectricTestRunner;
import org.robolectric.RuntimeEnvironment;
import org.robolectric.Shadows;
import org.robolectric.annotation.Config;
import org.robolectric.annotation.GraphicsMode;

/** The screen on devices of several shapes: everything is on it, no text is cut, and dark is dark. */
@RunWith(RobolectricTestRunner.class)
@Config(application = FakeApplication.class)
@GraphicsMode(GraphicsMode.Mode.NATIVE)
public final class LayoutTest {
    private static final String PHONE = "w393dp-h851dp-normal-long-notround-port-notnight-xhdpi";
    private static final String SMALL_PHONE = "w320dp-h533dp-small-notlong-notround-port-notnight-hdpi";

    private MainActivity activity;

    @Before
    public void prepare() throws Exception {
        String vectors = System.getProperty("poetsedge.vectors");
        Assume.assumeTrue("no vectors", vectors != null);
        FakeApplication.reset(Files.readAllBytes(new File(vectors, "float32/model.tflite").toPath()));
    }

    @Test
    @Config(qualifiers = PHONE)
    public void portrait() throws Exception {
        showAnswers();
        assertEverythingFits();
        assertTrue(brightness(screenshot("portrait")) > 128);
    }

    @Test
    @Config(qualifiers = "w851dp-h393dp-normal-long-notround-land-notnight-xhdpi")
    public void landscape() throws Exception {
        showAnswers();
        assertEverythingFits();
        assertTrue(activity.findViewById(R.id.answer_1).getWidth() < activity.findViewById(R.id.preview).getWidth());
        screenshot("landscape");
    }

    @Test
    @Config(qualifiers = SMALL_PHONE)
    public void smallPhone() throws Exception {
        showAnswers();
        assertEverythingFits();
        screenshot("small");
    }

    @Test
    @Config(qualifiers = "w393dp-h851dp-normal-long-notround-port-night-xhdpi")
    public void night() throws Exception {
        showAnswers();
        assertEverythingFits();
        assertTrue(brightness(screenshot("night")) < 96);
    }

    @Test
    @Config(qualifiers = PHONE)
    public void largeType() throws Exception {
        RuntimeEnvironment.setFontScale(1.8f);
        showAnswers();
        assertEverythingFits();
        screenshot("large");
    }

    @Test
    @Config(qualifiers = SMALL_PHONE)
    public void unknownOnASmallPhone() throws Exception {
        showUnknown();
        assertTrue(text(R.id.nearest).endsWith("sunflowers"));
        assertEverythingFits();
        screenshot("unknown-small");
    }

    @Test
    @Config(qualifiers = "w851dp-h393dp-normal-long-notround-land-night-xhdpi")
    public void unknownInLandscape() throws Exception {
        showUnknown();
        assertEverythingFits();
        screenshot("unknown-landscape");
    }

    @Test
    @Config(qualifiers = SMALL_PHONE)
    public void message() throws Exception {
        start();
        activity.onRequestPermissionsResult(1, new String[0], new int[0]);
        idle();
        assertEquals(activity.getString(R.string.no_camera), text(R.id.message_text));
        activity.onCameraFailed();
        idle();
        assertEverythingFits();
        screenshot("message");
    }

    private void showUnknown() {
        showAnswers();
        activity.findViewById(R.id.accept_all).setVisibility(View.VISIBLE);
        activity.onAnswers(answers(true));
        idle();
    }

    private void showAnswers() {
        start();
        activity.findViewById(R.id.message).setVisibility(View.GONE);
        activity.findViewById(R.id.hint).setVisibility(View.VISIBLE);
        activity.findViewById(R.id.switch_camera).setVisibility(View.VISIBLE); // the widest row of buttons
        View preview = activity.findViewById(R.id.preview);
        preview.setVisibility(View.INVISIBLE); // without a camera it would punch a hole into the screenshot
        activity.onPlaced(Math.min(preview.getWidth(), preview.getHeight() * 3 / 4));
        activity.onAnswers(answers(false));
        idle();
    }

    private static Recognizer.Answers answers(boolean unknown) {
        return new Recognizer.Answers(
                Arrays.asList(
                        new Answer("sunflowers", 0.86f), new Answer("dandelion", 0.12f), new Answer("tulips", 0.02f)),
                unknown,
                true,
                123.4,
                167);
    }

    /** Starts the app, and waits until the model is loaded, after which the app shows the camera or why it cannot. */
    private void start() {
        activity = Robolectric.buildActivity(MainActivity.class).setup().get();
        String loading = activity.getString(R.string.loading);
        long end = System.nanoTime() + 60_000_000_000L;
        for (idle(); text(R.id.message_text).equals(loading); idle()) {
            assertTrue("the model was not loaded", System.nanoTime() < end);
            LockSupport.parkNanos(5_000_000);
        }
    }

    private void assertEverythingFits() {
        View root = activity.getWindow().getDecorView();
        Rect screen = new Rect(0, 0, root.getWidth(), root.getHeight());
        check((ViewGroup) root, screen);
    }

    private void check(ViewGroup group, Rect screen) {
        for (int i = 0; i < group.getChildCount(); i++) {
            View child = group.getChildAt(i);
            if (child instanceof TextView && child.isShown() && ((TextView) child).length() > 0) {
                TextView text = (TextView) child;
                int[] corner = new int[2];
                text.getLocationInWindow(corner);
                Rect place =
                        new Rect(corner[0], corner[1], corner[0] + text.getWidth(), corner[1] + text.getHeight());
                assertTrue("outside the screen: " + text.getText() + " " + place, screen.contains(place));
                for (int line = 0; line < text.getLayout().getLineCount(); line++) {
                    assertEquals("cut: " + text.getText(), 0, text.getLayout().getEllipsisCount(line));
                }
                int room = text.getHeight() - text.getCompoundPaddingTop() - text.getCompoundPaddingBottom();
                assertTrue("too low for: " + text.getText(), text.getLayout().getHeight() <= room);
            } else if (child instanceof ViewGroup) {
                check((ViewGroup) child, screen);
            }
        }
    }

    /** Draws the screen, into a file as well where the build asks for it. */
    private Bitmap screenshot(String name) throws Exception {
        View root = activity.getWindow().getDecorView();
        Bitmap bitmap = Bitmap.createBitmap(root.getWidth(), root.getHeight(), Bitmap.Config.ARGB_8888);
        root.draw(new Canvas(bitmap));
        String folder = System.getProperty("poetsedge.screenshots");
        if (folder != null) {
            try (FileOutputStream file = new FileOutputStream(new File(folder, name + ".png"))) {
                bitmap.compress(Bitmap.CompressFormat.PNG, 100, file);
            }
        }
        return bitmap;
    }

    private static int brightness(Bitmap bitmap) {
        long sum = 0;
        int count = 0;
        for (int y = 0; y < bitmap.getHeight(); y += 7) {
            for (int x = 0; x < bitmap.getWidth(); x += 7) {
                sum += Math.round(255 * Color.luminance(bitmap.getPixel(x, y)));
                count++;
            }
        }
        return (int) (sum / count);
    }

    private String text(int view) {
        return ((TextView) activity.findViewById(view)).getText().toString();
    }

    private static void idle() {
        Shadows.shadowOf(Looper.getMainLooper()).idle();
    }
}
