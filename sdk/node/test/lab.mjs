/** What tests share: a real bus, an agent that answers heartbeats, and plugins as processes of their own. */
import { spawn } from 'node:child_process';
import { existsSync, mkdtempSync, rmSync } from 'node:fs';
import { createInterface } from 'node:readline';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { connect, headers } from '@nats-io/transport-node';
import { decode as unpack } from '@msgpack/msgpack';
import { Batch, CONTENT_TYPE } from '../lib/batch.mjs';
import { Bus } from '../lib/bus.mjs';
import { encodeControl } from '../lib/control.mjs';
import { subjects } from '../lib/names.mjs';

export const PATIENCE = 120_000; // a machine may be ten times slower than an idle one
const BINARY = process.env.PACEWIRE_BINARY || fileURLToPath(new URL('../../../bin/pacewire', import.meta.url));

export const silent = { debug() {}, info() {}, warn() {}, error() {} };

export const at = (path) => fileURLToPath(new URL(path, import.meta.url));

const cleanups = new WeakMap();

/** cleanup has f called when the test ends: what was begun last ends first. */
export function cleanup(t, f) {
  if (!cleanups.has(t)) {
    cleanups.set(t, []);
    t.after(async () => { for (const end of cleanups.get(t).reverse()) await end(); });
  }
  cleanups.get(t).push(f);
}

/** folder returns one that goes with the test. */
export function folder(t) {
  const dir = mkdtempSync(join(tmpdir(), 'pacewire-node-'));
  cleanup(t, () => rmSync(dir, { recursive: true, force: true }));
  return dir;
}

/** until returns what ok returns, once that is true. */
export async function until(what, ok) {
  const end = Date.now() + PATIENCE;
  for (;;) {
    const found = await ok();
    if (found) return found;
    if (Date.now() > end) throw new Error(`not within ${PATIENCE / 1000} s: ${what}`);
    await new Promise((next) => { setTimeout(next, 20); });
  }
}

/** A TestBus is `pacewire bus` in a process of its own. Port and store stay when it is started again. */
export class TestBus {
  static async start(t, ...flags) {
    if (!existsSync(BINARY)) throw new Error(`no program ${BINARY}: build it with make build, or name it in PACEWIRE_BINARY`);
    const bus = new TestBus();
    Object.assign(bus, { dir: folder(t), flags, listen: '127.0.0.1:0' });
    cleanup(t, () => bus.kill());
    await bus.start();
    return bus;
  }

  async start() {
    this.process = spawn(BINARY, ['bus', '--dir', join(this.dir, 'store'), '--listen', this.listen, ...this.flags], { stdio: ['pipe', 'pipe', 'inherit'] });
    this.gone = new Promise((end) => { this.process.on('exit', end); });
    const [line] = await Promise.race([lines(this.process.stdout, 1), this.gone.then(() => [''])]);
    if (!line) throw new Error('the bus has not started');
    Object.assign(this, JSON.parse(line));
    this.listen = new URL(this.url).host;
  }

  async kill() {
    this.process.kill('SIGKILL');
    await this.gone;
  }

  /** connect returns a connection of the official client, for the test itself. */
  async connect(t, options = {}) {
    const nc = await connect({ servers: this.url, maxReconnectAttempts: -1, reconnectTimeWait: 50, waitOnFirstConnect: true, ...options });
    cleanup(t, () => nc.close());
    return nc;
  }

  /** client returns a connection of the library, as user HOST_PLUGIN. */
  async client(t, user = 'h_p') {
    const password = this.users[user];
    const url = password ? this.url.replace('://', `://${user}:${encodeURIComponent(password)}@`) : this.url;
    const bus = new Bus({ url, user, name: 'test', log: silent });
    cleanup(t, () => bus.close());
    await bus.dial();
    return bus;
  }
}

async function lines(stream, n) {
  const out = [];
  for await (const line of createInterface({ input: stream })) if (out.push(line) === n) break;
  return out;
}

/** api asks the streams of the bus, again when the question was lost with a connection. */
export async function api(nc, verb, body) {
  const ask = () => nc.request(`$JS.API.${verb}`, body ? JSON.stringify(body) : '', { timeout: 2000 }).catch(() => null);
  const { data } = await until(verb, ask);
  const said = JSON.parse(Buffer.from(data).toString());
  if (said.error) throw new Error(`${verb}: ${said.error.description}`);
  return said;
}

/** consumer makes a durable one of all points; wait: seconds until what is not settled comes again. */
export function consumer(nc, durable, { wait = 600, ...more } = {}) {
  const config = { durable_name: durable, ack_policy: 'explicit', ack_wait: wait * 1e9, deliver_policy: 'all', filter_subject: 'pw.metrics.>', max_ack_pending: 256, ...more };
  return api(nc, `CONSUMER.DURABLE.CREATE.METRICS.${durable}`, { stream_name: 'METRICS', config });
}

