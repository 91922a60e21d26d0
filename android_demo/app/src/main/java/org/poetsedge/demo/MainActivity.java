package org.poetsedge.demo;

import android.Manifest;
import android.app.Activity;
import android.app.AlertDialog;
import android.content.ActivityNotFoundException;
import android.content.DialogInterface;
import android.content.Intent;
import android.content.SharedPreferences;
import android.content.pm.PackageManager;
import android.graphics.Bitmap;
import android.graphics.Insets;
import android.net.Uri;
import android.os.Build;
import android.os.Bundle;
import android.provider.Settings;
import android.view.View;
import android.view.WindowInsets;
import android.view.WindowManager;
import android.widget.Button;
import android.widget.CheckBox;
import android.widget.CompoundButton;
import android.widget.ImageView;
import android.widget.ProgressBar;
import android.widget.TextView;
import java.io.IOException;
import java.util.ArrayList;
import java.util.List;
import org.poetsedge.demo.core.Answer;
import org.poetsedge.demo.core.Classifier;
import org.poetsedge.demo.core.Picture;

/** The one screen: a live or chosen picture, its three best labels, and how long they took. */
public final class MainActivity extends Activity implements Recognizer.Listener, CameraFeed.Listener {
    private static final int REQUEST_CAMERA = 1;
    private static final int REQUEST_PICTURE = 2;
    private static final String STATE_FRONT = "front";
    private static final String STATE_PICTURE = "picture";
    private static final String STATE_ASKED = "asked";
    private static final String SETTING_THREADS = "threads";
    private static final String SETTING_ACCEPT_ALL = "accept all";
    private static final int[] ANSWER_ROWS = {R.id.answer_1, R.id.answer_2, R.id.answer_3};

    private Recognizer recognizer;
    private CameraFeed camera;
    private Classifier classifier; // null until the model is open
    private boolean resumed;
    private boolean front;
    private boolean askedForCamera;
    private Uri chosenPicture; // null while the camera is in use
    private boolean measuring;
    private Recognizer.Answers shownAnswers; // null if there are none

    @Override
    protected void onCreate(Bundle state) {
        super.onCreate(state);
        setContentView(R.layout.main);
        keepClearOfSystemBars();
        if (state != null) {
            front = state.getBoolean(STATE_FRONT);
            askedForCamera = state.getBoolean(STATE_ASKED);
            String picture = state.getString(STATE_PICTURE);
            chosenPicture = picture == null ? null : Uri.parse(picture);
        }
        camera = new CameraFeed(this, findViewById(R.id.preview), this);
        recognizer = new Recognizer((DemoApplication) getApplication(), this);
        connectControls();
        showThreads();
        clearAnswers();
        showMessage(getString(R.string.loading), 0, null);
        recognizer.open(threads());
    }

    @Override
    protected void onResume() {
        super.onResume();
        resumed = true;
        showSource();
    }

    @Override
    protected void onPause() {
        resumed = false;
        recognizer.stopMeasuring(); // apps in the background run on slow processors
        camera.stop();
        super.onPause();
    }

    @Override
    protected void onDestroy() {
        recognizer.close();
        super.onDestroy();
    }

    @Override
    protected void onSaveInstanceState(Bundle state) {
        super.onSaveInstanceState(state);
        state.putBoolean(STATE_FRONT, front);
        state.putBoolean(STATE_ASKED, askedForCamera);
        state.putString(STATE_PICTURE, chosenPicture == null ? null : chosenPicture.toString());
    }

    // Controls

    private void connectControls() {
        onClick(
                R.id.gallery,
                new Runnable() {
                    @Override
                    public void run() {
                        if (chosenPicture == null) {
                            choosePicture();
                        } else {
                            chosenPicture = null;
                            showSource();
                        }
                    }
                });
        onClick(
                R.id.switch_camera,
                new Runnable() {
                    @Override
                    public void run() {
                        front = !front;
                        showSource();
                    }
                });
        onClick(
                R.id.threads,
                new Runnable() {
                    @Override
                    public void run() {
                        chooseThreads();
                    }
                });
    }

