/** Publishing with acknowledgement: each message is stored at least once, under one id however often it is sent. */
import { randomBytes } from 'node:crypto';
import { token } from './names.mjs';

const ACK_TIMEOUT = 10_000; // ms for an answer
const LATE = 100_000; // the stream may have forgotten the id by then
const LOOK = 100;

// Why messages wait: the state that is told, and how often the oldest of them asks.
const troubles = {
  silent: ['no_stream', 250, 1000],
  nobody: ['no_stream', 250, 1000],
  busy: ['ok', 50, 2000],
  full: ['storage_full', 1000, 15_000],
};

const NOBODY = new Set([10008, 10009, 10118, 10158]); // no leader, no quorum, or a stream that is offline

/** PublishError says that a message will never be stored, and by its code why: denied, too_large, refused, closed. */
export class PublishError extends Error {
  constructor(code, text) {
    super(text);
    this.code = code;
  }
}

/** A Sink has a window, bounded in messages and bytes. Messages leave in their order; only trouble reorders them. */
export class Sink {
  #slots = new Map(); // by reply subject, in their order
  #bytes = 0;
  #count = 0;
  #waiting = []; // who wants to send
  #idle = [];
  #trouble = null;
  #closed = false;

  /** onState is told of each change: ok, disconnected, storage_full, no_stream, denied. */
  constructor(bus, { host, plugin, maxMessages = 256, maxBytes = 4 << 20, log, onState = () => {} }) {
    Object.assign(this, { bus, log, maxMessages, maxBytes, onState });
    this.owner = `${token(host)}/${token(plugin)}/`;
    this.stats = { stored: 0, resent: 0, late: 0, duplicates: 0, refused: 0 };
    this.state = bus.up ? 'ok' : 'disconnected';
    this.#reboot();
    this.inbox = bus.newInbox();
    this.ends = [bus.subscribe(`${this.inbox}.*`, (msg) => this.#answer(msg)), bus.on('up', () => this.#up()),
      bus.on('down', () => this.#tell('disconnected')), bus.on('denied', (v) => this.#denied(v))];
    this.timer = setInterval(() => this.#look(Date.now()), LOOK);
  }

  get inFlight() { return this.#slots.size; }

  get bytes() { return this.#bytes; }

  #reboot() {
    this.boot = randomBytes(8).toString('hex');
    this.seq = { batch: 0, other: 0 };
  }

  #nextID(subject) {
    const batch = subject.startsWith('pw.metrics.');
    return `${this.owner}${this.boot}/${batch ? ++this.seq.batch : 'e' + ++this.seq.other}`;
  }

  /**
   * send puts a message under way, { subject, body, id, contentType, headers }, once there is room. It returns { stored }, a promise
   * that is kept when the stream has it, and broken with a PublishError when it never will.
   */
  async send(message) {
    const size = message.body.length + message.subject.length + 256 + (message.id?.length ?? 0);
    if (size > this.bus.maxPayload) throw new PublishError('too_large', `publish ${message.subject}: ${size} bytes, the server takes ${this.bus.maxPayload}`);
    if (this.#waiting.length > 0 || !this.#fits(size)) await new Promise((go) => { this.#waiting.push({ size, go }); });
    if (this.#closed) throw new PublishError('closed', `publish ${message.subject}: closed`);
    return this.#start(message, size);
  }

  #fits(size) { return this.#closed || this.#slots.size === 0 || (this.#slots.size < this.maxMessages && this.#bytes + size <= this.maxBytes); }

  #start(message, size) {
    const own = !message.id;
    const slot = { ...message, own, id: message.id || this.#nextID(message.subject), size, sends: 0, sent: 0, first: 0, waits: false };
    const stored = new Promise((resolve, reject) => Object.assign(slot, { resolve, reject }));
    stored.catch(() => {}); // whoever wants to hear of it listens too
    slot.reply = `${this.inbox}.${++this.#count}`;
    this.#slots.set(slot.reply, slot);
    this.#bytes += size;
    if (this.#trouble || !this.bus.up) slot.waits = true;
    else this.#post(slot, Date.now());
    return { stored };
  }

  #post(slot, now) {
    const headers = { 'Nats-Msg-Id': slot.id, 'Content-Type': slot.contentType, ...slot.headers };
    try {
      this.bus.publish(slot.subject, slot.body, { reply: slot.reply, headers });
    } catch {
      slot.waits = true; // until the connection is back
      return;
    }
    slot.waits = false;
    slot.sent = now;
    if (slot.sends++ === 0) {
      slot.first = now;
      return;
    }
    this.stats.resent++;
    if (now - slot.first > LATE) this.stats.late++;
  }

  #answer(msg) {
    const slot = this.#slots.get(msg.subject);
    if (!slot) return;
    const a = parse(msg);
    if (a === null) return;
    if (a.stored) this.#stored(slot, a);
    else this.#notStored(slot, a);
  }

  #stored(slot, a) {
    if (a.duplicate && slot.own && slot.sends === 1) { // somebody else has used our id: ours is not stored
      this.log.warn('id was used by another publisher', { id: slot.id });
      if (slot.id.includes(this.boot)) this.#reboot();
      slot.id = this.#nextID(slot.subject);
      slot.sends = 0;
      return this.#post(slot, Date.now());
    }
    this.stats.stored++;
    if (a.duplicate) this.stats.duplicates++;
    this.#finish(slot);
    slot.resolve(a.seq);
    return this.#recover();
  }

  /** recover sends what has waited for the end of a trouble. */
  #recover() {
    if (!this.#trouble) return this.#tell('ok');
    this.#trouble = null;
    this.#tell('ok');
    return this.#resend();
  }

  #notStored(slot, a) {
    if (a.code === 429) return this.#enter('busy');
    if (NOBODY.has(a.errCode) || (a.errCode === 0 && a.code === 503)) return this.#enter('nobody');
    if (a.errCode === 10054) return this.#refuse(slot, 'too_large', a.text);
    if (a.code >= 500 || a.errCode === 10002) return this.#enter('full');
    return this.#refuse(slot, 'refused', `${a.text} (${a.errCode})`);
  }

  #refuse(slot, code, text) {
    this.stats.refused++;
    this.#finish(slot);
    slot.reject(new PublishError(code, `publish ${slot.subject}: ${text}`));
  }

  /** enter has all messages wait; the oldest of them asks now and then. */
  #enter(kind) {
    const now = Date.now();
    if (this.#trouble?.kind !== kind) this.#trouble = { kind, tries: 0, next: now };
    const [state, base, cap] = troubles[kind];
    if (state !== 'ok') this.#tell(state);
    for (const slot of this.#slots.values()) slot.waits = true;
    const pause = Math.min(base * 2 ** Math.min(this.#trouble.tries++, 10), cap);
    this.#trouble.next = now + pause * (0.75 + Math.random() / 4);
  }

  #look(now) {
    if (!this.bus.up || this.#slots.size === 0) return;
    const [oldest] = this.#slots.values();
    if (this.#trouble) {
      if (now < this.#trouble.next || (!oldest.waits && now - oldest.sent < ACK_TIMEOUT)) return;
      this.#post(oldest, now);
      return;
    }
    for (const slot of this.#slots.values()) {
      if (slot.waits) this.#post(slot, now);
      else if (now - slot.sent > ACK_TIMEOUT) return this.#enter('silent');
    }
  }

  #resend() {
    const now = Date.now();
    for (const slot of this.#slots.values()) this.#post(slot, now);
  }

  #up() { // of all that was under way it is unknown whether the stream has it
    this.#trouble = null;
    this.#tell('ok');
    this.#resend();
  }

  #denied({ subject, subscribe, error }) {
    const deaf = subscribe && subject.startsWith(this.inbox);
    for (const slot of [...this.#slots.values()]) {
      if (!deaf && (subscribe || slot.subject !== subject)) continue;
      this.#refuse(slot, 'denied', error.message);
      this.#tell('denied');
    }
  }

  #tell(state) {
    if (this.state === state) return;
    this.state = state;
    this.onState(state);
  }

  #finish(slot) {
    this.#slots.delete(slot.reply);
    this.#bytes -= slot.size;
    while (this.#waiting.length > 0 && this.#fits(this.#waiting[0].size)) {
      this.#waiting.shift().go();
      if (this.#waiting.length > 0) break; // the one that goes has not taken its room yet
    }
    if (this.#slots.size === 0) for (const done of this.#idle.splice(0)) done();
  }

  /** flush returns when nothing is under way. */
  async flush() {
    while (this.#slots.size > 0 || this.#waiting.length > 0) await new Promise((done) => { this.#idle.push(done); });
  }

  /** close gives up what is under way. */
  close() {
    this.#closed = true;
    clearInterval(this.timer);
    for (const end of this.ends) end();
    for (const slot of [...this.#slots.values()]) {
      this.#finish(slot);
      slot.reject(new PublishError('closed', `publish ${slot.subject}: closed`));
    }
    for (const { go } of this.#waiting.splice(0)) go();
  }
}

/** parse reads what the bus says to a publish; null when it is no answer of a stream. */
function parse(msg) {
  if (msg.headers) {
    return msg.headers.code === 503 && msg.data.length === 0 ? { stored: false, code: 503, errCode: 0, text: 'no responders' } : null;
  }
  try {
    const { type, stream, seq, duplicate = false, error } = JSON.parse(Buffer.from(msg.data).toString());
    if (type) return null;
    if (error) return error.code ? { stored: false, code: error.code, errCode: error.err_code ?? 0, text: error.description } : null;
    return stream && seq > 0 ? { stored: true, duplicate, seq } : null;
  } catch {
    return null;
  }
}
