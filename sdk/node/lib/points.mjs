/** Point objects, the form of JSON for scripts: one, a list, or one per line. */
import { Batch } from './batch.mjs';
import { known, readCell, readTagCell } from './column.mjs';
import { readName } from './decode.mjs';
import { DEEP, MAX_CELLS, MAX_FIELDS, MAX_GROUPS, MAX_POINTS, MAX_TAGS } from './limits.mjs';
import { BOOL, INT, NIL, Reader, STR } from './msgpack.mjs';

const KEYS = ['series', 'time', 'tags', 'fields', 'types'];
const INT64_MAX = 2n ** 63n - 1n, INT64_MIN = -(2n ** 63n);

/** decodePoints reads what text, a JSONReader before its first value, holds. Points without a time are of stored. */
export function decodePoints(text, stored, list) {
  const p = new Points(text, stored);
  if (list) {
    text.at++;
    for (let n = 0; text.more(']', n); n++) p.one();
    text.end();
    return p.batch;
  }
  for (;;) {
    p.one();
    const from = text.at;
    if (text.peek() === '') return p.batch;
    if (!text.text.slice(from, text.at).includes('\n')) text.fail('trailing', 'want one point a line');
  }
}

class Points {
  constructor(text, stored) {
    this.text = text;
    this.stored = stored;
    this.batch = new Batch();
    this.points = 0;
    this.cells = 0;
  }

  one() {
    const at = this.parts();
    const r = new Reader(this.text.out.done(), { decimal: true });
    const part = (key) => {
      r.at = at[key] ?? 0; // where nil stands
      return r;
    };
    const series = readName(part('series'), 'series');
    const [time, late] = this.time(part('time'));
    const [tags, good] = this.tags(part('tags'));
    const types = this.types(part('types'));
    const [fields, kinds] = this.fields(part('fields'), types);
    const bad = late || (good ? '' : 'tag_value') || (Object.keys(fields).length === 0 ? 'no_fields' : '');
    this.cells += Object.keys(tags).length + Object.keys(fields).length;
    if (++this.points > MAX_POINTS || this.cells > MAX_CELLS) r.fail('limit', 'points or cells of the batch');
    if (bad) return this.batch.drop(bad);
    this.batch.add(series, fields, tags, { time, types: kinds });
    if (this.batch.groups.length > MAX_GROUPS) r.fail('limit', 'groups');
    return undefined;
  }

  /** parts writes the parts of a point object as msgpack, and returns where each begins. Nil stands at 0. */
  parts() {
    const text = this.text;
    text.out.at = 0;
    text.out.nil();
    if (text.peek() !== '{') {
      text.value(1 + DEEP);
      text.fail('shape', 'want a point object');
    }
    text.at++;
    const at = Object.create(null);
    for (let n = 0; text.more('}', n); n++) {
      const key = text.key();
      if (!KEYS.includes(key)) text.fail('shape', 'a point has series, time, tags, fields and types only');
      if (key in at) text.fail('duplicate_key', 'key of a point');
      at[key] = text.out.at;
      text.literal = key === 'tags';
      text.value(1 + DEEP);
      text.literal = false;
    }
    return at;
  }

  time(r) {
    const kind = r.peek('time');
    if (kind === NIL) return [this.stored, ''];
    if (kind === INT) return inRange(BigInt(r.integer('time')));
    const text = kind === STR ? r.text('time') : '';
    if (/^-?[0-9]+$/.test(text)) return inRange(BigInt(text));
    const ns = parseTime(text);
    if (ns === null) r.fail('shape', 'time: want RFC 3339 with up to 9 decimals, or nanoseconds');
    return inRange(ns);
  }

  entries(r, limit, where, each) {
    const n = r.mapping(where);
    if (n > limit) r.fail('limit', where);
    const seen = new Set();
    for (let i = 0; i < n; i++) {
      const key = readName(r, where);
      each(key);
      if (seen.has(key)) r.fail('duplicate_key', where);
      seen.add(key);
    }
  }

  tags(r) {
    const tags = Object.create(null);
    let good = true;
    this.entries(r, MAX_TAGS, 'tags', (key) => {
      const text = readTagCell(r, true);
      if (text === undefined) good = false;
      else if (text !== '') tags[key] = text;
    });
    return [tags, good];
  }

  types(r) {
    const types = Object.create(null);
    this.entries(r, MAX_FIELDS, 'types', (key) => {
      types[key] = r.text('types');
      if (types[key].length !== 1) r.fail('shape', 'types: want one letter for a field');
    });
    return types;
  }

  fields(r, types) {
    const fields = Object.create(null), kinds = Object.create(null);
    this.entries(r, MAX_FIELDS, 'fields', (key) => {
      const kind = r.peek('field value');
      const type = types[key] ?? (kind === BOOL ? 'b' : kind === STR ? 's' : 'f');
      const v = readCell(r, type, true, 'field value');
      if (r.drop) this.batch.drop(r.drop);
      if (v === undefined || !known(type)) return;
      fields[key] = v;
      kinds[key] = type;
    });
    return [fields, kinds];
  }
}

function inRange(ns) {
  return ns > INT64_MAX || ns < INT64_MIN ? [0n, 'time_range'] : [ns, ''];
}

/** parseTime reads RFC 3339 with up to nine decimals as ns; null when it is none. */
export function parseTime(text) {
  const found = /^(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)(?:\.(\d{1,9}))?(Z|[+-]\d\d:\d\d)$/.exec(text);
  if (!found) return null;
  const ms = Date.parse(found[1] + found[3]);
  const plain = Date.parse(found[1] + 'Z');
  if (Number.isNaN(ms) || new Date(plain).toISOString().slice(0, 19) !== found[1]) return null;
  return BigInt(ms) * 1000000n + BigInt((found[2] ?? '').padEnd(9, '0'));
}