    private void connectDetector() {
        CheckBox box = findViewById(R.id.accept_all);
        show(R.id.accept_all, classifier.hasDetector());
        box.setOnCheckedChangeListener(null);
        box.setChecked(settings().getBoolean(SETTING_ACCEPT_ALL, false));
        box.setOnCheckedChangeListener(
                new CompoundButton.OnCheckedChangeListener() {
                    @Override
                    public void onCheckedChanged(CompoundButton button, boolean checked) {
                        settings().edit().putBoolean(SETTING_ACCEPT_ALL, checked).apply();
                        if (shownAnswers != null) {
                            showAnswers(shownAnswers);
                        }
                    }
                });
    }

    private void onClick(int button, final Runnable action) {
        findViewById(button)
                .setOnClickListener(
                        new View.OnClickListener() {
                            @Override
                            public void onClick(View clicked) {
                                action.run();
                            }
                        });
    }

    private void choosePicture() {
        Intent choose = new Intent(Intent.ACTION_OPEN_DOCUMENT).addCategory(Intent.CATEGORY_OPENABLE);
        try {
            startActivityForResult(choose.setType("image/*"), REQUEST_PICTURE);
        } catch (ActivityNotFoundException nobody) {
            showMessage(getString(R.string.picture_app_missing), R.string.back_to_camera, sourceAgain);
        }
    }

    @Override
    protected void onActivityResult(int request, int result, Intent data) {
        if (request == REQUEST_PICTURE && result == RESULT_OK && data != null && data.getData() != null) {
            chosenPicture = data.getData();
            showSource();
        }
    }

    private void chooseThreads() {
        final List<Integer> choices = new ArrayList<>();
        List<String> names = new ArrayList<>();
        for (int count = 1; count <= Runtime.getRuntime().availableProcessors(); count *= 2) {
            choices.add(count);
            names.add(getResources().getQuantityString(R.plurals.threads, count, count));
        }
        new AlertDialog.Builder(this)
                .setTitle(R.string.threads_title)
                .setSingleChoiceItems(
                        names.toArray(new String[0]),
                        choices.indexOf(threads()),
                        new DialogInterface.OnClickListener() {
                            @Override
                            public void onClick(DialogInterface dialog, int chosen) {
                                dialog.dismiss();
                                useThreads(choices.get(chosen));
                            }
                        })
                .setNeutralButton(
                        R.string.measure,
                        new DialogInterface.OnClickListener() {
                            @Override
                            public void onClick(DialogInterface dialog, int which) {
                                measure();
                            }
                        })
                .show();
    }

    /** Times the model with 1, 2 and 4 threads, as poets-edge benchmark does, and offers the result to other apps. */
    private void measure() {
        if (classifier == null || !resumed) {
            return;
        }
        classifier = null; // until the model is open again
        measuring = true;
        camera.stop();
        clearAnswers();
        getWindow().addFlags(WindowManager.LayoutParams.FLAG_KEEP_SCREEN_ON);
        showMeasuring(0);
        recognizer.measure(threads());
    }

    private void showMeasuring(int percent) {
        showMessage(
                getString(R.string.measuring, percent),
                R.string.stop,
                new Runnable() {
                    @Override
                    public void run() {
                        recognizer.stopMeasuring();
                    }
                });
    }

    private void useThreads(int count) {
        settings().edit().putInt(SETTING_THREADS, count).apply();
        showThreads();
        recognizer.open(count);
    }

    /** Number of threads that the user has chosen; by default, half of the processors (slow ones delay the rest). */
    private int threads() {
        int half = Math.max(1, Math.min(4, Runtime.getRuntime().availableProcessors() / 2));
        return settings().getInt(SETTING_THREADS, Integer.highestOneBit(half));
    }

    private SharedPreferences settings() {
        return getPreferences(MODE_PRIVATE);
    }

    private void showThreads() {
        Button button = findViewById(R.id.threads);
        button.setText(getResources().getQuantityString(R.plurals.threads, threads(), threads()));
    }

    // Camera or picture

    private final Runnable sourceAgain =
            new Runnable() {
                @Override
                public void run() {
                    showSource();
                }
            };

