/** Columns of a batch: decoded when somebody asks for their values, passed on as the bytes they came in until then. */
import { endianness } from 'node:os';
import { ARRAY, BIN, BOOL, FLOAT, INT, NIL, Reader, STR, exact } from './msgpack.mjs';
import { DEEP, MAX_POINTS, MAX_TAG_VALUE, MAX_TEXT, bytesOf, hasControl } from './limits.mjs';

const little = endianness() === 'LE';
const INT64_MAX = 2n ** 63n - 1n, INT64_MIN = -(2n ** 63n), UINT64_MAX = 2n ** 64n - 1n;

export const known = (type) => 'fiubs'.includes(type);

/** A Column has n values of one type: f, i, u, b or s. A tag is an s. */
export class Column {
  constructor(name, type, n) {
    this.name = name;
    this.type = type;
    this.n = n;
    this.wire = null; // its bytes in the form of columns; null: there are none, or they are out of date
    this.data = null; // an array, or { constant }; null: not decoded yet
  }

  /** load returns the values as they are kept: an array, or { constant }. */
  load() {
    if (this.data === null) {
      this.data = readColumn(new Reader(this.wire), this.type, this.n, {}, true).data;
    }
    return this.data;
  }

  /** at returns the value of a row, undefined when it has none. */
  at(row) {
    const data = this.load();
    return 'constant' in data ? data.constant : data[row];
  }

  /** values returns an array, or a typed array, with the value of each row. */
  values() {
    const data = this.load();
    return 'constant' in data ? new Array(this.n).fill(data.constant) : data;
  }

  /** set replaces all values. */
  set(data) {
    this.wire = null;
    this.data = data;
  }

  /** pick returns a column of some rows. */
  pick(rows) {
    const out = new Column(this.name, this.type, rows.length);
    const data = this.load();
    out.data = 'constant' in data ? data : rows.map((row) => data[row]);
    return out;
  }

  /** write appends the column in the shortest of its forms. */
  write(w) {
    if (this.wire !== null) return w.raw(this.wire);
    const data = this.load();
    if ('constant' in data) return writeValue(w, this.type, data.constant);
    if (this.n > 0 && same(data)) return writeValue(w, this.type, data[0]);
    if (this.type === 's') return writeTexts(w, data);
    if (dense(data)) return w.bin(packed(this.type, data));
    w.array(this.n);
    for (let row = 0; row < this.n; row++) writeValue(w, this.type, data[row]);
  }
}

function same(data) {
  for (let i = 1; i < data.length; i++) {
    if (data[i] !== data[0]) return false;
  }
  return true;
}

function dense(data) {
  for (let i = 0; i < data.length; i++) {
    if (data[i] === undefined) return false;
  }
  return true;
}

function writeValue(w, type, v) {
  if (v === undefined) w.nil();
  else if (type === 'f') w.float(Number(v));
  else if (type === 'b') w.bool(v);
  else if (type === 's') w.str(v);
  else w.int(v);
}

/** writeTexts writes a dictionary where texts repeat, else one after the other. */
function writeTexts(w, data) {
  const index = new Map();
  for (const text of data) {
    if (text === undefined || index.size * 2 > data.length) break;
    if (!index.has(text)) index.set(text, index.size);
  }
  if (index.size * 2 > data.length || !dense(data)) {
    w.array(data.length);
    for (const text of data) writeValue(w, 's', text);
    return;
  }
  w.array(2);
  w.array(index.size);
  for (const text of index.keys()) w.str(text);
  const width = index.size <= 256 ? 1 : index.size <= 65536 ? 2 : 4;
  const bytes = Buffer.allocUnsafe(data.length * width);
  for (let i = 0; i < data.length; i++) bytes.writeUIntLE(index.get(data[i]), i * width, width);
  w.bin(bytes);
}

/** packed returns numbers, or bools, of the narrowest width that holds them all. */
function packed(type, data) {
  if (type === 'b') return Buffer.from(Array.from(data, Number));
  if (type === 'f') return bytesOfArray(Float64Array.from(data, Number));
  let low = data[0], high = data[0], big = typeof data[0] === 'bigint';
  for (const v of data) {
    if (v < low) low = v;
    if (v > high) high = v;
    big = big || typeof v === 'bigint';
  }
  const fits = (bits) => (type === 'u' ? high < 2 ** bits : low >= -(2 ** (bits - 1)) && high < 2 ** (bits - 1));
  const width = !big && fits(8) ? 1 : !big && fits(16) ? 2 : !big && fits(32) ? 4 : 8;
  if (width === 8) return bytesOfArray((type === 'u' ? BigUint64Array : BigInt64Array).from(data, BigInt));
  return bytesOfArray(arrays[type][width].from(data));
}

const arrays = {
  i: { 1: Int8Array, 2: Int16Array, 4: Int32Array, 8: BigInt64Array },
  u: { 1: Uint8Array, 2: Uint16Array, 4: Uint32Array, 8: BigUint64Array },
  f: { 4: Float32Array, 8: Float64Array },
};

