/** Batches of points: what a plugin is given, fills and sends. */
import { Column, fit, typeOf } from './column.mjs';
import { Group, commonFrame, timesOf } from './group.mjs';
import { MAX_CELLS, MAX_FIELDS, MAX_FRAME, MAX_GROUPS, MAX_POINTS, MAX_TAGS, MAX_TEXT, TARGET_FRAME, bytesOf, cleanName, cleanTag, wellFormed }
  from './limits.mjs';
import { Writer } from './msgpack.mjs';

export const CONTENT_TYPE = 'application/x-pacewire+msgpack';
const INT64_MAX = 2n ** 63n - 1n;

/** A Batch holds points of one host, as groups of columns. */
export class Batch {
  #open = new Map(); // groups that add fills, by their shape

  constructor(host = '') {
    this.host = host;
    this.groups = [];
    this.now = null; // the time of points that add is given without one, ns; null: the present
    this.drops = {}; // points and fields that were left out, by code
    this.types = Object.create(null); // of fields that add is to give, by series and field: from the catalog
  }

  /** length is the number of points. */
  get length() { return this.groups.reduce((n, g) => n + g.length, 0); }

  /**
   * add appends a point. Numbers are floats, unless types or the catalog say i or u; BigInts are integers. What is null or undefined is
   * left out, so are NaN and infinities. time: ns as a BigInt, or a Date; without it the point is of now.
   */
  add(series, fields, tags = {}, { time, types } = {}) {
    series = cleanName(String(series));
    const given = this.#fields(series, fields, types);
    const keys = Object.keys(tags).filter((k) => tags[k] !== undefined && tags[k] !== null && tags[k] !== '').sort();
    if (given.length === 0) return this.drop('no_fields');
    if (given.length > MAX_FIELDS || keys.length > MAX_TAGS) return this.drop('limit');
    const ns = time === undefined ? this.now ?? nanos(new Date()) : time instanceof Date ? nanos(time) : BigInt(time);
    if (ns > INT64_MAX || ns < -INT64_MAX - 1n) return this.drop('time_range');
    const g = this.#group(series, keys.map((k) => cleanName(k)), given);
    g.times_.data.push(ns);
    keys.forEach((k, i) => g.tags_[i].data.push(cleanTag(String(tags[k]))));
    given.forEach(([, , v], i) => g.fields_[i].data.push(v));
    g.length++;
    for (const c of [g.times_, ...g.tags_, ...g.fields_]) c.n = g.length;
    return undefined;
  }

