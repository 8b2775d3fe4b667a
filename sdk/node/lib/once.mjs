/** A plugin that works once, between the standard streams and without a bus. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { settingsOf } from './config.mjs';
import { Counters } from './counters.mjs';
import { decode } from './decode.mjs';
import { stringify } from './json.mjs';
import { Suspects } from './letters.mjs';
import { subjects } from './names.mjs';
import { Session, sleep } from './session.mjs';

const STDIN = 'stdin';

/** textOf returns a point as a line of JSON. */
export function textOf({ series, time, tags, fields, types }) {
  const typed = Object.fromEntries(Object.entries(types).filter(([, type]) => type === 'i' || type === 'u'));
  const text = { series, time: rfc3339(time), tags, fields, types: Object.keys(typed).length > 0 ? typed : undefined };
  return stringify(text);
}

function rfc3339(ns) {
  const seconds = ns >= 0n ? ns / 1000000000n : (ns - 999999999n) / 1000000000n;
  const rest = String(ns - seconds * 1000000000n).padStart(9, '0').replace(/0+$/, '');
  return new Date(Number(seconds) * 1000).toISOString().replace(/\.\d+Z$/, rest ? `.${rest}Z` : 'Z');
}

const LEFT_OUT = { type: 'a value is no number, text or boolean', nan: 'a value is no finite number', no_fields: 'a point has no fields' };

/**
 * alone runs a definition once, with config, an object. input: what a processor or publisher is given, as bytes; points(batch) takes what
 * it sends. It returns counters and timings, and throws the first fault.
 */
export async function alone(definition, { config, input, points, host, name, log, quit }) {
  const { spec } = definition;
  const settings = settingsOf(spec, config);
  const dir = mkdtempSync(join(tmpdir(), 'pacewire-'));
  const count = new Counters();
  const out = {
    send: async (message) => {
      const batch = decode(message.body, { host });
      if (message.subject.startsWith('pw.metrics.')) points(batch);
      else log.info('event', { points: [...batch.points()].map(textOf).join(' ') });
      return { stored: Promise.resolve(0) };
    },
    flush: async () => {},
  };
  const hard = new AbortController();
  const s = new Session({
    spec, settings, work: { inputs: definition.manifest.kind === 'collector' ? [] : [{ stream: STDIN, durable: STDIN }] }, out, queue: null, limits: null,
    count, status: { failing() {}, hung() {}, alarm() {} }, log, host, name, dir, quit, hard: hard.signal, once: true,
  });
  const source = new OnceSource(input, host);
  Object.assign(s, { suspects: new Suspects(''), read: () => source, bury: async (d, { reason }) => { throw new Error(reason); } });
  const begin = performance.now();
  let built = 0;
  try {
    await s.open();
    built = performance.now() - begin;
    try {
      await definition.loop(s);
    } finally {
      await s.close();
    }
    const left = Object.keys(count.dropped);
    if (left.length > 0) log.warn('points or fields were left out', { why: left.map((code) => LEFT_OUT[code] ?? code).join(', ') });
    if (count.last || source.unsettled > 0) throw new Error(count.last?.message ?? 'points were not finished');
  } catch (err) {
    if (!err.noData) throw err;
    log.info('nothing to do here', { reason: err.message });
  } finally {
    rmSync(dir, { recursive: true, force: true });
  }
  return { count, built };
}

/** A OnceSource gives its whole input as one delivery. */
class OnceSource {
  constructor(input, host) {
    this.unsettled = 0;
    this.ready = 0;
    this.left = input && input.length > 0 ? [this.#delivery(input, host)] : [];
  }

  #delivery(body, host) {
    this.unsettled++;
    return {
      source: { durable: STDIN }, stream: STDIN, seq: 1, deliveries: 1, id: '', subject: subjects.metrics(host, STDIN), body,
      contentType: '', contentEncoding: '', stored: BigInt(Date.now()) * 1000000n, ack: () => { this.unsettled--; }, nak() {},
    };
  }

  async next() { return this.left.shift() ?? null; }

  async stop() {}

  async flush() { await sleep(0); } // what was sent is settled behind this

  close() {}
}
