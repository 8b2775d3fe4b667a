/** Dead letters: batches that can never be delivered, with the reason; and the batches that plugins die of. */
import { createHmac, randomBytes } from 'node:crypto';
import { mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { oneLine } from './errors.mjs';
import { subjects, token } from './names.mjs';

const KEY = 32; // bytes
const MAX_ERROR = 512;

/** letterKey returns the secret by which ids of letters are made, which the next process finds too; null where it cannot be kept. */
export function letterKey(dir, log) {
  const path = join(dir, 'letters.key');
  try {
    const key = readFileSync(path);
    if (key.length === KEY) return key;
  } catch { /* none yet */ }
  try {
    mkdirSync(dir, { recursive: true, mode: 0o700 });
    const part = join(dir, `.letters.key-${process.pid}`);
    writeFileSync(part, randomBytes(KEY), { mode: 0o600 });
    renameSync(part, path);
    return readFileSync(path); // of whoever was last: during a swap there are two processes
  } catch (err) {
    log.warn('a batch that is set aside when this process dies may be set aside twice: the secret for the ids of dead letters cannot be kept',
      { error: err.message });
    return null;
  }
}

/** letterOf returns the message that sets a delivery aside, or a part of it: its body, the number of the part; 0: all of it. */
export function letterOf(d, { key, plugin, body, part = 0, code, reason }) {
  let id = `dead/${token(d.source.durable)}/${d.seq}/${part > 0 ? part + '/' : ''}`;
  if (key) {
    const secret = createHmac('sha256', key).update(JSON.stringify([id, plugin, d.subject, String(d.stored)])).update(body);
    id += secret.digest('hex').slice(0, 32);
  } else {
    id += randomBytes(16).toString('hex');
  }
  return {
    subject: subjects.dead(plugin), id, body, contentType: part > 0 ? 'application/x-pacewire+msgpack' : d.contentType,
    headers: {
      'Pw-Reason': code, 'Pw-Error': oneLine(reason, MAX_ERROR), 'Pw-Subject': d.subject, 'Pw-Stream-Seq': String(d.seq),
      'Pw-Deliveries': String(d.deliveries), 'Pw-Stored': rfc3339(d.stored), 'Pw-Source-Id': d.id,
      'Content-Encoding': part > 0 ? '' : d.contentEncoding,
    },
  };
}

function rfc3339(ns) {
  const text = new Date(Number(ns / 1000000n)).toISOString();
  return text.replace(/\.\d+Z$/, `.${String(ns % 1000000000n).padStart(9, '0')}Z`);
}

/** Suspects remember, beyond the end of the process, which batches given again were in hand when it died. */
export class Suspects {
  #hand = new Set();

  constructor(dir) {
    this.path = dir ? join(dir, 'suspects.json') : '';
    this.seen = new Map(); // deaths, by place
    try {
      const { deaths, in_hand: hand } = JSON.parse(readFileSync(this.path, 'utf8'));
      for (const [place, n] of Object.entries(deaths ?? {})) this.seen.set(place, n);
      for (const place of hand ?? []) this.seen.set(place, this.deaths(place) + 1);
    } catch { /* none, or a torn note: a poisonous batch then takes one death more */ }
  }

  deaths(place) { return this.seen.get(place) ?? 0; }

  begin(place) {
    this.#hand.add(place);
    this.#write();
  }

  end(place) {
    if (!this.#hand.delete(place) && !this.seen.has(place)) return;
    this.seen.delete(place);
    this.#write();
  }

  #write() {
    if (!this.path) return;
    try {
      if (this.#hand.size + this.seen.size === 0) return rmSync(this.path, { force: true });
      mkdirSync(join(this.path, '..'), { recursive: true, mode: 0o700 });
      return writeFileSync(this.path, JSON.stringify({ deaths: Object.fromEntries(this.seen), in_hand: [...this.#hand].sort() }), { mode: 0o600 });
    } catch {
      return undefined; // it is no promise
    }
  }
}

export const placeOf = (d) => `${d.stream}/${d.seq}`;
