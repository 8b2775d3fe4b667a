/** A connection to the bus which repairs itself until it is closed, and sends nothing late. */
import { readFileSync, statSync } from 'node:fs';
import { connect, createInbox, credsAuthenticator, headers } from '@nats-io/transport-node';
import { Refused } from './errors.mjs';

const FIRST_DELAY = 500, GROWTH = 1.6, MOST_DELAY = 20_000;
const FLUSH = 2000;

/** NotSent says that there is no connection now: what was to be sent is not. */
export class NotSent extends Error {
  constructor() { super('the bus is away'); }
}

/** toHeaders returns headers of the client from a map; null for none. */
export function toHeaders(map) {
  const list = Object.entries(map ?? {}).filter(([, v]) => v !== undefined && v !== '');
  if (list.length === 0) return undefined;
  const h = headers();
  for (const [key, value] of list) h.set(key, value);
  return h;
}

/** Bus is a connection. Who wants to know hears of it: on('up' | 'down' | 'denied', f). */
export class Bus {
  #listeners = { up: [], down: [], denied: [] };
  #tries = 0;
  #wait = 0;
  #due = 0; // when the next attempt is, while it is waited for

  /** options: url, creds (file), user, name, log, env (of the TLS files), control (it carries heartbeats). */
  constructor(options) {
    this.options = options;
    this.up = false;
  }

  on(event, f) {
    this.#listeners[event].push(f);
    return () => { this.#listeners[event] = this.#listeners[event].filter((g) => g !== f); };
  }

  #tell(event, what) { for (const f of [...this.#listeners[event]]) f(what); }

  /** dial returns when it is connected, however long that takes. */
  async dial() {
    const { url, creds, user, name, env = {}, control } = this.options;
    const servers = url.split(',').map((one) => one.trim().replace(/^(\w+:\/\/)?[^@/]*@/, '$1')); // the client takes a password of digits for a port
    const local = servers.every((one) => /^(\w+:\/\/)?(localhost|127\.[\d.]+|\[::1\])(:|$)/.test(one));
    this.inbox = `_INBOX_${user}`;
    this.nc = await connect({
      servers, name, inboxPrefix: this.inbox, authenticator: creds ? credentials(creds) : login(url), tls: tlsOf(env, url),
      maxReconnectAttempts: -1, waitOnFirstConnect: true, ignoreAuthErrorAbort: true, reconnectDelayHandler: () => this.#delay(),
      pingInterval: local && control ? 1750 : 10_000, maxPingOut: 2, timeout: 5000, noAsyncTraces: true,
    });
    this.#arrived();
    this.#watch();
  }

  /** delay is the pause between two attempts. The client asks before the pause, and again behind it: then the attempt is due. */
  #delay() {
    const now = Date.now();
    if (this.#due > 0 && now >= this.#due) {
      this.#due = 0;
      return 0;
    }
    if (this.#due === 0) {
      this.#wait = Math.random() * Math.min(FIRST_DELAY * GROWTH ** this.#tries++, MOST_DELAY);
      this.#due = now + this.#wait;
    }
    return this.#wait;
  }

  #arrived() {
    this.#tries = this.#due = 0;
    this.up = true;
    this.#tell('up');
  }

  async #watch() {
    const { log } = this.options;
    for await (const status of this.nc.status()) {
      if (status.type === 'disconnect') {
        if (this.up) log.warn('bus disconnected');
        this.up = false;
        this.#tell('down');
      } else if (status.type === 'reconnect') {
        log.info('bus connected');
        this.#arrived();
      } else if (status.type === 'error') {
        this.#trouble(status.error);
      }
    }
  }

  #trouble(err) {
    if (!err.subject) return this.options.log.warn('bus error', { error: err.message });
    this.options.log.error('bus denied', { subject: err.subject, operation: err.operation });
    return this.#tell('denied', { subject: err.subject, subscribe: err.operation === 'subscription', error: err });
  }

  get maxPayload() { return this.nc.info?.max_payload ?? 1 << 20; }

  /** publish sends now or never. */
  publish(subject, body, { reply, headers: h } = {}) {
    if (!this.up || this.nc.isClosed()) throw new NotSent();
    this.nc.publish(subject, body, { reply, headers: toHeaders(h) });
  }

  /** request returns the answer; after timeout ms, or where nobody listens, it throws. */
  async request(subject, body, timeout) {
    if (!this.up || this.nc.isClosed()) throw new NotSent();
    return this.nc.request(subject, body, { timeout });
  }

  /** subscribe calls f for each message. What it returns ends that; with drain only when all has come that the server sent before it knew. */
  subscribe(subject, f) {
    const sub = this.nc.subscribe(subject, { callback: (err, msg) => { if (!err) f(msg); } });
    return async ({ drain = false } = {}) => {
      if (this.nc.isClosed()) return;
      if (drain && this.up) await within(FLUSH, sub.drain());
      else sub.unsubscribe();
    };
  }

  newInbox() { return createInbox(this.inbox); }

  /** flush returns when the server has all that was sent, or after timeout ms. */
  async flush(timeout = FLUSH) {
    if (!this.up || this.nc.isClosed()) return;
    await within(timeout, this.nc.flush());
  }

  async close() {
    this.up = false;
    await this.nc?.close();
  }
}

/** within waits for a promise, for so many ms at most, and not for how it goes. */
function within(ms, promise) {
  return new Promise((done) => {
    const timer = setTimeout(done, ms);
    promise.catch(() => {}).then(() => {
      clearTimeout(timer);
      done();
    });
  });
}

/** credentials returns what logs in by a file: {"user": ..., "password": ...}, read at each connect, or a NATS .creds file. */
function credentials(path) {
  let last = read(path);
  if (!last.trim().startsWith('{')) return credsAuthenticator(Buffer.from(last));
  parse(path, last);
  return () => {
    try {
      const now = read(path);
      parse(path, now);
      last = now;
    } catch { /* a connect that cannot read the file tries what it knew */ }
    return parse(path, last);
  };
}

function read(path) {
  try {
    const { mode } = statSync(path);
    if (mode & 0o077) throw new Error(`mode ${(mode & 0o777).toString(8)} lets others read it: chmod 600`);
    return readFileSync(path, 'utf8');
  } catch (err) {
    throw new Refused(`credentials ${path}: ${err.message}`);
  }
}

function parse(path, text) {
  try {
    const { user, password } = JSON.parse(text);
    if (typeof user === 'string' && user !== '') return { user, pass: password };
  } catch { /* told below, without the text: it is secret */ }
  throw new Refused(`credentials ${path}: want {"user": ..., "password": ...}`);
}

/** login returns what logs in as the URL says, for tests and trials by hand. */
function login(url) {
  const found = /^\w+:\/\/([^:@/]+)(?::([^@/]*))?@/.exec(url.trim());
  if (!found) return undefined;
  const [user, pass] = found.slice(1).map((part) => part && decodeURIComponent(part));
  return () => (pass === undefined ? { auth_token: user } : { user, pass });
}

function tlsOf(env, url) {
  const files = { caFile: env.PACEWIRE_BUS_CA, certFile: env.PACEWIRE_BUS_CERT, keyFile: env.PACEWIRE_BUS_KEY };
  const given = Object.fromEntries(Object.entries(files).filter(([, path]) => path));
  return Object.keys(given).length > 0 || url.startsWith('tls://') ? given : undefined;
}
