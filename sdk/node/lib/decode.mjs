/** Reading of batches in every form of the wire. */
import { Batch } from './batch.mjs';
import { Column, badTag, known, readCell, readColumn, readDictionary, readTagCell } from './column.mjs';
import { Group } from './group.mjs';
import { JSONReader } from './json.mjs';
import { DEEP, MAX_CELLS, MAX_FIELDS, MAX_GROUPS, MAX_MESSAGE, MAX_NAME, MAX_POINTS, MAX_TAGS, bytesOf, hasControl } from './limits.mjs';
import { decodeLines } from './lines.mjs';
import { ARRAY, BIN, DecodeError, INT, NIL, Reader, STR, exact } from './msgpack.mjs';
import { decodePoints } from './points.mjs';

const UNITS = [1, 1000, 1000000, 1000000000];
const INT64_MAX = 2n ** 63n - 1n, INT64_MIN = -(2n ** 63n);
const PRECISIONS = { ns: 1n, us: 1000n, ms: 1000000n, s: 1000000000n };

/**
 * decode returns the batch that body holds. contentType: '' to go by the first byte; stored: when it came to its stream, ns; host: who
 * its subject names. A DecodeError says that it is none.
 */
export function decode(body, { contentType = '', contentEncoding = '', stored = BigInt(Date.now()) * 1000000n, host = '' } = {}) {
  if (contentEncoding !== '') throw new DecodeError('encoding', `Content-Encoding ${contentEncoding}: send it without`);
  const { form, precision } = formOf(contentType, body);
  if (body.length === 0) throw new DecodeError('empty', 'no bytes');
  if (body.length > MAX_MESSAGE) throw new DecodeError('too_large', 'message');
  const batch = decodeForm(form, precision, body, stored);
  batch.host = host;
  if (host !== '') batch.defaultTag('host', host);
  return batch;
}

function decodeForm(form, precision, body, stored) {
  if (form === 'application/x-pacewire+msgpack') return readBatch(new Reader(body));
  if (body[0] === 0xef && body[1] === 0xbb && body[2] === 0xbf) body = body.subarray(3);
  if (form === 'text/x-influx') return decodeLines(body, precision, stored);
  return decodeJSON(body, stored);
}

function decodeJSON(body, stored) {
  const text = new JSONReader(body);
  const first = text.peek();
  if (first === '{') return decodePoints(text, stored, false);
  if (first !== '[') {
    text.value(6 + DEEP);
    text.end();
    text.fail('shape', 'want a batch or points');
  }
  if (!/^\s*[-0-9]/.test(text.text.slice(text.at + 1, text.at + 64))) return decodePoints(text, stored, true);
  text.value(6 + DEEP);
  text.end();
  return readBatch(new Reader(text.out.done(), { decimal: true }));
}

function formOf(contentType, body) {
  if (contentType === '') return sniff(body);
  const [form, ...params] = contentType.split(';').map((part) => part.trim().toLowerCase());
  let precision = 1n;
  const unknown = params.filter((param) => {
    const [key, value] = param.split('=').map((part) => part.trim().replace(/^"(.*)"$/, '$1'));
    if (key !== 'precision' || form !== 'text/x-influx' || !(value in PRECISIONS)) return true;
    precision = PRECISIONS[value];
    return false;
  });
  if (unknown.length > 0 || !['application/x-pacewire+msgpack', 'application/json', 'text/x-influx'].includes(form)) {
    throw new DecodeError('content_type', `Content-Type ${contentType}`);
  }
  return { form, precision };
}

function sniff(body) {
  if (body.length === 0) throw new DecodeError('empty', 'no bytes');
  const first = body[0];
  if (first === 0xdc || first === 0xdd || (first >= 0x90 && first <= 0x9f)) return { form: 'application/x-pacewire+msgpack' };
  let at = first === 0xef && body[1] === 0xbb && body[2] === 0xbf ? 3 : 0;
  while ([0x09, 0x0a, 0x0d, 0x20].includes(body[at])) at++;
  const c = body[at];
  if (c === 0x5b || c === 0x7b) return { form: 'application/json' };
  if ((c > 0x20 && c < 0x7f) || (c >= 0xc2 && c <= 0xf4 && c !== 0xdc && c !== 0xdd)) return { form: 'text/x-influx', precision: 1n };
  throw new DecodeError('content_type', 'none, and the first byte is no msgpack, JSON or line protocol');
}

