/** The life of a plugin on the bus: hello, heartbeats, what the agent asks, settings, drain and goodbye. */
import { randomBytes } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { Batch } from './batch.mjs';
import { Bus } from './bus.mjs';
import { settingsOf } from './config.mjs';
import { decodeControl, digestOf, encodeControl, encodeFacts, inventoryDigest } from './control.mjs';
import { Counters } from './counters.mjs';
import { Refused, pauseOf, stackOf } from './errors.mjs';
import { letterKey, letterOf, Suspects } from './letters.mjs';
import { subjects, token, user } from './names.mjs';
import { Pulse } from './pulse.mjs';
import { Limits, Queue } from './queue.mjs';
import { Session, sleep } from './session.mjs';
import { Sink } from './sink.mjs';
import { Source } from './source.mjs';

const DRAIN = 10_000, BYE = 500;
const BYES = ['shutdown', 'upgrade', 'maintenance', 'suspend'];
const FULL = 'storage_full';

const now = () => performance.now();
const wall = () => BigInt(Date.now()) * 1000000n;

/** A Life is one process of a plugin between hello and goodbye. */
export class Life {
  #state = 'starting';
  #hung = false;
  #failing = false;
  #offered = 0;
  #rev = 0;
  #declined = null; // why the offer was refused; it is told until there is another one, whatever else goes wrong
  #bye = '';
  #held = true; // the agent has not let it begin yet
  #gate = [];
  #offers = [];
  #wakers = []; // who waits for an offer, a refresh or the end
  #beatSoon = null;
  #plgs = 0;

