/** Reading of a durable pull consumer. What was fetched and not given out goes back at the end. */

const SHARE = 32; // messages of a pull; there are two
const LANES = 2;
const BYTES = 2 << 20;
const EXPIRES = 30_000, BEAT = 5000, SILENCE = 2.25 * BEAT;
const PROGRESS = 1500, LOOK = 250;
const CONFIRM = 2000, CONFIRMS = 5;
const REMEMBER = 1024, REPEAT = 3_600_000;
const AWAY = 5000; // who was away for longer leaves what he has fetched to others
const ns = (ms) => ms * 1_000_000;

/** A Delivery is a message to be settled once: by ack, nak or term. Until then the stream is told that it is worked on. */
export class Delivery {
  constructor(source, msg) {
    this.source = source;
    this.msg = msg;
    this.reply = msg.reply;
    this.subject = msg.subject;
    this.body = msg.data;
    this.id = msg.headers?.get('Nats-Msg-Id') ?? '';
    this.contentType = msg.headers?.get('Content-Type') ?? '';
    this.contentEncoding = msg.headers?.get('Content-Encoding') ?? '';
    // $JS.ACK.<stream>.<consumer>.<deliveries>.<stream seq>.<consumer seq>.<time>.<pending>, or with domain and account before the stream.
    const parts = msg.reply.split('.');
    const at = parts.length > 9 ? parts.slice(6, 11) : parts.slice(4, 9);
    this.deliveries = Number(at[0]);
    this.seq = Number(at[1]);
    this.stored = BigInt(at[3]);
    this.stream = source.stream;
    this.signalled = Date.now();
    this.settled = false;
    if (source.stream === 'DEAD' && msg.subject.startsWith('pw.again.')) this.#asBefore(msg.headers);
  }

  /** asBefore makes a dead letter that is given again what it was before. */
  #asBefore(headers) {
    this.subject = headers.get('Pw-Subject');
    this.id = headers.get('Pw-Source-Id');
    const stored = Date.parse(headers.get('Pw-Stored'));
    if (!Number.isNaN(stored)) this.stored = BigInt(stored) * 1000000n;
  }

  get key() { return `${this.seq}/${this.stored}`; }

  ack() { this.source.settle(this, '+ACK', true); }

  /** nak gives it back: it comes again after delay ms. */
  nak(delay = 0) { this.source.settle(this, delay > 0 ? `-NAK {"delay":${ns(delay)}}` : '-NAK', false); }
}

/** A Source asks for the messages of one durable consumer, on two lanes in turn, so that the stream never waits for us. */
export class Source {
  #lanes = Array.from({ length: LANES }, (_, i) => ({ i, n: 0, open: false, left: 0, queued: 0, retry: 0 }));
  #queue = [];
  #held = new Map(); // by key: given out, not settled
  #acks = [];
  #asked = 0; // of acks, that the confirmation under way covers
  #askedAt = 0;
  #asks = 0;
  #tries = 0;
  #recent = new Map(); // settled here: by key, when
  #waiter = null;
  #idle = [];
  #stopped = false;
  #heard = Date.now();
  #away = 0;

