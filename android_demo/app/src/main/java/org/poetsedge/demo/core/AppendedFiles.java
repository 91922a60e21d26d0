package org.poetsedge.demo.core;

import java.io.ByteArrayInputStream;
import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.util.LinkedHashMap;
import java.util.Map;
import java.util.zip.ZipEntry;
import java.util.zip.ZipInputStream;

/** The zip archive that stands behind a model in the same file: its labels and facts. */
final class AppendedFiles {
    private static final int END_SIGNATURE = 0x06054b50;
    private static final int ENTRY_SIGNATURE = 0x02014b50;
    private static final int END_SIZE = 22;
    private static final int LONGEST_COMMENT = 0xffff;

    /** Offset of the archive; the length of the file if there is no archive. */
    final int start;

    final Map<String, byte[]> files;

    private AppendedFiles(int start, Map<String, byte[]> files) {
        this.start = start;
        this.files = files;
    }

    static AppendedFiles of(ByteBuffer file) throws IOException {
        ByteBuffer data = file.duplicate().order(ByteOrder.LITTLE_ENDIAN);
        int end = endRecord(data);
        int entries = end < 0 ? 0 : data.getShort(end + 10) & 0xffff;
        if (entries == 0) {
            return new AppendedFiles(data.limit(), new LinkedHashMap<String, byte[]>());
        }
        int directory = end - data.getInt(end + 12);
        // Some writers count offsets from the start of the file, some from the start of the archive.
        int base = directory - data.getInt(end + 16);
        int start = data.limit();
        for (int entry = directory, i = 0; i < entries; i++) {
            if (data.getInt(entry) != ENTRY_SIGNATURE) {
                throw new IOException("the archive's directory is damaged");
            }
            start = Math.min(start, base + data.getInt(entry + 42));
            entry += 46 + length(data, entry + 28) + length(data, entry + 30) + length(data, entry + 32);
        }
        if (start < 0) {
            throw new IOException("the archive would begin before the file");
        }
        return new AppendedFiles(start, unpack(data, start));
    }

    private static int endRecord(ByteBuffer data) {
        int last = data.limit() - END_SIZE;
        for (int at = last; at >= Math.max(0, last - LONGEST_COMMENT); at--) {
            if (data.getInt(at) == END_SIGNATURE) {
                return at;
            }
        }
        return -1;
    }

    private static int length(ByteBuffer data, int at) {
        return data.getShort(at) & 0xffff;
    }

    private static Map<String, byte[]> unpack(ByteBuffer data, int start) throws IOException {
        byte[] archive = new byte[data.limit() - start];
        ByteBuffer tail = data.duplicate();
        tail.position(start);
        tail.get(archive);
        Map<String, byte[]> files = new LinkedHashMap<>();
        try (ZipInputStream zip = new ZipInputStream(new ByteArrayInputStream(archive))) {
            for (ZipEntry entry = zip.getNextEntry(); entry != null; entry = zip.getNextEntry()) {
                files.put(entry.getName(), readAll(zip));
            }
        }
        return files;
    }

    private static byte[] readAll(ZipInputStream zip) throws IOException {
        ByteArrayOutputStream all = new ByteArrayOutputStream();
        byte[] part = new byte[8192];
        for (int count = zip.read(part); count >= 0; count = zip.read(part)) {
            all.write(part, 0, count);
        }
        return all.toByteArray();
    }
}