  /** definition: { spec, manifest, loop }. options: bus, creds, host, plugin, process, inst, dir, env, log. */
  constructor(definition, options) {
    Object.assign(this, { definition, spec: definition.spec, o: options, log: options.log });
    this.process = options.process || options.plugin;
    this.inst = options.inst || randomBytes(8).toString('hex');
    this.quit = new AbortController(); // the end is near
    this.hard = new AbortController(); // and has come
    this.count = new Counters({ onLoss: (kind, text) => this.#raise(kind, text) });
    this.suspects = new Suspects(options.dir);
    this.limits = new Limits();
    const data = encodeFacts(definition.manifest);
    this.fact = { at: wall(), size: data.length, digest: digestOf(data) };
    this.items = [[this.process, 'manifest', this.spec.version ?? '', '', this.fact.digest]];
    this.inv = inventoryDigest(this.items);
  }

  /** run leads the life to its end. It throws Refused when the agent does not want this plugin. */
  async run() {
    const leave = new Promise((end) => { this.quit.signal.addEventListener('abort', () => end(true), { once: true }); });
    if (await Promise.race([this.#dial(), leave])) return; // asked to end before there was anything to finish
    this.pulse = new Pulse({ now: now() });
    this.control.subscribe(subjects.ctl(this.o.host, this.process), (msg) => this.#asked(msg));
    const beating = this.#beatLoop();
    const draining = new Promise((_, reject) => {
      this.quit.signal.addEventListener('abort', async () => {
        await sleep(DRAIN, this.hard.signal);
        this.hard.abort(new Error('the drain has taken too long'));
        await sleep(1000);
        reject(new Error('drain: a call does not come back'));
      }, { once: true });
    });
    draining.catch(() => {});
    try {
      await Promise.race([this.#work(), draining]);
    } finally {
      this.working = false;
      this.#nudge();
      await beating;
      await this.#beat(this.#bye || 'shutdown');
      await this.#close();
    }
    if (this.refused) throw this.refused;
  }

  /** drain asks for the end; reason: of the goodbye. */
  drain(reason = '') {
    this.#bye ||= BYES.includes(reason) ? reason : 'shutdown';
    this.quit.abort();
    this.#open();
    this.#nudge();
    this.#wake();
  }

  async #dial() {
    const { bus: url, creds, host, env, log } = this.o;
    const name = user(host, this.process);
    this.control = new Bus({ url, creds, user: name, name: `${host}/${this.process} control`, env, log, control: true });
    this.data = new Bus({ url, creds, user: name, name: `${host}/${this.process} data`, env, log });
    for (const bus of [this.control, this.data]) bus.on('denied', ({ error }) => this.count.fail('denied', error));
    await Promise.all([this.control.dial(), this.data.dial()]);
    log.bus = this.control;
    this.control.on('up', () => {
      this.pulse.reconnected(now());
      this.#nudge();
    });
    this.sink = new Sink(this.data, { host, plugin: this.o.plugin, log, onState: (state) => this.#publishes(state) });
    this.queue = new Queue((message) => message.hand(), { onDrop: (message) => {
      this.count.drop('overflow', message.points);
      message.reject(new Error('the queue to the bus is full, and the points are dropped'));
    } });
  }

  async #close() {
    this.hard.abort();
    this.sink.close();
    await this.control.flush(BYE);
    this.log.bus = null;
    await Promise.all([this.control.close(), this.data.close()]);
  }

  // Heartbeats.

  #nudge() { this.#beatSoon?.abort(); }

  async #beatLoop() {
    while (!this.quit.signal.aborted || this.working) {
      await this.#beat('');
      while (now() < this.pulse.due && (!this.quit.signal.aborted || this.working)) {
        this.#beatSoon = new AbortController();
        await sleep(Math.max(0, this.pulse.due - now()), this.#beatSoon.signal);
      }
    }
  }

  /** beat sends one heartbeat and obeys the answer. One that cannot be sent is not sent later: the next one is fresh. */
  async #beat(bye) {
    const { pulse } = this;
    const message = this.#heartbeat(bye);
    try {
      const msg = await this.control.request(subjects.beat(this.o.host, this.process, 'htb'), encodeControl(message), bye ? BYE : pulse.patience);
      const { message: ack } = decodeControl('ack', msg.data);
      if (!pulse.obey(ack, now())) return;
      this.#obey(ack);
    } catch (err) {
      if (err.code && err.path !== undefined) this.count.fail('ack', err);
      pulse.miss(now());
      if (pulse.unwatched && !bye) this.log.warn(this.#offered ? 'agent does not answer, work goes on with the last config' : 'no agent answers, nothing can be done before one does', { error: err.message });
    }
  }

  #heartbeat(bye) {
    const known = this.pulse.beat(now(), wall());
    const flags = this.#flags();
    return {
      v: 1, host: this.o.host, plugin: this.process, inst: this.inst, boot: bootID(), ...known,
      manifest: known.hello ? this.definition.manifest : undefined,
      inv_list: this.pulse.lists(this.inv) ? this.items : undefined,
      inv: this.inv, inv_n: this.items.length, bye: bye || undefined, state: bye ? 'draining' : this.#state, cfg_rev: this.#rev || undefined,
      err: this.count.fault(this.#declined ?? undefined), stats: this.#stats(), flags: flags.length > 0 ? flags : undefined,
    };
  }

  #stats() {
    const { sink, queue } = this;
    return this.count.stats({
      queue: queue.length + sink.inFlight, queue_bytes: queue.bytes + sink.bytes, resent: sink.stats.resent, resent_late: sink.stats.late,
    });
  }

  #flags() {
    const flags = this.count.flags();
    if (this.#hung) flags.push('hung');
    if (this.#failing) flags.push('failing');
    if (this.sink.state === FULL) flags.push(FULL);
    if (this.#held && this.definition.manifest.kind === 'collector') flags.push('exclusive'); // two would collect twice
    return flags;
  }

  #publishes(state) {
    this.log.info('publisher state', { state });
    if (state === FULL) {
      this.#raise(FULL, 'the bus has no room: what was made waits, and is sent when there is; free the disk of the bus, or let it have more: '
        + 'bus.max_store in the config of its agent, max_file_store or the limit of the account where it is a NATS server by itself');
    }
    this.#nudgeNews();
  }

  #nudgeNews() {
    this.pulse?.hasten(now());
    this.#nudge();
  }

  #setState(state) {
    if (this.#state === state) return;
    this.#state = state;
    this.#nudgeNews();
  }

  #obey(ack) {
    if (ack.state === 'refused') {
      this.refused = new Refused(`refused by the agent: ${ack.reason ?? 'no reason'}`);
      this.drain();
      return;
    }
    if (!ack.flags?.includes('hold')) this.#open();
    const rev = ack.cfg_rev ?? 0;
    if (ack.config !== undefined && rev !== this.#offered) {
      this.#offered = rev;
      this.#declined = null;
      this.#offers = [{ rev, work: ack }];
      this.#wake();
    } else if (this.#declined && rev === this.#rev) {
      this.#offered = 0; // the agent has given it up: it may offer it again
      this.#declined = null;
    }
  }

  #open() {
    this.#held = false;
    for (const go of this.#gate.splice(0)) go();
  }

  // What the agent asks.

  #asked(msg) {
    const verb = msg.subject.split('.').at(-1);
    const askers = [`_INBOX_${token(this.o.host).replaceAll('_', '=5F')}_agent.`, '_INBOX_hub.'];
    if (msg.headers?.keys().some((key) => key.startsWith('Nats-')) || !askers.some((inbox) => msg.reply?.startsWith(inbox))) return;
    let request;
    try {
      request = decodeControl('request', msg.data);
    } catch (err) {
      this.count.fail('request', err);
      return;
    }
    const { message: m, json } = request;
    if (m.args?.inst !== undefined && m.args.inst !== this.inst) return; // for another process of this name
    const reply = { id: m.id, ok: true };
    const after = this.#answer(verb, m, reply);
    try {
      this.control.publish(msg.reply, encodeControl(reply, json));
      after?.();
    } catch (err) {
      this.log.debug('request not answered', { error: err.message });
    }
  }

  /** answer fills the reply to a request, and returns what is to be done behind it. */
  #answer(verb, m, reply) {
    switch (verb) {
      case 'ping':
        reply.payload = this.#stats();
        return undefined;
      case 'beat':
        this.pulse.greetAgain(now());
        return () => this.#nudge();
      case 'refresh':
        return this.#refresh(m, reply);
      case 'drain':
        this.log.info('drain asked for by the agent');
        return () => this.drain(m.args?.reason);
    }
    Object.assign(reply, { ok: false, error: { code: 'not_found', message: `there is no verb ${verb.slice(0, 64)}` } });
    return undefined;
  }

  #refresh(m, reply) {
    if (m.mode === 'collect' && this.#state === 'idle') this.#wake();
    const age = Number((wall() - this.fact.at) / 1000000n);
    reply.payload = { inv_list: this.items.map((item) => [...item, this.fact.size, age, null]) };
    const wanted = (m.want ?? []).some((w) => w === '*' || w === `${this.process}/manifest`);
    return () => wanted && this.#tell();
  }

  #tell() {
    const data = {
      v: 1, host: this.o.host, inst: this.inst, plugin: this.process, type: 'manifest', version: this.spec.version ?? '', t: this.fact.at,
      seq: ++this.#plgs, digest: this.fact.digest, data: this.definition.manifest,
    };
    this.control.publish(subjects.beat(this.o.host, this.process, 'plg'), encodeControl(data));
  }

  /** raise sends one event of the plugin itself. */
  #raise(kind, text) {
    const { host, plugin } = this.o;
    const b = new Batch(host);
    b.add('event', { message: text }, { plugin, type: kind });
    this.sink.send({ subject: subjects.event(host, plugin, kind), body: b.encode(), contentType: 'application/x-pacewire+msgpack', points: 0 })
      .catch((err) => this.log.warn('event not sent', { type: kind, error: err.message }));
    this.#nudgeNews();
  }

  // The work.

  /** work runs what the agent offers, one config after the other, until the end; then it drains. */
  async #work() {
    this.working = true;
    let job = null;
    while (!this.quit.signal.aborted) {
      const offer = this.#offers.shift();
      if (offer) job = await this.#change(job, offer);
      else await this.#asleep();
    }
    this.#setState('draining');
    await this.#stop(job);
    await this.queue.flush();
    await this.sink.flush();
    this.working = false;
    this.#nudge();
  }