    /** Shows the chosen picture or the camera if the model is open. */
    private void showSource() {
        if (measuring) {
            return;
        }
        boolean live = chosenPicture == null;
        List<Boolean> facings = camera.facings();
        show(R.id.switch_camera, live && facings.size() == 2);
        ((TextView) findViewById(R.id.gallery)).setText(live ? R.string.gallery : R.string.back_to_camera);
        ((TextView) findViewById(R.id.hint)).setText(live ? R.string.aim : R.string.whole_picture);
        camera.stop();
        if (classifier == null || !resumed) {
            return;
        }
        clearAnswers();
        if (live) {
            showCamera(facings);
        } else {
            labelChosenPicture(chosenPicture);
        }
    }

    private void showCamera(List<Boolean> facings) {
        show(R.id.picture, false);
        showMessage(null, 0, null);
        if (facings.isEmpty()) {
            showMessage(getString(R.string.no_camera), 0, null);
        } else if (checkSelfPermission(Manifest.permission.CAMERA) == PackageManager.PERMISSION_GRANTED) {
            recognizer.resetSmoothing();
            int side = Math.max(classifier.inputWidth(), classifier.inputHeight());
            camera.start(facings.contains(front) ? front : facings.get(0), side);
        } else if (askedForCamera) {
            showPermissionRefused();
        } else {
            askForCamera();
        }
    }

    private void askForCamera() {
        askedForCamera = true;
        requestPermissions(new String[] {Manifest.permission.CAMERA}, REQUEST_CAMERA);
    }

    private void showPermissionRefused() {
        showMessage(
                getString(R.string.permission_refused),
                R.string.allow_camera,
                new Runnable() {
                    @Override
                    public void run() {
                        if (shouldShowRequestPermissionRationale(Manifest.permission.CAMERA)) {
                            askForCamera();
                        } else {
                            // Denied permanently: Android no longer asks, and only its settings can change this.
                            Uri us = Uri.fromParts("package", getPackageName(), null);
                            startActivity(new Intent(Settings.ACTION_APPLICATION_DETAILS_SETTINGS, us));
                        }
                    }
                });
    }

    @Override
    public void onRequestPermissionsResult(int request, String[] permissions, int[] results) {
        if (request == REQUEST_CAMERA) {
            showSource();
        }
    }

    private void labelChosenPicture(final Uri uri) {
        recognizer.post(
                new Runnable() {
                    @Override
                    public void run() {
                        long started = System.nanoTime();
                        try {
                            Bitmap bitmap = GalleryPicture.read(getApplication().getContentResolver(), uri);
                            showPicture(uri, bitmap);
                            recognizer.labelPicture(GalleryPicture.toPicture(bitmap), started);
                        } catch (IOException unreadable) {
                            showPicture(uri, null);
                        }
                    }
                });
    }

    private void showPicture(final Uri uri, final Bitmap bitmap) {
        runOnUiThread(
                new Runnable() {
                    @Override
                    public void run() {
                        if (!uri.equals(chosenPicture)) {
                            return;
                        }
                        ((ImageView) findViewById(R.id.picture)).setImageBitmap(bitmap);
                        show(R.id.picture, bitmap != null);
                        String trouble = bitmap == null ? getString(R.string.picture_unreadable) : null;
                        showMessage(trouble, 0, null);
                    }
                });
    }

    // From the recognizer, on the main thread

    @Override
    public void onModelReady(Classifier opened) {
        classifier = opened;
        connectDetector();
        showSource();
    }

    @Override
    public void onModelMissing() {
        showMessage(getString(R.string.model_missing), 0, null);
    }

    @Override
    public void onModelRefused(String reason) {
        measuring = false;
        showMessage(reason, 0, null);
    }

    @Override
    public void onAnswers(Recognizer.Answers answers) {
        if (answers.live == (chosenPicture == null)) {
            showAnswers(answers);
        }
    }

    @Override
    public void onMeasuring(int done, int total) {
        showMeasuring(100 * done / total);
    }

