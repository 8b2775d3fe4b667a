/** Msgpack as it comes from strangers: every length is checked against what is left before anything is made of it. */

/** DecodeError says by its code why bytes were refused as a whole. */
export class DecodeError extends Error {
  constructor(code, where, path) {
    super(`${code}${where ? ': ' + where : ''}`);
    this.code = code;
    if (path) this.path = path;
  }
}

// Kinds of values, by the first byte.
export const NIL = 1, BOOL = 2, INT = 3, FLOAT = 4, STR = 5, BIN = 6, ARRAY = 7, MAP = 8, EXT = 9, BAD = 0;

const kinds = new Uint8Array(256).map((_, b) => {
  if (b <= 0x7f || b >= 0xe0 || (b >= 0xcc && b <= 0xd3)) return INT;
  if (b <= 0x8f || b === 0xde || b === 0xdf) return MAP;
  if (b <= 0x9f || b === 0xdc || b === 0xdd) return ARRAY;
  if (b <= 0xbf || (b >= 0xd9 && b <= 0xdb)) return STR;
  if (b === 0xc0) return NIL;
  if (b === 0xc1) return BAD;
  if (b <= 0xc3) return BOOL;
  if (b <= 0xc6) return BIN;
  return b === 0xca || b === 0xcb ? FLOAT : EXT;
});

const utf8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });

/** validText reports whether bytes are UTF-8. */
export function validText(bytes) {
  for (let i = 0; i < bytes.length; i++) {
    if (bytes[i] >= 0x80) return validFrom(bytes.subarray(i));
  }
  return true;
}

function validFrom(bytes) {
  try {
    utf8.decode(bytes);
    return true;
  } catch {
    return false;
  }
}

/** A Reader walks over msgpack. Whatever is wrong it throws as a DecodeError. */
export class Reader {
  constructor(bytes, { decimal = false } = {}) {
    this.buf = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    this.end = this.buf.length;
    this.at = 0;
    this.decimal = decimal; // it was JSON, where an integer may be a decimal string
    this.lastText = '';
    this.texts = new Map();
  }

  fail(code, where) { throw new DecodeError(code, where); }

  left() { return this.end - this.at; }

  /** peek returns the kind of the next value. */
  peek(where) {
    if (this.at >= this.end) this.fail('truncated', where);
    const kind = kinds[this.buf[this.at]];
    if (kind === BAD) this.fail('syntax', where);
    if (kind === EXT) this.fail('ext', where);
    return kind;
  }

  expect(kind, where) {
    if (this.peek(where) !== kind) this.fail('shape', where);
  }

  need(n, where) {
    if (this.end - this.at < n) this.fail('truncated', where);
  }

  /** length takes the head of a string, bin, array or map, and returns what it claims. */
  length(where) {
    const b = this.buf[this.at];
    if (b >= 0xa0 && b <= 0xbf) return this.at++, b & 0x1f;
    if (b <= 0x9f) return this.at++, b & 0x0f;
    const width = b === 0xd9 || b === 0xc4 ? 1 : b === 0xda || b === 0xc5 || b === 0xdc || b === 0xde ? 2 : 4;
    this.need(1 + width, where);
    const n = this.buf.readUIntBE(this.at + 1, width);
    this.at += 1 + width;
    return n;
  }

  claimed(n, each, where) {
    if (n * each > this.end - this.at) this.fail('truncated', where);
    return n;
  }

  /** array takes the head of an array. lenient: nil and an empty map are an empty array. */
  array(where, lenient = false) {
    const kind = this.peek(where);
    if (kind === ARRAY) return this.claimed(this.length(where), 1, where);
    if (lenient && this.empty(kind, MAP)) return 0;
    return this.fail('shape', where);
  }

  /** mapping takes the head of a map; nil and an empty array are an empty map. */
  mapping(where) {
    const kind = this.peek(where);
    if (kind === MAP) return this.claimed(this.length(where), 2, where);
    if (this.empty(kind, ARRAY)) return 0;
    return this.fail('shape', where);
  }

  empty(kind, of) {
    if (kind === NIL) return this.at++, true;
    if (kind !== of) return false;
    const before = this.at;
    if (this.length('') === 0) return true;
    this.at = before;
    return false;
  }

  /** text takes a string; with skip it only checks it. */
  text(where, skip = false) {
    this.expect(STR, where);
    const n = this.claimed(this.length(where), 1, where);
    const from = this.at;
    this.at += n;
    let wide = false;
    for (let i = from; i < from + n; i++) {
      if (this.buf[i] >= 0x80) {
        wide = true;
        break;
      }
    }
    if (wide && !validFrom(this.buf.subarray(from, from + n))) this.fail('utf8', where);
    if (skip) return '';
    return wide ? this.buf.utf8Slice(from, from + n) : this.buf.latin1Slice(from, from + n);
  }

  bin(where) {
    const n = this.claimed(this.length(where), 1, where);
    this.at += n;
    return this.buf.subarray(this.at - n, this.at);
  }

