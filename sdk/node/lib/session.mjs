/** A session: the author's work under one config. It lives until the config changes or the plugin ends. */
import { CONTENT_TYPE } from './batch.mjs';
import { classOf, pauseOf, stackOf } from './errors.mjs';
import { subjects } from './names.mjs';

const CALL = 30_000, HANG = 5000, OPEN = 30_000;

/** sleep returns after ms, or when signal ends; it tells whether that was before. */
export function sleep(ms, signal) {
  if (signal?.aborted) return Promise.resolve(false);
  return new Promise((resolve) => {
    const end = () => {
      clearTimeout(timer);
      resolve(false);
    };
    const timer = setTimeout(() => {
      signal?.removeEventListener('abort', end);
      resolve(true);
    }, Math.min(ms, 2 ** 31 - 1));
    signal?.addEventListener('abort', end, { once: true });
  });
}

/** A Session gives each call its deadline, counts it, and knows how to send. */
export class Session {
  #noted = '';
  #denied = false;
  #calls = 0;
  #turns = [];

  /**
   * spec: of the plugin. work: of the ACK. out: { send(message), flush() }. status: { failing, hung, alarm }. quit: ends when no new
   * work is to be begun; hard: ends when a drain has taken too long. once: nothing is tried again.
   */
  constructor({ spec, settings, work, out, queue, limits, count, status, log, host, name, dir, quit, hard, once = false }) {
    Object.assign(this, { spec, settings, work, out, queue, limits, count, status, log, host, name, dir, quit, hard, once });
    this.ctx = { settings, host, name, dir, log, state: undefined, signal: hard, event: (kind, batch) => this.event(kind, batch) };
  }

  get timeout() { return this.work.timeout_ms || this.work.every_ms || CALL; }

  async open() { this.ctx.state = await this.call((ctx) => this.spec.open?.(ctx), OPEN); }

  async close() { await this.spec.close?.(this.ctx); }

  /** call runs a piece of the author's work with a deadline. Its signal ends then; who does not heed that is told to hang. */
  async call(f, limit = this.timeout) {
    const late = new AbortController();
    const end = () => late.abort(this.hard.reason);
    this.hard.addEventListener('abort', end, { once: true });
    const deadline = setTimeout(() => late.abort(Object.assign(new Error(`no answer in ${limit / 1000}s`), { late: true })), limit);
    const hang = setTimeout(() => this.status.hung(true), limit + HANG);
    const begin = performance.now();
    try {
      return await f({ ...this.ctx, signal: late.signal });
    } catch (err) {
      const error = err instanceof Error ? err : new Error(String(err));
      throw late.signal.aborted && !this.hard.aborted && error.name === 'AbortError' ? late.signal.reason : error;
    } finally {
      this.count.call(performance.now() - begin);
      clearTimeout(deadline);
      clearTimeout(hang);
      this.status.hung(false);
      this.hard.removeEventListener('abort', end);
    }
  }

  /** turn waits until there are fewer calls than the config allows side by side; pass lets the next one. */
  async turn() {
    if (this.#calls >= Math.max(1, this.work.parallel ?? 1)) await new Promise((go) => { this.#turns.push(go); });
    else this.#calls++;
  }

  pass() {
    if (this.#turns.length > 0) this.#turns.shift()();
    else this.#calls--;
  }

  /** note takes the outcome of a call: an error is counted, and logged when it is another than the last. */
  note(err) {
    if (!err || err.noData) {
      if (this.#noted !== '') this.status.failing(false);
      this.#noted = '';
      this.#denied = false;
      return;
    }
    this.count.fail(classOf(err), err);
    if (err.message !== this.#noted && !err.tooLarge) {
      this.#noted = err.message;
      this.status.failing(true);
      this.log.warn('call failed', { error: err.message, ...(isPlanned(err) ? {} : { stack: stackOf(err) }) });
    }
    if (err.denied && !this.#denied) this.status.alarm('denied', err.message);
    this.#denied = Boolean(err.denied);
  }

  /** wait waits before the next try, and tells whether there is to be one. */
  async wait(err, attempt, signal = this.quit) { return !this.once && sleep(pauseOf(err, attempt), signal); }

  /** dress gives the points of a batch the tags of the config that they do not say themselves. */
  dress(batch) { for (const [key, value] of Object.entries(this.work.tags ?? {})) batch.defaultTag(key, value); }

  /**
   * emit sends what the limits allow of a batch, about host. ids(n) names the n-th message; without it they get ids of their own. It
   * returns { stored } when all is under way: a promise that is kept when all of it is stored.
   */
  async emit(batch, host = this.host, ids = () => '') {
    this.limits?.apply(batch, this.count);
    this.dress(batch);
    const frames = batch.frames();
    this.count.drops(batch.drops);
    const stored = [];
    let n = 0;
    for (const { body, points } of frames) {
      const message = { subject: subjects.metrics(host, this.name), body, id: ids(++n), contentType: CONTENT_TYPE, points };
      stored.push(await this.#post(message));
    }
    const all = Promise.all(stored.map((s) => s.stored));
    all.catch(() => {});
    return { stored: all, tooLarge: batch.drops.too_large > 0 };
  }

  /** post hands a message to the bus, or to the queue of a collector. */
  async #post(message) {
    if (!this.queue) return this.#send(message);
    const stored = new Promise((resolve, reject) => Object.assign(message, { resolve, reject }));
    stored.catch(() => {});
    message.hand = async () => {
      const sent = await this.#send(message);
      sent.stored.then(message.resolve, message.reject); // behind it: the next message need not wait for that
    };
    await this.queue.put(message);
    return { stored };
  }

  async #send(message) {
    try {
      const { stored } = await this.out.send(message);
      stored.then(() => {
        this.count.n.points_out += message.points;
        this.count.n.batches_out++;
        this.count.n.bytes_out += message.body.length;
      }, (err) => {
        this.count.fail('publish', err);
        this.log.error('points not sent', { error: err.message });
      });
      return { stored };
    } catch (err) {
      this.count.fail('publish', err);
      this.count.drop('not_sent', message.points);
      const stored = Promise.reject(err);
      stored.catch(() => {}); // whoever wants to hear of it listens later
      return { stored };
    }
  }

  /** event sends a batch as one event, and returns when it is stored. */
  async event(kind, batch) {
    const { stored } = await this.out.send({ subject: subjects.event(this.host, this.name, kind), body: batch.encode(), contentType: CONTENT_TYPE, points: 0 });
    await stored;
  }
}

const isPlanned = (err) => err.permanent || err.denied || err.after || err.tooLarge || err.late;