  async #stop(job) {
    job?.quit.abort();
    await job?.done;
  }

  /** change puts an offer in force. A config that cannot be used leaves the one before running. */
  async #change(job, offer) {
    try {
      usable(offer.work);
      offer.settings = settingsOf(this.spec, offer.work.config);
    } catch (err) {
      this.#reject(offer, err);
      if (!job) this.#setState('failed');
      return job;
    }
    await this.#stop(job);
    const next = this.#start(offer);
    const err = await Promise.race([next.first, new Promise((end) => { this.quit.signal.addEventListener('abort', () => end(null), { once: true }); })]);
    if (!err || !job) return next;
    this.#reject(offer, err);
    await this.#stop(next);
    return this.#start(job.offer);
  }

  #reject(offer, err) {
    this.count.fail('config_invalid', err);
    this.log.error('config cannot be used', { revision: offer.rev, error: err.message });
    this.#declined = this.count.last;
    this.#nudgeNews();
  }

  #start(offer) {
    const job = { offer, quit: new AbortController() };
    job.first = new Promise((tell) => { job.outcome = tell; });
    this.queue.shape(offer.work);
    this.limits.shape(offer.work);
    this.#rev = offer.rev;
    this.#setState('starting');
    if (this.quit.signal.aborted) job.quit.abort();
    job.done = this.#keepTrying(job);
    return job;
  }

  /** keepTrying runs a job until it is to end, or trying again does not help. */
  async #keepTrying(job) {
    const { signal } = job.quit;
    for (let attempt = 1; !signal.aborted; attempt++) {
      const begun = now();
      const err = await this.#session(job).catch((e) => e);
      job.outcome(err?.noData ? null : err ?? null);
      if (signal.aborted) return;
      if (err?.noData) {
        this.#setState('idle');
        this.log.info('nothing to do here', { reason: err.message });
        await this.#asleep(signal);
        attempt = 0;
        continue;
      }
      const fault = err ?? new Error('ended by itself');
      this.count.fail('failed', fault);
      this.log.error('work failed', { error: fault.message, stack: fault.permanent ? undefined : stackOf(fault) });
      this.#setState('failed');
      if (now() - begun > 60_000) attempt = 1;
      if (fault.permanent || !await sleep(pauseOf(fault, attempt), signal)) return;
    }
  }

  /** asleep waits until there may be something to do. */
  async #asleep(signal) {
    await new Promise((wake) => {
      this.#wakers.push(wake);
      signal?.addEventListener('abort', wake, { once: true });
    });
  }

  #wake() { for (const wake of this.#wakers.splice(0)) wake(); }

  async #session(job) {
    const { spec, o } = this;
    this.#failing = this.#hung = false;
    const kind = this.definition.manifest.kind;
    const s = new Session({
      spec, settings: structuredClone(job.offer.settings), work: job.offer.work, out: this.sink, queue: kind === 'collector' ? this.queue : null,
      limits: this.limits, count: this.count, status: this.#status(), log: this.log, host: o.host, name: o.plugin, dir: o.dir,
      quit: job.quit.signal, hard: this.hard.signal,
    });
    Object.assign(s, { suspects: this.suspects, read: (input) => this.#source(input), bury: (d, what) => this.#bury(d, what) });
    await s.open();
    try {
      await this.#pass(job);
      if (job.quit.signal.aborted) return;
      this.#setState('running');
      job.outcome(null);
      await this.definition.loop(s);
      if (kind === 'collector') await this.queue.flush();
    } finally {
      await s.close();
    }
  }

  /** pass waits until the agent lets the work begin. */
  async #pass(job) {
    if (!this.#held) return;
    this.#setState('ready');
    job.outcome(null);
    await new Promise((go) => {
      this.#gate.push(go);
      job.quit.signal.addEventListener('abort', go, { once: true });
    });
  }

  #status() {
    return {
      failing: (fails) => {
        this.#failing = fails;
        this.#nudgeNews();
      },
      hung: (hangs) => {
        if (this.#hung === hangs) return;
        this.#hung = hangs;
        if (hangs) this.log.error('a call does not come back');
        this.#nudgeNews();
      },
      alarm: (kind, text) => this.#raise(kind, text),
    };
  }

  #source({ stream, durable, end = 0 }) {
    return new Source(this.data, { stream, durable: token(durable), end: Number(end), log: this.log });
  }

  async #bury(d, what) {
    this.letters ??= { key: letterKey(this.o.dir, this.log) };
    const { stored } = await this.sink.send({ ...letterOf(d, { key: this.letters.key, plugin: this.o.plugin, ...what }), points: 0 });
    await stored;
  }
}

/** usable throws where a config wants what this library cannot do. */
function usable(work) {
  const { cron, timezone, count } = work.schedule ?? {};
  if (cron || timezone || count) throw new Error('schedule: plugins in Node know no cron, timezone and count: write every instead');
  if (work.order) throw new Error('order: plugins in Node do not take turns with other processes: leave order out, and replicas too');
}

let boot;

/** bootID is that of the kernel, '' where there is none. */
function bootID() {
  try {
    boot ??= readFileSync('/proc/sys/kernel/random/boot_id', 'utf8').trim();
  } catch {
    boot = '';
  }
  return boot || undefined;
}

