/** What processors and publishers share: taking a delivery, decoding it, and setting it aside. */
import { decode } from './decode.mjs';
import { placeOf } from './letters.mjs';
import { sourceOf } from './names.mjs';

export const TRIES = 5;
export const NAK = 30_000; // for what the bus refuses for good: permissions may be mended meanwhile
const CUT = 64 << 10; // of a body that is too large for a letter

/** open returns the batch of a delivery; null when it was set aside. */
export async function open(s, d) {
  s.count.n.batches_in++;
  s.count.n.bytes_in += d.body.length;
  if (d.deliveries > 1) {
    s.count.n.redelivered++;
    const deaths = s.suspects.deaths(placeOf(d)) + 1; // the first time it was not suspected yet
    if (deaths >= TRIES) {
      await setAside(s, d, { code: 'crash', reason: `the plugin has died ${deaths} times while it worked on this batch` });
      return null;
    }
  }
  let code = 'subject';
  try {
    const { host } = sourceOf(d.subject);
    code = 'decode';
    const batch = read(d, host);
    s.count.drops(batch.drops);
    batch.drops = {};
    s.count.n.points_in += batch.length;
    return batch;
  } catch (err) {
    s.count.fail(code, err);
    await setAside(s, d, { code: err.code ?? code, reason: err.message });
    return null;
  }
}

/** read decodes a delivery. */
export function read(d, host = sourceOf(d.subject).host) {
  return decode(d.body, { contentType: d.contentType, contentEncoding: d.contentEncoding, stored: d.stored, host });
}

/** inHand runs f for deliveries. Those that were given before are noted meanwhile: should we die of one, the next process knows. */
export async function inHand(s, deliveries, f) {
  const again = deliveries.filter((d) => d.deliveries > 1);
  await s.turn();
  for (const d of again) s.suspects.begin(placeOf(d));
  try {
    return await s.call(f);
  } finally {
    for (const d of again) s.suspects.end(placeOf(d));
    s.pass();
  }
}

/** setAside puts a delivery, or a part of it, into the dead letters, and settles it if it is all. */
export async function setAside(s, d, { body = d.body, part = 0, code, reason }) {
  for (let attempt = 1; ; attempt++) {
    try {
      await s.bury(d, { body, part, code, reason });
      break;
    } catch (err) {
      s.count.fail('dead_letter', err);
      if (err.code === 'too_large' && body.length > CUT) {
        reason = `${reason} (cut: the first ${CUT} of ${body.length} bytes)`;
        body = body.subarray(0, CUT);
      } else if (attempt === TRIES || !await s.wait(err, attempt, s.hard)) {
        d.nak(NAK);
        return;
      }
    }
  }
  s.count.n.dead++;
  s.log.warn('batch set aside', { code, error: reason, id: d.id, seq: d.seq });
  if (part !== 0) return;
  s.suspects.end(placeOf(d));
  d.ack();
}

/** eachInput runs loop for every input, and afterwards gives back what was not settled. One that fails ends the others. */
export async function eachInput(s, loop) {
  const lanes = Math.max(1, s.work.parallel ?? 1);
  const inputs = (s.work.inputs ?? []).flatMap((input) => Array.from({ length: lanes }, () => input));
  if (inputs.length === 0) return aborted(s.quit);
  const sources = inputs.map((input) => s.read(input));
  const stop = () => Promise.all(sources.map((source) => source.stop()));
  s.quit.addEventListener('abort', stop, { once: true });
  const one = async (source) => {
    try {
      await loop(source);
    } finally {
      await stop();
      await Promise.race([source.flush(), aborted(s.hard)]);
      source.close();
    }
  };
  const ends = await Promise.allSettled(sources.map(one));
  s.quit.removeEventListener('abort', stop);
  const failed = ends.find((end) => end.status === 'rejected');
  if (failed) throw failed.reason;
  return undefined;
}

export function aborted(signal) {
  if (signal.aborted) return Promise.resolve();
  return new Promise((resolve) => { signal.addEventListener('abort', resolve, { once: true }); });
}