  /** integer takes an integer: a number where that is exact, else a BigInt. */
  integer(where) {
    this.expect(INT, where);
    const b = this.buf[this.at];
    if (b <= 0x7f) return this.at++, b;
    if (b >= 0xe0) return this.at++, b - 0x100;
    const width = 1 << (b & 3);
    this.need(1 + width, where);
    const at = this.at + 1;
    this.at = at + width;
    if (width < 8) return b < 0xd0 ? this.buf.readUIntBE(at, width) : this.buf.readIntBE(at, width);
    return exact(b < 0xd0 ? this.buf.readBigUInt64BE(at) : this.buf.readBigInt64BE(at));
  }

  float(where) {
    const width = this.buf[this.at] === 0xca ? 4 : 8;
    this.need(1 + width, where);
    const at = this.at + 1;
    this.at = at + width;
    return width === 4 ? this.buf.readFloatBE(at) : this.buf.readDoubleBE(at);
  }

  /** skip takes one value whatever it is, nested in at most depth arrays and maps. */
  skip(depth, where) {
    switch (this.peek(where)) {
      case NIL: case BOOL: this.at++; return;
      case INT: this.integer(where); return;
      case FLOAT: this.float(where); return;
      case STR: this.text(where, true); return;
      case BIN: this.bin(where); return;
    }
    const each = this.peek(where) === MAP ? 2 : 1;
    const n = this.claimed(this.length(where), each, where) * each;
    if (depth === 0) this.fail('depth', where);
    for (let i = 0; i < n; i++) this.skip(depth - 1, where);
  }
}

/** exact returns a BigInt as a number where that loses nothing. */
export function exact(v) {
  return v >= -9007199254740991n && v <= 9007199254740991n ? Number(v) : v;
}

/** A Writer appends msgpack. */
export class Writer {
  constructor(size = 4096) {
    this.buf = Buffer.allocUnsafe(size);
    this.at = 0;
  }

  room(n) {
    if (this.at + n <= this.buf.length) return;
    const grown = Buffer.allocUnsafe(Math.max(2 * this.buf.length, this.at + n));
    this.buf.copy(grown, 0, 0, this.at);
    this.buf = grown;
  }

  byte(b) {
    this.room(1);
    this.buf[this.at++] = b;
  }

  raw(bytes) {
    this.room(bytes.length);
    this.buf.set(bytes, this.at);
    this.at += bytes.length;
  }

  /** sized writes a head byte and a big-endian number of width bytes. */
  sized(head, n, width) {
    this.room(1 + width);
    this.buf[this.at] = head;
    this.buf.writeUIntBE(n, this.at + 1, width);
    this.at += 1 + width;
  }

  nil() { this.byte(0xc0); }

  bool(v) { this.byte(v ? 0xc3 : 0xc2); }

  /** int writes an integer, a number or a BigInt, in its shortest form. */
  int(v) {
    if (typeof v === 'bigint') {
      v = exact(v);
      if (typeof v === 'bigint') return this.big(v);
    }
    if (v >= 0) {
      if (v < 0x80) return this.byte(v);
      if (v < 0x100) return this.sized(0xcc, v, 1);
      if (v < 0x10000) return this.sized(0xcd, v, 2);
      if (v < 0x100000000) return this.sized(0xce, v, 4);
      return this.big(BigInt(v));
    }
    if (v >= -0x20) return this.byte(v & 0xff);
    if (v >= -0x80) return this.sized(0xd0, v & 0xff, 1);
    if (v >= -0x8000) return this.sized(0xd1, v & 0xffff, 2);
    if (v >= -0x80000000) return this.sized(0xd2, v >>> 0, 4);
    return this.big(BigInt(v));
  }

  big(v) {
    this.room(9);
    this.buf[this.at] = v >= 0n ? 0xcf : 0xd3;
    if (v >= 0n) this.buf.writeBigUInt64BE(v, this.at + 1);
    else this.buf.writeBigInt64BE(v, this.at + 1);
    this.at += 9;
  }

  float(v) {
    this.room(9);
    this.buf[this.at] = 0xcb;
    this.buf.writeDoubleBE(v, this.at + 1);
    this.at += 9;
  }

  str(text) {
    const n = Buffer.byteLength(text);
    if (n < 0x20) this.byte(0xa0 | n);
    else if (n < 0x100) this.sized(0xd9, n, 1);
    else if (n < 0x10000) this.sized(0xda, n, 2);
    else this.sized(0xdb, n, 4);
    this.room(n);
    this.at += this.buf.write(text, this.at);
  }

  bin(bytes) {
    const n = bytes.length;
    if (n < 0x100) this.sized(0xc4, n, 1);
    else if (n < 0x10000) this.sized(0xc5, n, 2);
    else this.sized(0xc6, n, 4);
    this.raw(bytes);
  }

  array(n) {
    if (n < 0x10) this.byte(0x90 | n);
    else if (n < 0x10000) this.sized(0xdc, n, 2);
    else this.sized(0xdd, n, 4);
  }

  map(n) {
    if (n < 0x10) this.byte(0x80 | n);
    else if (n < 0x10000) this.sized(0xde, n, 2);
    else this.sized(0xdf, n, 4);
  }

  done() { return this.buf.subarray(0, this.at); }
}