export const consumerInfo = (nc, durable) => api(nc, `CONSUMER.INFO.METRICS.${durable}`);

/** settled waits until a consumer has no message that is neither read nor acknowledged. */
export async function settled(nc, durable) {
  return until(`${durable} has settled all`, async () => {
    const info = await consumerInfo(nc, durable);
    return info.num_pending === 0 && info.num_ack_pending === 0 && info;
  });
}

/** stored returns the messages of a stream: seq, subject, headers and data. */
export async function stored(nc, stream = 'METRICS') {
  const { state } = await api(nc, `STREAM.INFO.${stream}`);
  const out = [];
  for (let seq = state.first_seq; seq <= state.last_seq && state.messages > 0; seq++) {
    const { message } = await api(nc, `STREAM.MSG.GET.${stream}`, { seq });
    const head = Buffer.from(message.hdrs ?? '', 'base64').toString().split('\r\n').slice(1).filter(Boolean).map((h) => [h.slice(0, h.indexOf(':')), h.slice(h.indexOf(':') + 1).trim()]);
    out.push({ seq, subject: message.subject, headers: Object.fromEntries(head), data: Buffer.from(message.data ?? '', 'base64') });
  }
  return out;
}

/** put stores batches of points n = from ... from + size - 1, each under an id of its own. */
export async function put(nc, { batches = 1, size = 1, from = 0 } = {}) {
  for (let i = 0; i < batches; i++) {
    const b = new Batch('h');
    for (let k = 0; k < size; k++) b.add('s', { n: from + i * size + k });
    const h = headers();
    h.set('Nats-Msg-Id', `h/put/${from}/${i}`);
    h.set('Content-Type', CONTENT_TYPE);
    await nc.request(subjects.metrics('h', 'put'), b.encode(), { headers: h, timeout: PATIENCE });
  }
}

/** An Agent answers the heartbeats of plugin p on host h with what it is told to offer. */
export class Agent {
  static async start(t, bus) {
    const agent = new Agent();
    agent.nc = await bus.connect(t, { inboxPrefix: '_INBOX_h_agent' });
    agent.nc.subscribe('pw.hb.h.p.htb', { callback: (_, msg) => agent.answer(msg) });
    await agent.nc.flush();
    return agent;
  }

  beats = [];

  offers = { cfg_rev: 0 };

  /** offer has the next heartbeats answered with a config and work. */
  offer(rev, config, work = {}) { this.offers = { cfg_rev: rev, config, ...work }; }

  answer(msg) {
    const beat = unpack(msg.data, { useBigInt64: true });
    this.beats.push(beat);
    const { cfg_rev: rev, ...rest } = this.offers;
    const fresh = (beat.cfg_rev ?? 0) === rev ? {} : rest;
    msg.respond(encodeControl({ v: 1, srv: 'lab', term: 1, seq: beat.seq, state: 'accepted', next_ms: 1000, inv: '', ...this.always, cfg_rev: rev, ...fresh }));
  }

  /** beat returns the first heartbeat, from now on, that test accepts. */
  async beat(what, test) {
    const from = this.beats.length;
    return until(`a heartbeat: ${what}`, () => this.beats.slice(from).find(test));
  }

  /** goodbye returns the last heartbeat. */
  goodbye() { return until('a goodbye', () => this.beats.find((b) => b.bye)); }

  /** ask makes a request of the plugin, and returns the reply. */
  async ask(verb, body = {}) {
    const { data } = await this.nc.request(`pw.ctl.h.p.${verb}`, encodeControl({ id: `${verb}-1`, ...body }), { timeout: PATIENCE });
    return unpack(data, { useBigInt64: true });
  }
}

/** A Child is a plugin as its agent starts it: p on host h. */
export class Child {
  constructor(t, bus, file, { dir = folder(t), args = [] } = {}) {
    const env = { PATH: process.env.PATH, PACEWIRE_BUS: bus.url, PACEWIRE_HOST: 'h', PACEWIRE_PLUGIN: 'p', PACEWIRE_DIR: dir };
    this.dir = dir;
    this.process = spawn(process.execPath, [at(file), ...args], { env, stdio: ['pipe', 'ignore', 'pipe'] });
    this.said = '';
    this.process.stderr.on('data', (data) => { this.said += data; });
    this.exit = new Promise((end) => { this.process.on('exit', (code, signal) => end(code ?? signal)); });
    cleanup(t, () => this.kill());
  }

  kill(signal = 'SIGKILL') {
    this.process.kill(signal);
    return this.exit;
  }
}
