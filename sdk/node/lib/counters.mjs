/** What is counted for every plugin, and told in each heartbeat. */
import { oneLine } from './errors.mjs';

const STAYS = 60_000; // for so long after the last loss a flag is told

/** flagOf names the flag and the event that a loss is told by. */
const flagOf = { overflow: 'overflow', dropped_flood: 'dropped_flood', series_limit: 'series_limit' };

const dropped = (n) => (n === 1 ? '1 point was dropped' : `${n} points were dropped`);

const saying = {
  overflow: (n) => `${dropped(n)}: the bus took no more, and the queue was full; look at the bus, or raise queue`,
  dropped_flood: (n) => `${dropped(n)}: there were more a second than max_rate allows`,
  series_limit: (n) => `${dropped(n)}: there were more series than max_series allows; take away a tag that has another value each time, or raise max_series`,
};

/** Counters also know which losses an operator is to be told of. */
export class Counters {
  #buckets = new Float64Array(160); // call times, a quarter of a power of two wide each
  #most = 0;
  #losses = new Map();

  /** onLoss(event, text) is called at most once a minute for each kind of loss. */
  constructor({ onLoss = () => {} } = {}) {
    this.n = {
      points_in: 0, points_out: 0, batches_in: 0, batches_out: 0, bytes_in: 0, bytes_out: 0, redelivered: 0, dead: 0, ticks: 0, missed: 0,
    };
    this.errors = {};
    this.dropped = {};
    this.last = null;
    this.onLoss = onLoss;
  }

  drop(reason, n = 1) {
    if (n === 0) return;
    this.dropped[reason] = (this.dropped[reason] ?? 0) + n;
    if (!(reason in flagOf)) return;
    const loss = this.#losses.get(reason) ?? { n: 0, told: 0 };
    this.#losses.set(reason, loss);
    loss.n += n;
    loss.at = Date.now();
    if (loss.at - loss.told < STAYS) return;
    loss.told = loss.at;
    this.onLoss(flagOf[reason], saying[reason](loss.n));
    loss.n = 0;
  }

  drops(byCode) { for (const [code, n] of Object.entries(byCode)) this.drop(code, n); }

  fail(code, err) {
    this.errors[code] = (this.errors[code] ?? 0) + 1;
    this.last = { code, message: oneLine(err.message ?? err), at: Date.now() };
  }

  call(ms) {
    const us = Math.max(0, Math.round(ms * 1000));
    this.#buckets[bucketOf(us)]++;
    this.#most = Math.max(this.#most, us);
  }

  flags() {
    const now = Date.now();
    return [...this.#losses].filter(([, loss]) => now - loss.at < STAYS).map(([reason]) => flagOf[reason]);
  }

  /** fault returns the last error, or another one, as heartbeats tell it. */
  fault(last = this.last) {
    if (!last) return undefined;
    const { code, message, at } = last;
    return { code, message, age_ms: Date.now() - at };
  }

  stats(more = {}) {
    const given = (map) => (Object.keys(map).length > 0 ? { ...map } : undefined);
    const counts = Object.fromEntries(Object.entries({ ...this.n, ...more }).filter(([, n]) => n > 0));
    return { ...counts, ...this.#calls(), errors: given(this.errors), dropped: given(this.dropped) };
  }

  #calls() {
    const calls = this.#buckets.reduce((sum, n) => sum + n, 0);
    if (calls === 0) return {};
    const at = (share) => {
      let rest = share * calls;
      const i = this.#buckets.findIndex((n) => (rest -= n) < 0);
      return Math.min(boundOf(i), this.#most);
    };
    return { calls, call_p50_us: at(0.5), call_p99_us: at(0.99), call_max_us: this.#most };
  }
}

function bucketOf(us) {
  if (us < 4) return us;
  const exp = Math.floor(Math.log2(us));
  return Math.min(4 * (exp - 1) + Math.floor((us / 2 ** (exp - 2)) % 4), 159);
}

function boundOf(i) {
  return i < 4 ? i : (4 + (i % 4) + 1) * 2 ** (Math.floor(i / 4) - 1) - 1;
}
