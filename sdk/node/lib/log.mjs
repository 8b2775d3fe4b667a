/** Logs: JSON lines on stderr for an agent, text for people, and over the bus what an operator would note. */
import { encodeControl } from './control.mjs';
import { oneLine } from './errors.mjs';
import { subjects } from './names.mjs';

const PER_SECOND = 50; // records over the bus
const LEVELS = ['debug', 'info', 'warn', 'error'];

/** newLog returns an object with debug, info, warn and error, each (message, attributes). */
export function newLog({ host, plugin, json, verbose, out = process.stderr }) {
  const log = { bus: null };
  let second = 0, n = 0;
  const tell = (level, msg, attrs) => {
    const now = Math.floor(Date.now() / 1000);
    if (now !== second) [second, n] = [now, 0];
    if (!log.bus?.up || level === 'debug' || ++n > PER_SECOND) return;
    const texts = Object.fromEntries(Object.entries(attrs).map(([k, v]) => [k, oneLine(v)]));
    try {
      log.bus.publish(subjects.log(host, plugin), encodeControl({ level, msg: oneLine(msg, 1000), t: BigInt(Date.now()) * 1000000n, attrs: texts }));
    } catch { /* it is on stderr */ }
  };
  for (const level of LEVELS) {
    log[level] = (msg, attrs = {}) => {
      if (level === 'debug' && !verbose) return;
      const time = new Date();
      if (json) out.write(JSON.stringify({ time, level: level.toUpperCase(), msg, host, plugin, ...attrs }) + '\n');
      else out.write(`${time.toTimeString().slice(0, 8)} ${level.toUpperCase().padEnd(5)} ${forPeople(msg, attrs)}\n`);
      tell(level, msg, attrs);
    };
  }
  return log;
}

function forPeople(msg, { stack, ...attrs }) {
  const pairs = Object.entries(attrs).map(([k, v]) => `${k}=${/\s/.test(String(v)) ? JSON.stringify(String(v)) : v}`);
  return [msg, ...pairs].join(' ') + (stack ? `\n${stack}` : '');
}
