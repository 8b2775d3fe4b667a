/** A group of a batch: points of one series that have the same tag keys and fields, held as columns. */
import { Column } from './column.mjs';
import { cleanName, cleanTag } from './limits.mjs';

const NS = [1000000000, 1000000, 1000, 1]; // ns per tick, the coarsest first

/** A Group is n points. What nobody asks for is not decoded. */
export class Group {
  #series;
  #raw = null; // the whole group as it came, while it is as it came
  #rows = null; // what makes columns of rows; null: they are columns

  /** frame: unit, t0 and tags of the message that the group came in; null: the times are ns, in a column of BigInts. */
  constructor(frame, series) {
    this.frame = frame;
    this.#series = series;
    this.own = Object.create(null); // tags of all points, nearer than those of the batch
    this.times_ = null; // Column of ticks after t0, or of ns where there is no frame
    this.tags_ = []; // Columns
    this.fields_ = [];
    this.length = 0;
  }

  /** sealed notes the bytes that the group came in, and what reads its rows. */
  sealed(raw, rows) {
    this.#raw = raw;
    this.#rows = rows;
    return this;
  }

  get raw() { return this.#raw; }

  /** changed says that the bytes which came are out of date. */
  changed() {
    this.load();
    this.#raw = null;
    return this;
  }

  /** load makes columns of rows. */
  load() {
    const rows = this.#rows;
    this.#rows = null;
    if (rows) rows(this);
    return this;
  }

  get series() { return this.#series; }

  set series(name) {
    this.changed();
    this.#series = cleanName(String(name));
  }

  /** tagKeys are the keys of the tags that vary by point. */
  get tagKeys() { return this.tags_.map((c) => c.name); }

  get fields() { return this.fields_.map((c) => c.name); }

  /** type returns the letter of a field: f, i, u, b or s; undefined when there is none of this name. */
  type(field) { return this.fields_.find((c) => c.name === field)?.type; }

  /** values returns the values of a field, one for each point, undefined where it has none. Integers beyond 2^53 are BigInts. */
  values(field) {
    const column = this.load().fields_.find((c) => c.name === field);
    return column ? column.values() : new Array(this.length).fill(undefined);
  }

  /** tag returns the values of a tag, one for each point, '' where it has none. */
  tag(key) {
    const far = this.own[key] || this.frame?.tags[key] || '';
    const column = this.load().tags_.find((c) => c.name === key);
    if (!column) return new Array(this.length).fill(far);
    return Array.from(column.values(), (v) => v || far);
  }

  /** time returns that of a point, in ns. */
  time(row) {
    const dt = BigInt(this.load().times_.at(row));
    return this.frame ? (this.frame.t0 + dt) * this.frame.unit : dt;
  }

  /** setTag gives all points a tag; '' takes it away. */
  setTag(key, value) {
    this.changed();
    key = cleanName(String(key));
    this.tags_ = this.tags_.filter((c) => c.name !== key);
    const text = cleanTag(String(value));
    if (text !== '' || !this.frame?.tags[key]) {
      delete this.own[key];
      if (text !== '') this.own[key] = text;
      return;
    }
    this.leave(key);
  }

  /** leave takes a tag of the message away, which only this group has no more: the others have it as their own. */
  leave(key) {
    const tags = { ...this.frame.tags };
    delete tags[key];
    delete this.own[key];
    this.times_ = timesOf(this);
    this.frame = null;
    for (const [k, v] of Object.entries(tags)) this.own[k] ||= v;
  }

  /** set gives a field to all points: a type letter, and a value for each or one for all. */
  set(field, type, values) {
    this.changed();
    field = cleanName(String(field));
    const column = new Column(field, type, this.length);
    column.data = values !== null && typeof values === 'object' ? Array.from(values) : { constant: values };
    const at = this.fields_.findIndex((c) => c.name === field);
    if (at < 0) this.fields_.push(column);
    else this.fields_[at] = column;
  }

  /** remove takes a field away. A group that has none left is not sent. */
  remove(field) {
    this.changed();
    this.fields_ = this.fields_.filter((c) => c.name !== field);
  }

  /** rename gives a field another name. */
  rename(field, name) {
    this.changed();
    name = cleanName(String(name));
    this.fields_ = this.fields_.filter((c) => c.name !== name || c.name === field);
    for (const c of this.fields_) if (c.name === field) c.name = name;
  }

  /** keep leaves only the points for which test(row) is true. */
  keep(test) {
    const rows = [];
    for (let row = 0; row < this.length; row++) if (test(row)) rows.push(row);
    if (rows.length < this.length) this.pick(rows);
  }

  /** pick leaves only some rows. */
  pick(rows) {
    this.changed();
    this.times_ = this.times_.pick(rows);
    this.tags_ = this.tags_.map((c) => c.pick(rows));
    this.fields_ = this.fields_.map((c) => c.pick(rows));
    this.length = rows.length;
  }

  /** copy returns a group of the same points, which is changed apart from this one. */
  copy() {
    this.load();
    const g = new Group(this.frame, this.#series);
    Object.assign(g.own, this.own);
    const columns = (list) => list.map((c) => Object.assign(new Column(c.name, c.type, c.n), { wire: c.wire, data: c.data }));
    [g.times_] = columns([this.times_]);
    g.tags_ = columns(this.tags_);
    g.fields_ = columns(this.fields_);
    g.length = this.length;
    return g.sealed(this.#raw, null);
  }

  /** slice returns a group of the points from a row up to another one. */
  slice(from, to) {
    const g = this.copy();
    if (from > 0 || to < this.length) g.pick(Array.from({ length: to - from }, (_, i) => from + i));
    return g;
  }

  /** points yields each point with maps of its own: for tests and rare work. */
  *points() {
    this.load();
    for (let row = 0; row < this.length; row++) {
      const tags = Object.assign(Object.create(null), this.frame?.tags);
      for (const [k, v] of Object.entries(this.own)) if (v) tags[k] = v;
      for (const c of this.tags_) if (c.at(row)) tags[c.name] = c.at(row);
      for (const k of Object.keys(tags)) if (tags[k] === '') delete tags[k];
      const fields = Object.create(null), types = Object.create(null);
      for (const c of this.fields_) {
        const v = c.at(row);
        if (v === undefined) continue;
        fields[c.name] = v;
        types[c.name] = c.type;
      }
      yield { series: this.#series, time: this.time(row), tags, fields, types };
    }
  }
}

/** timesOf returns the times of a group in ns, as a column. */
export function timesOf(g) {
  const column = new Column('time', 'i', g.length);
  column.data = Array.from({ length: g.length }, (_, row) => g.time(row));
  return column;
}

/** commonFrame returns unit and t0 that say the times, columns of ns, exactly. */
export function commonFrame(columns) {
  let low = null, unit = 0;
  for (const column of columns) {
    for (const t of column.data) {
      if (low === null || t < low) low = t;
      while (t % BigInt(NS[unit]) !== 0n) unit++;
    }
  }
  const ns = BigInt(NS[unit]);
  return { unit: ns, t0: (low ?? 0n) / ns };
}
