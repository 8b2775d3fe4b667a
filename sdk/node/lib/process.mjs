/** The loop of processors: a batch is settled when what was made of it is stored, under ids derived from its own. */
import { Batch } from './batch.mjs';
import { NAK, TRIES, eachInput, inHand, open, read, setAside } from './consume.mjs';
import { derivedID } from './names.mjs';

/** process gives every batch of the inputs to the author's process, one at a time. */
export async function process(s) {
  await eachInput(s, async (source) => {
    for (;;) {
      const d = await source.next();
      if (d === null) return;
      const batch = await open(s, d);
      if (batch !== null) await one(s, d, batch);
    }
  });
}

async function one(s, d, batch) {
  for (let attempt = 1; ; attempt++) {
    if (attempt > 1) batch = read(d); // the try before may have changed it
    const out = new Batch(batch.host);
    let err = null;
    try {
      await inHand(s, [d], (ctx) => s.spec.process(batch, out, ctx));
    } catch (e) {
      err = e;
    }
    s.note(err);
    if (err === null || err.noData) return forward(s, d, out);
    if (err.permanent || attempt === TRIES) return setAside(s, d, { code: 'processor', reason: err.message });
    if (!await s.wait(err, attempt)) return d.nak();
  }
}

/** forward sends what was made of a delivery. It waits for room, and not for the answer. */
async function forward(s, d, out) {
  const { stored, tooLarge } = await s.emit(out, out.host, d.id ? (n) => derivedID(d.id, s.name, n) : undefined);
  stored.then(() => {
    if (tooLarge) return setAside(s, d, { code: 'too_large', reason: 'a point that was made of it is larger than a message' });
    return d.ack();
  }, () => d.nak(NAK));
}
