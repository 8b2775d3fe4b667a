/** Errors by which a plugin says what is to be done about them. */

/** PlannedError says more than that something failed. */
class PlannedError extends Error {
  constructor(cause, options = {}) {
    super(cause instanceof Error ? cause.message : String(cause), cause instanceof Error ? { cause } : undefined);
    Object.assign(this, options);
  }
}

/** After wants the call again after so many milliseconds, as an HTTP server says by Retry-After. */
export class After extends PlannedError {
  constructor(cause, ms) { super(cause, { after: ms }); }
}

/** Permanent promises that trying again never helps: a batch goes to the dead letters. */
export class Permanent extends PlannedError {
  constructor(cause) { super(cause, { permanent: true }); }
}

/** Denied says that somebody has to act (a password is wrong): the batch waits, and an alarm is raised. */
export class Denied extends PlannedError {
  constructor(cause) { super(cause, { denied: true }); }
}

/** NoData says that there is nothing to tell here, and nothing is wrong. */
export class NoData extends PlannedError {
  constructor(cause = 'no data') { super(cause, { noData: true }); }
}

/** TooLarge says that the sink finds the batch too large: it is halved, and each half given again. */
export class TooLarge extends PlannedError {
  constructor(cause = 'batch is too large for the sink') { super(cause, { tooLarge: true }); }
}

/** Refused ends a plugin that its agent does not want, or whose settings cannot be used. */
export class Refused extends Error {}

const here = new URL('.', import.meta.url).href;

/** stackOf returns where an error comes from, without how the library called the author's code: that says nothing to him. */
export function stackOf(err) {
  const lines = String(err.stack).split('\n');
  while (lines.length > 2 && lines.at(-1).includes(here)) lines.pop();
  return lines.join('\n');
}

/** classOf names an error for counters. */
export function classOf(err) {
  if (err.denied) return 'denied';
  if (err.permanent) return 'permanent';
  if (err.tooLarge) return 'too_large';
  return err.late ? 'timeout' : 'error';
}

/** pauseOf is how many ms to wait before the next try: what err asks, else 1 s ... 1 min, for somebody to act 30 s ... 5 min. */
export function pauseOf(err, attempt) {
  if (err.after > 0) return err.after;
  const [first, most] = err.denied ? [30_000, 300_000] : [1000, 60_000];
  const ms = Math.min(first * 2 ** Math.min(attempt - 1, 10), most);
  return ms / 2 + Math.random() * ms / 2;
}

/** oneLine writes a text of several lines behind each other, and cuts it: it goes into heartbeats and headers. */
export function oneLine(text, most = 200) {
  const line = String(text).split(/[\r\n]+/).map((part) => part.trim()).filter(Boolean).join('; ');
  return line.length > most ? line.slice(0, most) + '...' : line;
}