    @Override
    public void onMeasured(String json) {
        measuring = false;
        getWindow().clearFlags(WindowManager.LayoutParams.FLAG_KEEP_SCREEN_ON);
        if (json == null) {
            return; // stopped; the picture is labeled when the model is open again
        }
        try {
            String name = Build.MODEL.replaceAll("[^A-Za-z0-9]+", "-") + ".json";
            startActivity(ShareProvider.share(this, name, json));
        } catch (IOException full) {
            showMessage(getString(R.string.measurement_lost), R.string.back_to_camera, sourceAgain);
        }
    }

    // From the camera

    @Override
    public boolean wantsFrame() {
        return recognizer.isFree();
    }

    @Override
    public void onFrame(Picture square, long startedNanos) {
        recognizer.labelFrame(square, startedNanos);
    }

    @Override
    public void onPlaced(int square) {
        ((Viewfinder) findViewById(R.id.viewfinder)).setSquare(square);
    }

    @Override
    public void onCameraFailed() {
        camera.stop();
        showMessage(getString(R.string.camera_busy), R.string.try_again, sourceAgain);
    }

    // Views

    /** Since Android 15, apps draw under the system bars and the camera cutout; older versions use fitsSystemWindows. */
    private void keepClearOfSystemBars() {
        if (Build.VERSION.SDK_INT < Build.VERSION_CODES.R) {
            return;
        }
        findViewById(R.id.screen)
                .setOnApplyWindowInsetsListener(
                        new View.OnApplyWindowInsetsListener() {
                            @Override
                            public WindowInsets onApplyWindowInsets(View screen, WindowInsets all) {
                                Insets taken =
                                        all.getInsets(
                                                WindowInsets.Type.systemBars() | WindowInsets.Type.displayCutout());
                                screen.setPadding(taken.left, taken.top, taken.right, taken.bottom);
                                return WindowInsets.CONSUMED;
                            }
                        });
    }

    private void showAnswers(Recognizer.Answers answers) {
        shownAnswers = answers;
        boolean unknown = answers.unknown && !settings().getBoolean(SETTING_ACCEPT_ALL, false);
        show(R.id.unknown, unknown);
        if (unknown) {
            ((TextView) findViewById(R.id.nearest)).setText(getString(R.string.nearest, answers.best.get(0).label));
        }
        for (int i = 0; i < ANSWER_ROWS.length; i++) {
            boolean there = !unknown && i < answers.best.size();
            View row = findViewById(ANSWER_ROWS[i]);
            row.setVisibility(there ? View.VISIBLE : View.INVISIBLE);
            if (there) {
                showAnswer(row, answers.best.get(i));
            }
        }
        String timing = getString(R.string.timing, answers.inferenceMillis, answers.totalMillis);
        ((TextView) findViewById(R.id.timing)).setText(timing);
    }

    private void showAnswer(View row, Answer answer) {
        ProgressBar bar = row.findViewById(R.id.bar);
        bar.setProgress(Math.round(answer.score * bar.getMax()));
        ((TextView) row.findViewById(R.id.label)).setText(answer.label);
        String percent = getString(R.string.percent, Math.round(answer.score * 100));
        ((TextView) row.findViewById(R.id.score)).setText(percent);
    }

    private void clearAnswers() {
        shownAnswers = null;
        show(R.id.unknown, false);
        for (int row : ANSWER_ROWS) {
            findViewById(row).setVisibility(View.INVISIBLE);
        }
        ((TextView) findViewById(R.id.timing)).setText("");
    }

    /** @param text message over the stage; null removes the message */
    private void showMessage(String text, int actionName, final Runnable action) {
        show(R.id.message, text != null);
        findViewById(R.id.hint).setVisibility(text == null ? View.VISIBLE : View.INVISIBLE);
        ((TextView) findViewById(R.id.message_text)).setText(text);
        Button button = findViewById(R.id.message_action);
        button.setVisibility(action == null ? View.GONE : View.VISIBLE);
        if (action != null) {
            button.setText(actionName);
            onClick(R.id.message_action, action);
        }
    }

    private void show(int view, boolean visible) {
        findViewById(view).setVisibility(visible ? View.VISIBLE : View.GONE);
    }
}