function readBatch(r) {
  if (r.array('batch') !== 5) r.fail('shape', 'batch: want 5 elements');
  if (r.integer('version') !== 1) r.fail('version', 'version');
  const unit = r.integer('unit');
  if (!UNITS.includes(unit)) r.fail('unit', 'unit: want 1, 1000, 1000000 or 1000000000');
  const t0 = wide(r, 't0');
  if (t0 === null) r.fail('shape', 't0: above int64');
  const tags = readTags(r);
  const d = new Decoder(r, { unit: BigInt(unit), t0: BigInt(t0), tags });
  const n = r.array('groups', true);
  if (n > MAX_GROUPS) r.fail('limit', 'groups');
  for (let i = 0; i < n; i++) d.group();
  if (r.left() > 0) r.fail('trailing', 'message');
  return d.batch;
}

/** wide takes an integer of 64 bits, which JSON may write as a decimal string; null when it is above int64. */
function wide(r, where) {
  if (!r.decimal || r.peek(where) !== STR) {
    const v = r.integer(where);
    return v > INT64_MAX ? null : v;
  }
  const text = r.text(where);
  if (!/^-?[0-9]+$/.test(text)) r.fail('shape', `${where}: want an integer`);
  const v = BigInt(text);
  return v > INT64_MAX || v < INT64_MIN ? null : exact(v);
}

export function readName(r, where) {
  const name = r.text(where);
  if (name === '' || hasControl(name) || bytesOf(name) > MAX_NAME) r.fail('name', where);
  return name;
}

function readTags(r) {
  const n = r.mapping('tags');
  if (n > MAX_TAGS) r.fail('limit', 'tags');
  const tags = Object.create(null);
  for (let i = 0; i < n; i++) {
    const key = readName(r, 'tag key');
    let value = '';
    if (r.peek('tag value') === NIL) r.at++;
    else value = r.text('tag value');
    if (badTag(value)) r.fail('tag_value', 'tag value');
    if (key in tags) r.fail('duplicate_key', 'tags');
    tags[key] = value;
  }
  return tags;
}

function readNames(r, limit, lenient, where) {
  const n = r.array(where, lenient);
  if (n > limit) r.fail('limit', where);
  const names = [];
  for (let i = 0; i < n; i++) names.push(readName(r, where));
  if (new Set(names).size !== n) r.fail('duplicate_key', where);
  return names;
}

/** A Decoder reads the groups of one message. */
class Decoder {
  constructor(reader, frame) {
    this.r = reader;
    this.frame = frame;
    this.batch = new Batch();
    this.points = 0;
    this.cells = 0;
  }

  group() {
    const r = this.r;
    const from = r.at;
    if (r.array('group') !== 6) r.fail('shape', 'group: want 6 elements');
    const g = new Group(this.frame, readName(r, 'series'));
    g.own = readTags(r);
    const tags = readNames(r, MAX_TAGS, true, 'tagkeys');
    const fields = readNames(r, MAX_FIELDS, false, 'fields');
    if (fields.length === 0) r.fail('shape', 'fields: want at least one');
    const types = r.text('types');
    if (Buffer.byteLength(types) !== fields.length) r.fail('shape', 'types: want one letter for each field');
    g.tags_ = tags.map((name) => new Column(name, 's', 0));
    g.fields_ = fields.map((name, i) => new Column(name, types[i], 0));
    const n = r.array('rows', true);
    const drops = n > 0 && r.peek('rows') === INT ? this.columns(g, n) : this.rows(g, n);
    const damaged = this.finish(g, drops);
    if (g.length === 0) return;
    this.batch.groups.push(g);
    if (!damaged && !r.decimal) g.sealed(r.buf.subarray(from, r.at), g.reader ?? null);
    else if (g.reader) g.load();
  }

