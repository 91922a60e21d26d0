package org.poetsedge.demo;

import android.content.ContentProvider;
import android.content.ContentValues;
import android.content.Context;
import android.content.Intent;
import android.database.Cursor;
import android.database.MatrixCursor;
import android.net.Uri;
import android.os.ParcelFileDescriptor;
import android.provider.OpenableColumns;
import java.io.File;
import java.io.FileNotFoundException;
import java.io.FileOutputStream;
import java.io.IOException;
import java.nio.charset.StandardCharsets;

/** Lets the app that a measurement is shared with read that one file, and nothing else. */
public final class ShareProvider extends ContentProvider {
    private static final String TYPE = "application/json";
    private static final String FOLDER = "shared";

    /** Writes a file for sharing. @return an intent that offers the file to other apps */
    static Intent share(Context context, String name, String json) throws IOException {
        File folder = new File(context.getCacheDir(), FOLDER);
        if (!folder.isDirectory() && !folder.mkdirs()) {
            throw new IOException("no room for the file");
        }
        try (FileOutputStream file = new FileOutputStream(new File(folder, name))) {
            file.write(json.getBytes(StandardCharsets.UTF_8));
        }
        Uri uri = new Uri.Builder().scheme("content").authority(context.getPackageName() + ".share").path(name).build();
        Intent send = new Intent(Intent.ACTION_SEND).setType(TYPE).putExtra(Intent.EXTRA_STREAM, uri);
        send.putExtra(Intent.EXTRA_SUBJECT, name).addFlags(Intent.FLAG_GRANT_READ_URI_PERMISSION);
        send.setClipData(android.content.ClipData.newRawUri(name, uri)); // the permission also applies to the clip data
        return Intent.createChooser(send, null);
    }

    private File file(Uri uri) throws FileNotFoundException {
        // Only the last segment, so that "../" cannot lead out of the folder.
        String name = uri.getLastPathSegment();
        File file = new File(new File(getContext().getCacheDir(), FOLDER), name == null ? "" : new File(name).getName());
        if (!file.isFile()) {
            throw new FileNotFoundException(uri.toString());
        }
        return file;
    }

    @Override
    public ParcelFileDescriptor openFile(Uri uri, String mode) throws FileNotFoundException {
        return ParcelFileDescriptor.open(file(uri), ParcelFileDescriptor.MODE_READ_ONLY);
    }

    @Override
    public Cursor query(Uri uri, String[] columns, String selection, String[] arguments, String order) {
        MatrixCursor cursor = new MatrixCursor(new String[] {OpenableColumns.DISPLAY_NAME, OpenableColumns.SIZE});
        try {
            File file = file(uri);
            cursor.addRow(new Object[] {file.getName(), file.length()});
        } catch (FileNotFoundException gone) {
            return cursor; // no row: the file does not exist
        }
        return cursor;
    }

    @Override
    public String getType(Uri uri) {
        return TYPE;
    }

    @Override
    public boolean onCreate() {
        return true;
    }

    @Override
    public Uri insert(Uri uri, ContentValues values) {
        throw new UnsupportedOperationException();
    }

    @Override
    public int delete(Uri uri, String selection, String[] arguments) {
        throw new UnsupportedOperationException();
    }

    @Override
    public int update(Uri uri, ContentValues values, String selection, String[] arguments) {
        throw new UnsupportedOperationException();
    }
}
