/**
 * A table of a FlatBuffer, read in place by field number.
 *
 * A table starts with the distance back to its vtable; the vtable's slot 4 + 2n holds where in the table field n lies,
 * or 0 if it is absent. Damaged data throws RangeError and no other error.
 */
export class FlatTable {
  private constructor(
    private readonly data: DataView,
    private readonly start: number,
  ) {}

  /** The root table of a FlatBuffer that fills `bytes`. */
  static root(bytes: Uint8Array): FlatTable {
    const data = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    return new FlatTable(data, data.getUint32(0, true));
  }

  has(field: number): boolean {
    return this.offset(field) !== 0;
  }

  int8(field: number): number {
    return this.has(field) ? this.data.getInt8(this.start + this.offset(field)) : 0;
  }

  uint32(field: number): number {
    return this.has(field) ? this.data.getUint32(this.start + this.offset(field), true) : 0;
  }

  text(field: number): string {
    return new TextDecoder().decode(this.bytes(field));
  }

  /** A table in a separate field, as for unions. */
  table(field: number): FlatTable {
    return this.follow(this.start + this.offset(field));
  }

  tables(field: number): FlatTable[] {
    return this.each(field, 4, (at) => this.follow(at));
  }

  int32s(field: number): number[] {
    return this.each(field, 4, (at) => this.data.getInt32(at, true));
  }

  int64s(field: number): number[] {
    return this.each(field, 8, (at) => Number(this.data.getBigInt64(at, true)));
  }

  float32s(field: number): number[] {
    return this.each(field, 4, (at) => this.data.getFloat32(at, true));
  }

  /** The bytes of a vector or string, as a view. */
  bytes(field: number): Uint8Array {
    const length = this.length(field, 1);
    const from = this.data.byteOffset + (length ? this.vector(field) + 4 : 0);
    return new Uint8Array(this.data.buffer, from, length);
  }

  private each<T>(field: number, size: number, read: (at: number) => T): T[] {
    const from = this.has(field) ? this.vector(field) + 4 : 0;
    return Array.from({ length: this.length(field, size) }, (_, index) => read(from + size * index));
  }

  private follow(pointer: number): FlatTable {
    return new FlatTable(this.data, pointer + this.data.getUint32(pointer, true));
  }

  private offset(field: number): number {
    const vtable = this.start - this.data.getInt32(this.start, true);
    const slot = 4 + 2 * field;
    return slot < this.data.getUint16(vtable, true) ? this.data.getUint16(vtable + slot, true) : 0;
  }

  private vector(field: number): number {
    const pointer = this.start + this.offset(field);
    return pointer + this.data.getUint32(pointer, true);
  }

  private length(field: number, size: number): number {
    if (!this.has(field)) return 0;
    const vector = this.vector(field);
    const length = this.data.getUint32(vector, true);
    if (vector + 4 + length * size > this.data.byteLength) throw new RangeError("a vector longer than the file");
    return length;
  }
}