  /** count adds n points of g to what the message holds. */
  count(g, n) {
    if (!(n >= 0 && n <= MAX_POINTS)) this.r.fail('limit', 'points of a group');
    this.points += n;
    this.cells += n * (g.tags_.length + g.fields_.length);
    if (this.points > MAX_POINTS || this.cells > MAX_CELLS) this.r.fail('limit', 'points or cells of the batch');
    g.length = n;
    for (const c of [...g.tags_, ...g.fields_]) c.n = n;
  }

  /** finish leaves out what was found bad, and reports whether there was anything. */
  finish(g, { bad, counts, absent }) {
    const strange = g.fields_.some((c) => !known(c.type));
    g.fields_ = g.fields_.filter((c) => known(c.type));
    let empty = 0;
    if (absent || g.fields_.length === 0) {
      g.keep((row) => {
        if (bad.has(row)) return false;
        const some = g.fields_.some((c) => c.at(row) !== undefined);
        if (!some) empty++;
        return some;
      });
    } else if (bad.size > 0) {
      g.keep((row) => !bad.has(row));
    }
    const total = { ...counts };
    if (empty > 0) total.no_fields = (total.no_fields ?? 0) + empty;
    for (const [code, n] of Object.entries(total)) this.batch.drop(code, n);
    return strange || Object.keys(total).length > 0;
  }

  /** inRange reports whether t0 + dt is a time of int64 ns. */
  inRange(dt) {
    if (dt === null) return false;
    const { unit, t0 } = this.frame;
    const ticks = t0 + BigInt(dt);
    const ns = ticks * unit;
    return ticks <= INT64_MAX && ticks >= INT64_MIN && ns <= INT64_MAX && ns >= INT64_MIN;
  }

  columns(g, columns) {
    const r = this.r;
    if (columns !== 2 + g.tags_.length + g.fields_.length) r.fail('shape', 'columns: want n, the times, each tag and each field');
    this.count(g, Number(r.integer('number of points')));
    const state = { bad: new Map(), counts: {}, absent: false };
    this.times(g, state);
    for (const c of g.tags_) this.tagColumn(g, c, state);
    let dense = false;
    for (const c of g.fields_) dense = !this.fieldColumn(c, state) || dense;
    state.absent = !dense;
    return state;
  }

  /** keep makes the bytes that were read those of a column, unless they hold what JSON alone can say. */
  keep(c, from) { c.wire = this.r.decimal ? null : this.r.buf.subarray(from, this.r.at); }

  drop(state, row, code) {
    if (state.bad.has(row)) return;
    state.bad.set(row, code);
    state.counts[code] = (state.counts[code] ?? 0) + 1;
  }

  times(g, state) {
    const r = this.r;
    const c = g.times_ = new Column('time', 'i', g.length);
    const from = r.at;
    const kind = r.peek('times');
    if (kind === BIN) {
      c.data = readColumn(r, 'i', g.length, {}, true).data;
    } else if (kind === ARRAY) {
      if (r.array('times') !== g.length) r.fail('shape', 'times: want one for each point');
      c.data = Array.from({ length: g.length }, () => wide(r, 'times'));
    } else {
      c.data = { constant: wide(r, 'times') };
    }
    const data = 'constant' in c.data ? [c.data.constant] : c.data;
    let low = 0, high = 0, late = false;
    for (const v of data) {
      if (v === null) late = true;
      else if (v < low) low = v;
      else if (v > high) high = v;
    }
    if (!late && this.inRange(0) && this.inRange(low) && this.inRange(high)) return this.keep(c, from);
    for (let row = 0; row < g.length; row++) if (!this.inRange(c.at(row))) this.drop(state, row, 'time_range');
    return undefined;
  }

  tagColumn(g, c, state) {
    const r = this.r;
    const from = r.at;
    const kind = r.peek('tag column');
    if (kind === BIN) r.fail('shape', 'tag column: want text');
    if (kind !== ARRAY) {
      c.data = { constant: readTagCell(r, true) };
      if (c.data.constant === undefined) for (let row = 0; row < g.length; row++) this.drop(state, row, 'tag_value');
      else this.keep(c, from);
      return;
    }
    const n = r.array('tag column');
    if (n === 2 && r.peek('tag column') === ARRAY) this.dictionary(g, c, state);
    else this.tagCells(g, c, n, state);
    if (state.bad.size === 0) this.keep(c, from);
  }