function bytesOfArray(typed) {
  return swapped(Buffer.from(typed.buffer, typed.byteOffset, typed.byteLength), typed.BYTES_PER_ELEMENT);
}

/** swapped makes the bytes little-endian, or of the machine's order, in place. */
function swapped(bytes, width) {
  if (little || width === 1) return bytes;
  return width === 2 ? bytes.swap16() : width === 4 ? bytes.swap32() : bytes.swap64();
}

/** unpacked returns what a bin of numbers holds. */
function unpacked(type, bin, width) {
  if (type === 'b') return Array.from(bin, (v) => v === 1);
  const bytes = new Uint8Array(bin); // aligned, and not a view into the message
  swapped(Buffer.from(bytes.buffer), width);
  const typed = new arrays[type][width](bytes.buffer);
  if (type === 'f' && width === 4) return Float64Array.from(typed);
  return width === 8 && type !== 'f' ? Array.from(typed, exact) : typed;
}

function count(drops, code, n) {
  if (n > 0) drops[code] = (drops[code] ?? 0) + n;
}

/**
 * readColumn reads n values of a field in any form. What does not fit is left out and counted in drops. make: false only checks.
 * Returns data, null unless it was to be made, and whether values may be absent.
 */
export function readColumn(r, type, n, drops, make) {
  const kind = r.peek('column');
  if (!known(type)) {
    if (kind !== NIL) count(drops, 'unknown_type', n);
    r.skip(DEEP, 'column of a reserved type');
    return { data: make ? { constant: undefined } : null, absent: true };
  }
  if (kind === BIN) return readPacked(r, type, n, drops, make);
  if (kind === ARRAY) return readCells(r, type, n, drops, make);
  const constant = readCell(r, type, make, 'column');
  count(drops, r.drop, r.drop ? n : 0);
  return { data: make ? { constant } : null, absent: constant === undefined };
}

function readPacked(r, type, n, drops, make) {
  const bin = r.bin('column');
  const width = n > 0 && bin.length % n === 0 ? bin.length / n : 0;
  const allowed = { f: [4, 8], i: [1, 2, 4, 8], u: [1, 2, 4, 8], b: [1] }[type] ?? [];
  if (n === 0 && bin.length === 0 && allowed.length > 0) return { data: make ? [] : null, absent: false };
  if (!allowed.includes(width)) r.fail('shape', 'column: want n numbers of an allowed width');
  if (type === 'b' && bin.some((v) => v > 1)) r.fail('shape', 'column: want bools of 0 or 1');
  const odd = type === 'f' ? nonFinite(bin, width) : 0;
  count(drops, 'nan', odd);
  if (!make) return { data: null, absent: odd > 0 };
  const data = unpacked(type, bin, width);
  return { data: odd > 0 ? Array.from(data, (v) => (Number.isFinite(v) ? v : undefined)) : data, absent: odd > 0 };
}

/** nonFinite counts the NaN and infinities among little-endian floats: all bits of their exponent are set. */
function nonFinite(bin, width) {
  let n = 0;
  const [high, low] = width === 8 ? [0x7f, 0xf0] : [0x7f, 0x80];
  for (let at = width - 1; at < bin.length; at += width) {
    if ((bin[at] & high) === high && (bin[at - 1] & low) === low) n++;
  }
  return n;
}

function readCells(r, type, n, drops, make) {
  const from = r.array('column');
  if (from === 2 && type === 's' && r.peek('column') === ARRAY) return readTexts(r, n, drops, make);
  if (from !== n) r.fail('shape', 'column: want one value for each point');
  const data = make ? new Array(n) : null;
  let absent = false;
  for (let row = 0; row < n; row++) {
    const v = readCell(r, type, make, 'column');
    if (r.drop) count(drops, r.drop, 1);
    absent = absent || v === undefined;
    if (make) data[row] = v;
  }
  return { data, absent };
}

function readTexts(r, n, drops, make) {
  const { texts, indices } = readDictionary(r, n);
  const long = texts.map((text) => bytesOf(text) > MAX_TEXT);
  if (!long.includes(true)) return { data: make ? indices.map((i) => texts[i]) : null, absent: false };
  count(drops, 'too_long', indices.filter((i) => long[i]).length);
  return { data: make ? indices.map((i) => (long[i] ? undefined : texts[i])) : null, absent: true };
}

/** readDictionary reads the distinct texts and the indices of a column. */
export function readDictionary(r, n) {
  const many = r.array('dictionary');
  if (many > MAX_POINTS) r.fail('limit', 'dictionary');
  const texts = [];
  for (let i = 0; i < many; i++) texts.push(r.text('dictionary'));
  const kind = r.peek('dictionary indices');
  if (kind !== BIN && kind !== ARRAY) r.fail('shape', 'dictionary: want texts and indices');
  const indices = kind === BIN ? binIndices(r, n) : arrayIndices(r, n);
  for (const i of indices) {
    if (!(i >= 0 && i < many)) r.fail('index', 'dictionary: index outside');
  }
  return { texts, indices };
}

