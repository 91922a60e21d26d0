package org.poetsedge.demo.core;

import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.charset.StandardCharsets;

/**
 * A table of a FlatBuffer, read in place by field number.
 *
 * <p>A table starts with the distance back to its vtable; the vtable's slot 4 + 2n holds where in the table
 * field n is, or 0 if it is absent. Damaged data throws IndexOutOfBoundsException or
 * IllegalArgumentException and no other exception.
 */
final class FlatTable {
    private final ByteBuffer data;
    private final int start;

    private FlatTable(ByteBuffer data, int start) {
        this.data = data;
        this.start = start;
    }

    /** The root table of a FlatBuffer that fills `data` from index 0. */
    static FlatTable root(ByteBuffer data) {
        ByteBuffer ordered = data.duplicate().order(ByteOrder.LITTLE_ENDIAN);
        return new FlatTable(ordered, ordered.getInt(0));
    }

    boolean has(int field) {
        return offset(field) != 0;
    }

    int unsignedByte(int field) {
        return has(field) ? data.get(start + offset(field)) & 0xff : 0;
    }

    int integer(int field) {
        return has(field) ? data.getInt(start + offset(field)) : 0;
    }

    String text(int field) {
        return has(field) ? StandardCharsets.UTF_8.decode(bytes(field)).toString() : "";
    }

    /** Returns a table in a separate field, as for unions. */
    FlatTable table(int field) {
        return at(start + offset(field));
    }

    FlatTable[] tables(int field) {
        FlatTable[] tables = new FlatTable[length(field, 4)];
        for (int i = 0; i < tables.length; i++) {
            tables[i] = at(elements(field) + 4 * i);
        }
        return tables;
    }

    float[] floats(int field) {
        float[] floats = new float[length(field, 4)];
        for (int i = 0; i < floats.length; i++) {
            floats[i] = data.getFloat(elements(field) + 4 * i);
        }
        return floats;
    }

    /** Returns a view of the bytes of a vector or string. */
    ByteBuffer bytes(int field) {
        int length = length(field, 1);
        ByteBuffer view = data.duplicate();
        int from = length == 0 ? 0 : elements(field);
        view.limit(from + length);
        view.position(from);
        return view.slice();
    }

    private FlatTable at(int pointer) {
        return new FlatTable(data, pointer + data.getInt(pointer));
    }

    private int offset(int field) {
        int vtable = start - data.getInt(start);
        int slot = 4 + 2 * field;
        return slot < (data.getShort(vtable) & 0xffff) ? data.getShort(vtable + slot) & 0xffff : 0;
    }

    private int vector(int field) {
        int pointer = start + offset(field);
        return pointer + data.getInt(pointer);
    }

    private int elements(int field) {
        return vector(field) + 4;
    }

    private int length(int field, int elementSize) {
        if (!has(field)) {
            return 0;
        }
        int length = data.getInt(vector(field));
        if (length < 0 || length > data.limit() / elementSize) {
            throw new IndexOutOfBoundsException("a vector longer than the file");
        }
        return length;
    }
}
