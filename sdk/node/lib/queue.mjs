/** What a collector may send: a queue for what the bus does not take yet, points a second, and series at a time. */

const BYTES = 16 << 20; // unless the config says otherwise
const BESIDES = 512; // bytes that a message takes besides its body
const HOUR = 3_600_000;

/** A Queue is bounded in bytes. When it is full, who puts waits, or what waits longest is dropped, or what comes. */
export class Queue {
  #waiting = [];
  #room = [];
  #idle = [];
  #pumping = false;

  /** send(message) hands one to the bus, and waits while that takes nothing. */
  constructor(send, { onDrop = () => {} } = {}) {
    this.send = send;
    this.onDrop = onDrop;
    this.shape({});
    this.bytes = 0;
  }

  shape({ queue_bytes: most, overflow }) {
    this.most = most || BYTES;
    this.policy = overflow || 'block';
  }

  get length() { return this.#waiting.length; }

  /** put takes a message, which leaves in its turn. */
  async put(message) {
    const size = message.body.length + BESIDES;
    while (this.bytes > 0 && this.bytes + size > this.most) {
      if (this.policy === 'drop_new') return this.onDrop(message);
      if (this.policy === 'drop_oldest') this.onDrop(this.#pop());
      else await new Promise((go) => { this.#room.push(go); });
    }
    this.#waiting.push(message);
    this.bytes += size;
    if (!this.#pumping) this.#pump();
    return undefined;
  }

  #pop() {
    const message = this.#waiting.shift();
    this.bytes -= message.body.length + BESIDES;
    for (const go of this.#room.splice(0)) go();
    return message;
  }

  async #pump() {
    this.#pumping = true;
    while (this.#waiting.length > 0) await this.send(this.#pop());
    this.#pumping = false;
    for (const done of this.#idle.splice(0)) done();
  }

  /** flush returns when all that waits is handed over. */
  async flush() {
    while (this.#pumping) await new Promise((done) => { this.#idle.push(done); });
  }
}

/** Limits bound points a second and series at a time. They belong to the process: a change of config forgets nothing. */
export class Limits {
  #tokens = 0;
  #filled = 0;
  #seen = new Map(); // series, by when they were sent last

  constructor() { this.shape({}); }

  shape({ max_rate: rate = 0, max_series: series = 0 }) {
    if (rate !== this.rate) [this.#tokens, this.#filled] = [rate, Date.now()];
    this.rate = rate;
    this.series = series;
    if (series === 0) this.#seen.clear();
  }

  /** apply takes from a batch what is too much, and counts it. */
  apply(batch, count) {
    if (this.rate > 0) count.drop('dropped_flood', this.#slow(batch));
    if (this.series > 0) count.drop('series_limit', this.#few(batch));
  }

  #slow(batch) {
    const now = Date.now();
    this.#tokens = Math.min(this.rate, this.#tokens + (now - this.#filled) * this.rate / 1000);
    this.#filled = now;
    const n = batch.length, pass = Math.min(n, Math.floor(this.#tokens));
    this.#tokens -= pass;
    if (pass < n) batch.groups = batch.slice(0, pass).groups;
    return n - pass;
  }

  #few(batch) {
    let dropped = 0;
    const now = Date.now();
    for (const g of batch.groups) {
      const columns = g.tagKeys.map((key) => g.tag(key));
      const shared = JSON.stringify([batch.host, g.series, g.own]);
      const before = g.length;
      g.keep((row) => this.#admit([shared, ...columns.map((c) => c[row])].join('\0'), now));
      dropped += before - g.length;
    }
    return dropped;
  }

  #admit(series, now) {
    if (!this.#seen.has(series) && this.#seen.size >= this.series) {
      for (const [old, at] of this.#seen) if (now - at > HOUR) this.#seen.delete(old);
      if (this.#seen.size >= this.series) return false;
    }
    this.#seen.set(series, now);
    return true;
  }
}