function binIndices(r, n) {
  const bin = r.bin('dictionary indices');
  if (n === 0 && bin.length === 0) return [];
  const width = n > 0 ? bin.length / n : 0;
  if (width !== 1 && width !== 2 && width !== 4) r.fail('shape', 'dictionary: want n indices of 1, 2 or 4 bytes');
  return width === 1 ? Array.from(bin) : Array.from(unpacked('u', bin, width));
}

function arrayIndices(r, n) {
  if (r.array('dictionary indices') !== n) r.fail('shape', 'dictionary: want an index for each point');
  return Array.from({ length: n }, () => Number(r.integer('dictionary indices')));
}

/**
 * readCell takes the value of a field. A value that does not fit is undefined, and r.drop says why. make: false makes no texts:
 * it returns something for each value that is there.
 */
export function readCell(r, type, make, where) {
  r.drop = '';
  const kind = r.peek(where);
  switch (kind) {
    case NIL:
      r.at++;
      return undefined;
    case INT:
      if (type === 'b' || type === 's') break;
      return fitInteger(r, type, r.integer(where));
    case FLOAT:
      if (type === 'b' || type === 's') break;
      return fitFloat(r, type, r.float(where));
    case BOOL:
      if (type !== 'b') break;
      return r.buf[r.at++] === 0xc3;
    case STR:
      if (type === 's') return fitText(r, make, where);
      if (r.decimal && (type === 'i' || type === 'u')) return fitDecimal(r, type, r.text(where));
      break;
  }
  r.skip(DEEP, where);
  r.drop = known(type) ? 'type' : 'unknown_type';
  return undefined;
}

function dropped(r, code) {
  r.drop = code;
  return undefined;
}

function fitInteger(r, type, v) {
  if (type === 'f') return Number(v);
  if (type === 'i') return v > INT64_MAX ? dropped(r, 'int_range') : v;
  if (type === 'u') return v < 0 ? dropped(r, 'int_range') : v;
  return dropped(r, 'unknown_type');
}

function fitFloat(r, type, v) {
  if (!known(type)) return dropped(r, 'unknown_type');
  if (!Number.isFinite(v)) return dropped(r, 'nan');
  if (type === 'f') return v;
  if (!Number.isInteger(v) || Math.abs(v) > 2 ** 53) return dropped(r, 'type');
  if (type === 'u' && v < 0) return dropped(r, 'int_range');
  return exact(BigInt(v));
}

function fitText(r, make, where) {
  const from = r.at;
  const text = r.text(where, !make);
  return r.at - from > MAX_TEXT && bytesBehindHead(r, from) > MAX_TEXT ? dropped(r, 'too_long') : text;
}

function bytesBehindHead(r, from) {
  const b = r.buf[from];
  return r.at - from - (b === 0xdb ? 5 : b === 0xda ? 3 : b === 0xd9 ? 2 : 1);
}

function fitDecimal(r, type, text) {
  if (!/^-?[0-9]+$/.test(text)) return dropped(r, 'type');
  const v = BigInt(text);
  const fits = type === 'i' ? v >= INT64_MIN && v <= INT64_MAX : v >= 0n && v <= UINT64_MAX && !text.startsWith('-');
  return fits ? exact(v) : dropped(r, 'int_range');
}

/** fit turns a value of an author into one of the type; undefined when it is none. */
export function fit(type, v, drops) {
  const reason = {};
  let out;
  if (v === null || v === undefined) return undefined;
  if (typeof v === 'number') out = fitFloat(reason, type, v);
  else if (typeof v === 'bigint') out = v >= INT64_MIN && v <= UINT64_MAX ? fitInteger(reason, type, exact(v)) : dropped(reason, 'int_range');
  else if (typeof v === 'boolean' && type === 'b') return v;
  else if (typeof v === 'string' && type === 's') return v;
  else reason.drop = 'type';
  count(drops, reason.drop, reason.drop ? 1 : 0);
  return reason.drop ? undefined : out;
}

/** typeOf is the type of a value that nobody tells: numbers are floats, because 1 and 1.0 are the same in JavaScript. */
export function typeOf(v) {
  if (typeof v === 'bigint') return v > INT64_MAX ? 'u' : 'i';
  if (typeof v === 'boolean') return 'b';
  return typeof v === 'string' ? 's' : 'f';
}

/**
 * readTagCell takes one tag value; undefined when it is none, and its point is to be left out. make: false makes no text.
 */
export function readTagCell(r, make) {
  const kind = r.peek('tag value');
  if (kind === NIL) return r.at++, '';
  if (kind !== STR) {
    r.skip(DEEP, 'tag value');
    return undefined;
  }
  const from = r.at;
  if (make) {
    const text = r.text('tag value');
    return badTag(text) ? undefined : text;
  }
  r.text('tag value', true);
  const n = bytesBehindHead(r, from);
  if (n > MAX_TAG_VALUE) return undefined;
  for (let i = r.at - n; i < r.at; i++) {
    if (r.buf[i] < 0x20 || r.buf[i] === 0x7f) return undefined;
  }
  return '';
}

export const badTag = (text) => hasControl(text) || (text.length * 3 > MAX_TAG_VALUE && bytesOf(text) > MAX_TAG_VALUE);
