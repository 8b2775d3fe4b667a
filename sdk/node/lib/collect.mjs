/** The loops of collectors: one that is called each interval, and one that speaks when it has something. */
import { Batch, nanos } from './batch.mjs';
import { sleep } from './session.mjs';

const FIRST = 1000; // within it the first tick comes
const WAKE = 30_000; // for so long nobody looks at the wall clock: it may be set

/** collect calls the author's collect at each tick until the session is to end. */
export async function collect(s) {
  await ticks(s, async (at) => {
    const out = batchOf(s, at);
    let err = null;
    try {
      await s.call((ctx) => s.spec.collect(out, ctx));
    } catch (e) {
      err = e;
    }
    s.note(err);
    if (out.length > 0 || Object.keys(out.drops).length > 0) await s.emit(out); // half an answer is worth sending
    if (err?.permanent) throw err;
    if (err?.after && !s.once) await sleep(err.after, s.quit);
  });
}

/** batchOf returns a batch to be filled: its points are of one moment, and have the types that the catalog says. */
function batchOf(s, at) {
  const out = new Batch(s.host);
  out.now = at;
  for (const d of s.spec.catalog ?? []) if (d.types) out.types[d.series] = d.types;
  return out;
}

async function ticks(s, tick) {
  const every = s.work.every_ms ?? 0;
  if (s.once) {
    s.count.n.ticks++;
    return tick(nanos(new Date()));
  }
  if (every <= 0) return sleep(2 ** 31 - 1, s.quit);
  const { align = false, splay_ms: splay = 0, from = 0, until = 0 } = s.work.schedule ?? {};
  const ms = (ns) => Number(BigInt(ns) / 1000000n);
  if (from) await awaitWall(ms(from), s.quit);
  const begun = performance.now();
  const place = part(s.host, s.name);
  const shift = Math.floor(place * (splay || (align ? 0 : Math.min(FIRST, every))));
  let due = align ? every - ((Date.now() - shift) % every) : shift;
  while (await sleep(Math.max(0, due - (performance.now() - begun)), s.quit)) {
    if (until && Date.now() >= ms(until)) return sleep(2 ** 31 - 1, s.quit);
    s.count.n.ticks++;
    await tick(nanos(new Date()));
    due += every;
    const late = performance.now() - begun - due;
    if (late > 0) missed(s, Math.floor(late / every) + 1);
    if (late > 0) due += (Math.floor(late / every) + 1) * every;
    if (align) due += drift(every, shift, begun + due);
  }
  return undefined;
}

/** drift is how far the wall clock has gone away from a tick that is to be at a multiple of the interval. */
function drift(every, shift, due) {
  const off = (Date.now() + (due - performance.now()) - shift) % every;
  return off > every / 2 ? every - off : -off;
}

async function awaitWall(until, signal) {
  while (Date.now() < until && await sleep(Math.min(WAKE, until - Date.now()), signal));
}

function missed(s, n) {
  s.count.n.missed += n;
  s.count.fail('overrun', new Error(`collection took longer than its interval, ${n} ticks were missed: give it a longer one`));
}

/** part is a number from 0 to 1 that differs from plugin to plugin. */
export function part(host, name) {
  let h = 2166136261;
  for (const byte of Buffer.from(`${host}\0${name}`)) h = Math.imul(h ^ byte, 16777619) >>> 0;
  return h / 2 ** 32;
}

/** stream runs the author's stream, which emits batches, until the session is to end. */
export async function stream(s) {
  const emit = async (batch) => {
    const { stored } = await s.emit(batch);
    await stored;
  };
  for (let attempt = 1; ; attempt++) {
    const begun = Date.now();
    let err = null;
    try {
      const signal = s.quit;
      await s.spec.stream(emit, { ...s.ctx, signal, batch: () => batchOf(s, null) });
    } catch (e) {
      err = e;
    }
    if (s.quit.aborted) return;
    s.note(err);
    if (err?.permanent || s.once) throw err ?? new Error('the stream has ended by itself');
    if (Date.now() - begun > 60_000) attempt = 1;
    if (!await s.wait(err ?? new Error('the stream has ended by itself'), attempt)) return;
  }
}
