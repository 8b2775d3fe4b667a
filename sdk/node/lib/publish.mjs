/** The loop of publishers: batches that wait together are given in one call, and settled when the sink has confirmed it. */
import { merge } from './batch.mjs';
import { eachInput, inHand, open, read, setAside } from './consume.mjs';
import { placeOf } from './letters.mjs';

const POINTS = 8000, BYTES = 1 << 20; // of one call

/** publish gives the batches of the inputs to the author's publish until the session is to end. */
export async function publish(s) {
  await eachInput(s, async (source) => {
    for (;;) {
      const haul = await gather(s, source);
      if (haul === null) return;
      if (!await deliver(s, haul)) {
        giveBack(haul);
        return;
      }
    }
  });
}

/** gather waits for a delivery, and takes more as long as they come without waiting. */
async function gather(s, source) {
  const haul = [];
  let points = 0, bytes = 0;
  while (points < POINTS && bytes < BYTES && (haul.length === 0 || source.ready > 0)) {
    const d = await source.next().catch((err) => {
      giveBack(haul);
      throw err;
    });
    if (d === null) return giveBack(haul);
    const batch = await open(s, d);
    if (batch === null) continue;
    haul.push({ d, batch, points: batch.length, settled: false });
    points += batch.length;
    bytes += d.body.length;
  }
  return haul;
}

function giveBack(haul) {
  for (const { d } of haul) d.nak();
  return null;
}

/** deliver calls the publisher with a haul until it is settled; false: the session was to end before. */
async function deliver(s, haul) {
  if (haul.length === 0) return true;
  if (haul.length > 1 && haul.some(({ d }) => d.deliveries > 1 && s.suspects.deaths(placeOf(d)) > 0)) return each(s, haul, 1);
  for (let attempt = 1; ; attempt++) {
    const batch = merge(haul.map((item) => (attempt > 1 || item.again ? read(item.d) : item.batch)));
    for (const item of haul) item.again = true; // the call may change it
    const err = await give(s, haul.map((item) => item.d), batch);
    if (err === null) return settle(s, haul);
    if ((err.tooLarge || err.permanent) && haul.length > 1) return each(s, haul, Math.ceil(haul.length / 2));
    if (err.tooLarge) return halve(s, haul[0], { from: 0, to: haul[0].points, part: 0 }, err);
    if (err.permanent) {
      await setAside(s, haul[0].d, { code: 'rejected', reason: err.message });
      return true;
    }
    if (!await s.wait(err, attempt)) return false;
  }
}

async function give(s, deliveries, batch) {
  let err = null;
  try {
    await inHand(s, deliveries, (ctx) => s.spec.publish(batch, ctx));
  } catch (e) {
    err = e.noData ? null : e;
  }
  s.note(err);
  return err;
}

async function each(s, haul, size) {
  for (let i = 0; i < haul.length; i += size) if (!await deliver(s, haul.slice(i, i + size))) return false;
  return true;
}

/** halve gives each half of some points of a delivery for itself. A point that is refused alone is set aside. */
async function halve(s, item, { from, to, part }, reason) {
  if (to - from <= 1) return refuse(s, item, { from, to, part }, 'too_large', reason);
  const middle = Math.ceil((from + to) / 2);
  for (const span of [{ from, to: middle, part: 2 * part + 1 }, { from: middle, to, part: 2 * part + 2 }]) {
    if (!await deliverSpan(s, item, span)) return false;
  }
  if (part === 0) settle(s, [item]);
  return true;
}

async function deliverSpan(s, item, span) {
  for (let attempt = 1; ; attempt++) {
    const err = await give(s, [item.d], read(item.d).slice(span.from, span.to));
    if (err === null) return true;
    if (err.tooLarge) return halve(s, item, span, err);
    if (err.permanent) return refuse(s, item, span, 'rejected', err);
    if (!await s.wait(err, attempt)) return false;
  }
}

/** refuse sets some points of a delivery aside; part 0: all of it. */
async function refuse(s, item, { from, to, part }, code, reason) {
  const body = part === 0 ? item.d.body : read(item.d).slice(from, to).encode();
  if (part > 0) item.points -= to - from;
  await setAside(s, item.d, { body, part, code, reason: reason.message });
  return true;
}

function settle(s, haul) {
  for (const { d, points } of haul) {
    if (d.settled) continue;
    s.count.n.points_out += points;
    s.count.n.batches_out++;
    s.count.n.bytes_out += d.body.length;
    d.ack();
  }
  return true;
}
