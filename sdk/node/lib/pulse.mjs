/** When to beat, and what is learned from the answers. It does no I/O. */

const FIRST_RETRY = 1000, COME_BACK = 2000, SOONEST = 1000, QUIET = 3;
const LEAST = 1000, MOST = 3_600_000;
const KEPT = 8; // round trips, of which the quickest counts

/** A Pulse is what somebody who beats knows of himself and of who watches him. Times are ms of a monotonic clock. */
export class Pulse {
  #rounds = [];
  #greeting = false;

  constructor({ interval = 10_000, now }) {
    Object.assign(this, { interval, begun: now, due: now, sent: -Infinity, seq: 0, term: 0, ack: 0, lost: 0, missed: 0, hellos: 0 });
    this.greeted = false;
    this.awaiting = false;
    this.heldThere = null; // digest that the watcher holds
    this.heard = now;
    this.srv = '';
  }

  /** beat begins a beat and returns what a Pulse knows of it. */
  beat(now, wall) {
    this.seq++;
    Object.assign(this, { sent: now, wall, awaiting: true });
    this.due = now + jittered(this.interval);
    this.#greeting = !this.greeted;
    const best = this.#best();
    return {
      seq: this.seq, int_ms: Math.max(1, Math.round(this.interval)), t1: wall, mono1: BigInt(Math.round(now * 1e6)), up_ms: Math.round(now - this.begun),
      hello: this.#greeting || undefined, ack: this.ack || undefined, ack_lost: this.lost || undefined,
      rtt_us: best ? Math.round(best.trip * 1000) : undefined, off_us: best?.offset !== undefined ? Number(best.offset / 1000n) : undefined,
    };
  }

  #best() { return this.#rounds.reduce((a, b) => (a && a.trip <= b.trip ? a : b), undefined); }

  /** lists tells whether the list of the inventory goes with a beat. */
  lists(digest) { return !this.greeted || this.heldThere !== digest; }

  /** obey takes the answer to the last beat; false: it is as if it had never come. */
  obey(ack, now) {
    const over = (ack.term ?? 0) < this.term && now - this.heard <= QUIET * this.interval;
    if (!this.awaiting || ack.seq !== this.seq || over) {
      this.miss(now);
      return false;
    }
    if (ack.srv !== this.srv) this.#rounds = [];
    this.#rounds = [...this.#rounds.slice(1 - KEPT), roundOf(ack, this.wall, now - this.sent)];
    Object.assign(this, { term: ack.term ?? 0, ack: ack.seq, heldThere: ack.inv ?? '', heard: now, srv: ack.srv, awaiting: false, missed: 0, hellos: 0 });
    this.greeted = ack.state === 'accepted' && (this.greeted || this.#greeting);
    if (ack.next_ms > 0) this.interval = Math.min(Math.max(ack.next_ms, LEAST), MOST);
    this.due = this.sent + jittered(this.interval);
    return true;
  }

  /** miss notes that the last beat has no answer. It is not sent again: the next one is fresh. */
  miss(now) {
    if (!this.awaiting) return;
    this.awaiting = false;
    this.lost++;
    this.missed++;
    if (this.greeted) return;
    const wait = FIRST_RETRY * 2 ** Math.min(this.hellos++, 20);
    if (wait < this.interval) this.due = Math.max(now, this.sent + jittered(wait));
  }

  get unwatched() { return this.missed === QUIET; }

  get patience() { return Math.min(Math.max(this.interval, 1000), 5000); }

  /** hasten makes a beat due that tells something new. */
  hasten(now) { this.due = Math.min(this.due, Math.max(now, this.sent + SOONEST)); }

  /** reconnected makes a beat due soon: the bus was away, and not all should be back at once. */
  reconnected(now) { if (this.seq > 0) this.due = Math.min(this.due, now + Math.random() * COME_BACK); }

  /** greetAgain makes the next beat a hello, and due now. */
  greetAgain(now) {
    this.greeted = false;
    this.due = now;
  }
}

const jittered = (ms) => ms * (0.95 + Math.random() / 10);

function roundOf(ack, wall, took) {
  const t2 = BigInt(ack.t2 ?? 0), t3 = BigInt(ack.t3 ?? 0);
  const held = Number(t3 - t2) / 1e6;
  if (t2 <= 0n || t3 < t2 || held > took) return { trip: took };
  const t4 = wall + BigInt(Math.round(took * 1e6));
  return { trip: took - held, offset: ((t2 - wall) + (t3 - t4)) / 2n };
}