  #fields(series, fields, types) {
    const given = [];
    for (const [key, value] of Object.entries(fields)) {
      if (value === null || value === undefined) continue;
      const type = types?.[key] ?? this.types[series]?.[key] ?? typeOf(value);
      let v = fit(type, value, this.drops);
      if (typeof v === 'string' && bytesOf(v = wellFormed(v)) > MAX_TEXT) v = this.drop('too_long');
      if (v !== undefined) given.push([cleanName(key), type, v]);
    }
    return given.sort(([a], [b]) => (a < b ? -1 : 1));
  }

  #group(series, keys, given) {
    const shape = [series, ...keys, '', ...given.map(([name, type]) => type + name)].join('\0');
    let g = this.#open.get(shape);
    if (g && this.groups.includes(g)) return g;
    g = new Group(null, series);
    const column = (name, type) => Object.assign(new Column(name, type, 0), { data: [] });
    g.times_ = column('time', 'i');
    g.tags_ = keys.map((k) => column(k, 's'));
    g.fields_ = given.map(([name, type]) => column(name, type));
    this.#open.set(shape, g);
    this.groups.push(g);
    return g;
  }

  drop(code, n = 1) {
    this.drops[code] = (this.drops[code] ?? 0) + n;
    return undefined;
  }

  /** take adds a group of another batch. It is not to be changed there any more. */
  take(group) { this.groups.push(group); }

  /** points yields each point: { series, time (ns), tags, fields, types }. */
  *points() {
    for (const g of this.groups) yield* g.points();
  }

  /** defaultTag gives a tag to all points that do not say it themselves. */
  defaultTag(key, value) {
    for (const frame of new Set(this.groups.map((g) => g.frame))) if (frame && !frame.tags[key]) frame.tags[key] = value;
    for (const g of this.groups) if (!g.frame && !g.own[key]) g.own[key] = value;
  }

  /** slice returns a batch of the points from one number up to another one. */
  slice(from, to) {
    const out = new Batch(this.host);
    let at = 0;
    for (const g of this.groups) {
      const first = Math.max(from - at, 0), last = Math.min(to - at, g.length);
      if (first < last) out.groups.push(g.slice(first, last));
      at += g.length;
    }
    return out;
  }

  /** copy returns a batch of the same points, which is changed apart from this one. */
  copy() { return this.slice(0, Infinity); }

  /** encode returns the batch as one message, whatever its size. */
  encode() {
    const groups = this.groups.filter((g) => g.length > 0 && g.fields_.length > 0);
    const frames = new Set(groups.map((g) => g.frame));
    const w = new Writer();
    const [frame] = frames;
    if (frames.size === 1 && frame) {
      head(w, frame, frame.tags, groups.length);
      for (const g of groups) g.raw ? w.raw(g.raw) : writeGroup(w, g, g.own, g.load().times_);
    } else {
      const times = groups.map(timesOf);
      const common = commonFrame(times);
      head(w, common, {}, groups.length);
      groups.forEach((g, i) => writeGroup(w, g, { ...g.frame?.tags, ...present(g.own) }, ticks(times[i], common)));
    }
    return w.done();
  }

  /** frames returns the batch as messages of a size that travels well, each with the number of its points. */
  frames(target = TARGET_FRAME) {
    const groups = this.groups.filter((g) => g.length > 0 && g.fields_.length > 0);
    const most = Math.max(0, ...groups.map((g) => g.length * (g.tags_.length + g.fields_.length)));
    if (groups.length > MAX_GROUPS) return this.#parts(groups, MAX_GROUPS, target);
    const n = this.length;
    const cells = groups.reduce((sum, g) => sum + g.length * (g.tags_.length + g.fields_.length), 0);
    if (n === 0) return [];
    if (n > MAX_POINTS || cells > MAX_CELLS || most > MAX_CELLS) return this.#halves(Math.ceil(n / 2), n, target);
    const body = this.encode();
    if (body.length <= Math.min(target * 1.25, MAX_FRAME)) return [{ body, points: n }];
    if (n > 1) return this.#halves(Math.ceil(n / Math.ceil(body.length / target)), n, target);
    if (body.length <= MAX_FRAME) return [{ body, points: n }];
    this.drop('too_large');
    return [];
  }

  #parts(groups, size, target) {
    const out = [];
    for (let i = 0; i < groups.length; i += size) {
      const part = new Batch(this.host);
      part.groups = groups.slice(i, i + size);
      out.push(...this.#sub(part, target));
    }
    return out;
  }

  #halves(step, n, target) {
    const out = [];
    for (let from = 0; from < n; from += step) out.push(...this.#sub(this.slice(from, from + step), target));
    return out;
  }

  #sub(part, target) {
    const frames = part.frames(target);
    for (const [code, n] of Object.entries(part.drops)) this.drop(code, n);
    return frames;
  }
}

/** nanos returns a Date in ns. */
export const nanos = (date) => BigInt(date.getTime()) * 1000000n;

function present(tags) {
  return Object.fromEntries(Object.entries(tags).filter(([, v]) => v !== ''));
}

function head(w, frame, tags, groups) {
  w.array(5);
  w.int(1);
  w.int(frame.unit);
  w.int(frame.t0);
  writeTags(w, tags);
  w.array(groups);
}

function writeTags(w, tags) {
  const list = Object.entries(tags);
  w.map(list.length);
  for (const [key, value] of list) {
    w.str(key);
    w.str(value);
  }
}

function writeGroup(w, g, tags, times) {
  w.array(6);
  w.str(g.series);
  writeTags(w, tags);
  for (const columns of [g.tags_, g.fields_]) {
    w.array(columns.length);
    for (const c of columns) w.str(c.name);
  }
  w.str(g.fields_.map((c) => c.type).join(''));
  w.array(2 + g.tags_.length + g.fields_.length);
  w.int(g.length);
  for (const c of [times, ...g.tags_, ...g.fields_]) c.write(w);
}

/** ticks returns a column of ns as ticks after t0. */
function ticks(column, { unit, t0 }) {
  const out = new Column('time', 'i', column.n);
  out.data = column.data.map((t) => {
    const dt = t / unit - t0;
    return dt < 2n ** 53n ? Number(dt) : dt;
  });
  return out;
}

/** merge returns one batch of the points of several; its host is '' where they are about different ones. */
export function merge(batches) {
  const out = new Batch(batches[0]?.host ?? '');
  for (const b of batches) {
    if (b.host !== out.host) out.host = '';
    out.groups.push(...b.groups);
  }
  return out;
}