  dictionary(g, c, state) {
    const { texts, indices } = readDictionary(this.r, g.length);
    c.data = indices.map((i) => texts[i]);
    if (!texts.some(badTag)) return;
    c.data.forEach((text, row) => badTag(text) && this.drop(state, row, 'tag_value'));
  }

  tagCells(g, c, n, state) {
    if (n !== g.length) this.r.fail('shape', 'tag column: want one value for each point');
    c.data = Array.from({ length: n }, () => readTagCell(this.r, true));
    c.data.forEach((text, row) => text === undefined && this.drop(state, row, 'tag_value'));
  }

  /** fieldColumn reads one column, and reports whether values may be absent. */
  fieldColumn(c, state) {
    const r = this.r;
    const from = r.at;
    let counts = {};
    let read = readColumn(r, c.type, c.n, counts, r.decimal);
    if (Object.keys(counts).length > 0 && !r.decimal) {
      r.at = from;
      counts = {};
      read = readColumn(r, c.type, c.n, counts, true);
    }
    c.data = read.data;
    if (c.data === null) this.keep(c, from);
    for (const [code, n] of Object.entries(counts)) state.counts[code] = (state.counts[code] ?? 0) + n;
    return read.absent;
  }

  /** rows checks rows. Their columns are made when somebody asks for them, or at once when something is to be left out. */
  rows(g, n) {
    this.count(g, n);
    const r = this.r;
    const from = r.at;
    const again = (group, state) => {
      const end = r.at;
      r.at = from;
      this.readRows(group, n, state, true);
      r.at = end;
    };
    const state = { bad: new Map(), counts: {}, absent: false };
    if (r.decimal) {
      this.readRows(g, n, state, true);
      return state;
    }
    this.readRows(g, n, state, false);
    if (Object.keys(state.counts).length === 0 && !state.absent) {
      g.times_ = new Column('time', 'i', n);
      g.reader = (group) => again(group, { bad: new Map(), counts: {}, absent: false });
      return state;
    }
    const fresh = { bad: new Map(), counts: {}, absent: false };
    again(g, fresh);
    return fresh;
  }

  /** readRows reads n rows; make: into columns. state.absent says that a row has no field. */
  readRows(g, n, state, make) {
    const r = this.r;
    const want = 1 + g.tags_.length + g.fields_.length;
    const times = [], tags = g.tags_.map(() => []), fields = g.fields_.map(() => []);
    for (let row = 0; row < n; row++) {
      if (r.array('row') !== want) r.fail('shape', 'row: want a time, each tag and each field');
      const dt = wide(r, 'row time');
      if (!this.inRangeFast(dt)) this.drop(state, row, 'time_range');
      if (make) times.push(dt);
      for (let i = 0; i < tags.length; i++) {
        const text = readTagCell(r, make);
        if (text === undefined) this.drop(state, row, 'tag_value');
        if (make) tags[i].push(text);
      }
      let some = false;
      for (let i = 0; i < fields.length; i++) {
        const v = readCell(r, g.fields_[i].type, make, 'field value');
        if (r.drop) state.counts[r.drop] = (state.counts[r.drop] ?? 0) + 1;
        some = some || v !== undefined;
        if (make) fields[i].push(v);
      }
      if (!some) state.absent = true;
    }
    if (!make) return;
    g.times_ = new Column('time', 'i', n);
    g.times_.data = times;
    g.tags_.forEach((c, i) => { c.data = tags[i]; });
    g.fields_.forEach((c, i) => { c.data = fields[i]; });
  }

  /** inRangeFast is inRange without BigInts where numbers are exact enough. */
  inRangeFast(dt) {
    this.slack ??= this.inRange(2 ** 40) && this.inRange(-(2 ** 40));
    if (this.slack && typeof dt === 'number' && dt < 2 ** 40 && dt > -(2 ** 40)) return true;
    return this.inRange(dt);
  }
}