  /** end: the last place in the stream that is meant for us; 0: there is none. */
  constructor(bus, { stream, durable, end = 0, log }) {
    Object.assign(this, { bus, stream, end, log });
    this.durable = durable;
    this.subject = `$JS.API.CONSUMER.MSG.NEXT.${stream}.${durable}`;
    this.inbox = bus.newInbox();
    this.failed = null;
    this.ends = [bus.subscribe(`${this.inbox}.*`, (msg) => this.#arrived(msg)), bus.subscribe(`${this.inbox}.c.*`, (msg) => this.#confirmed(msg)),
      bus.on('up', () => this.#up()), bus.on('down', () => { this.#away ||= Date.now(); }), bus.on('denied', (v) => this.#denied(v))];
    this.timer = setInterval(() => this.#look(Date.now()), LOOK);
    this.#pullAll();
  }

  get ready() { return this.#queue.length; }

  get held() { return this.#held.size; }

  #pullAll() { for (const lane of this.#lanes) this.#pull(lane); }

  #pull(lane) {
    if (this.#stopped || lane.open || lane.queued > 0 || Date.now() < lane.retry) return;
    const body = JSON.stringify({ batch: SHARE, expires: ns(EXPIRES), max_bytes: BYTES, idle_heartbeat: ns(BEAT) });
    try {
      lane.reply = `${this.inbox}.${lane.i}-${++lane.n}`;
      this.bus.publish(this.subject, body, { reply: lane.reply });
      lane.open = true;
      lane.left = SHARE;
    } catch { /* away: it is asked again after the reconnect */ }
  }

  #arrived(msg) {
    this.#heard = Date.now();
    const lane = this.#lanes[Number(msg.subject.slice(this.inbox.length + 1).split('-')[0])];
    if (!lane) return;
    if (!msg.reply?.startsWith('$JS.ACK.')) return this.#status(lane, msg);
    if (this.#stopped) return this.#say(msg.reply, '-NAK');
    if (msg.subject === lane.reply && --lane.left === 0) lane.open = false;
    const d = new Delivery(this, msg);
    if (this.#known(d)) return this.#pull(lane);
    d.lane = lane;
    lane.queued++;
    this.#queue.push(d);
    return this.#wake();
  }

  /** known deals with what is in hand, or was settled here: its ack was lost. */
  #known(d) {
    if (this.#held.has(d.key) || this.#queue.some((q) => q.key === d.key)) return true;
    const at = this.#recent.get(d.key);
    if (at === undefined || Date.now() - at > REPEAT) return false;
    this.#ack(d.reply, '+ACK');
    return true;
  }

  #status(lane, msg) {
    const code = msg.headers?.code;
    if (code === 100 || msg.subject !== lane.reply) return;
    lane.open = false;
    const text = msg.headers?.description ?? '';
    const ended = code === 408 || /Exceeds MaxBytes|Batch Completed/i.test(text);
    if (!ended) {
      this.log.debug('pull ended', { status: code, reason: text, consumer: this.durable });
      lane.retry = Date.now() + (code === 409 ? 250 : 500);
    }
    this.#pull(lane);
  }

  /** next returns the next delivery; null when the source is stopped before there is one. */
  async next() {
    for (;;) {
      if (this.failed) throw this.failed;
      if (this.#stopped) return null;
      const d = this.#take();
      if (d) return d;
      await new Promise((go) => { this.#waiter = go; });
    }
  }

  #take() {
    while (this.#queue.length > 0) {
      const d = this.#queue.shift();
      d.lane.queued--;
      this.#pull(d.lane);
      this.#held.set(d.key, d);
      if (this.end === 0 || d.seq <= this.end) return d;
      d.ack(); // it is not meant for us
    }
    return null;
  }

  #wake() {
    this.#waiter?.();
    this.#waiter = null;
  }

  settle(d, body, confirm) {
    if (d.settled) return;
    d.settled = true;
    this.#held.delete(d.key);
    if (confirm) {
      this.#recent.set(d.key, Date.now());
      if (this.#recent.size > REMEMBER) this.#recent.delete(this.#recent.keys().next().value);
      this.#ack(d.reply, body);
    } else {
      this.#say(d.reply, body);
    }
    this.#checkIdle();
  }

  #say(subject, body, reply) {
    try {
      this.bus.publish(subject, body, { reply });
    } catch { /* away: it comes again, or an ack is sent again */ }
  }

  /** ack sends an ack and remembers it until the stream has confirmed it: one confirmation stands for all before it. */
  #ack(subject, body) {
    this.#acks.push({ subject, body });
    if (this.#asked === 0) this.#ask();
    else this.#say(subject, body);
  }

  #ask() {
    this.#asked = this.#acks.length;
    this.#askedAt = Date.now();
    const last = this.#acks[this.#asked - 1];
    this.#say(last.subject, last.body, `${this.inbox}.c.${++this.#asks}`);
  }

  #confirmed(msg) {
    if (this.#asked === 0 || msg.subject !== `${this.inbox}.c.${this.#asks}` || msg.headers) return;
    this.#forget(this.#asked);
  }

  #forget(n) {
    this.#acks.splice(0, n);
    this.#asked = this.#tries = 0;
    if (this.#acks.length > 0 && (this.#stopped || this.#idle.length > 0)) this.#ask();
    this.#checkIdle();
  }

  #keepAcks(now) {
    if (this.#acks.length === 0 || !this.bus.up) return;
    if (this.#asked === 0) return this.#ask();
    if (now - this.#askedAt < CONFIRM) return;
    if (this.#tries++ >= CONFIRMS) {
      this.log.warn('acks not confirmed, the messages will come again', { count: this.#asked });
      return this.#forget(this.#asked);
    }
    for (const { subject, body } of this.#acks.slice(0, -1)) this.#say(subject, body);
    return this.#ask();
  }

  #look(now) {
    for (const d of [...this.#held.values(), ...this.#queue]) {
      if (now - d.signalled < PROGRESS) continue;
      d.signalled = now;
      this.#say(d.reply, '+WPI');
    }
    this.#keepAcks(now);
    if (!this.bus.up || this.#stopped) return;
    if (this.#queue.length === 0 && now - this.#heard > SILENCE) {
      this.log.warn('stream is silent, asking anew', { consumer: this.durable });
      this.#heard = now;
      for (const lane of this.#lanes) lane.open = false;
    }
    this.#pullAll();
  }

  #up() {
    const away = Date.now() - (this.#away || Date.now());
    this.#away = 0;
    this.#heard = Date.now();
    if (away > AWAY) this.#queue = [];
    for (const lane of this.#lanes) {
      lane.open = false;
      lane.retry = 0;
      lane.queued = this.#queue.filter((d) => d.lane === lane).length;
    }
    this.#pullAll();
    if (this.#acks.length > 0) {
      for (const { subject, body } of this.#acks.slice(0, -1)) this.#say(subject, body);
      this.#ask();
    }
  }

  #denied({ subject, subscribe, error }) {
    if (subject !== this.subject && !(subscribe && subject.startsWith(this.inbox))) return;
    this.failed = Object.assign(new Error(`read ${this.durable} of ${this.stream}: ${error.message}`), { denied: true });
    this.#wake();
  }

  #checkIdle() {
    if (this.#held.size > 0 || this.#acks.length > 0) return;
    for (const done of this.#idle.splice(0)) done();
  }

  /** stop ends reading, and gives back what was not given out. What was can still be settled; flush waits for that. */
  async stop() {
    if (this.#stopped) return;
    this.#stopped = true;
    this.#wake();
    await this.ends.shift()({ drain: true }); // first, or what is given back would come to what we have asked for
    for (const d of this.#queue.splice(0)) this.#say(d.reply, '-NAK');
    await this.bus.flush();
  }

  /** flush returns when all that was given out is settled, and that is confirmed. */
  async flush() {
    if (this.#acks.length > 0 && this.#asked === 0) this.#ask();
    if (this.#held.size > 0 || this.#acks.length > 0) await new Promise((done) => { this.#idle.push(done); });
  }

  close() {
    clearInterval(this.timer);
    for (const end of this.ends) end();
  }
}
