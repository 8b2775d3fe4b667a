/** Names on the bus: tokens, users and subjects. */
import { createHash } from 'node:crypto';

const MAX_TOKEN = 64;
const KEPT = 48; // bytes of a token that is too long, before "=="

/** token turns any name into one token of a subject: what is no letter, digit, _ or - becomes =XX. */
export function token(name) {
  if (name === '') return '=';
  let out = '';
  for (const byte of Buffer.from(name)) {
    const c = String.fromCharCode(byte);
    out += /[A-Za-z0-9_-]/.test(c) ? c : '=' + byte.toString(16).toUpperCase().padStart(2, '0');
  }
  if (out.length <= MAX_TOKEN) return out;
  let cut = KEPT;
  for (const back of [1, 2]) {
    if (out[KEPT - back] === '=') cut = KEPT - back;
  }
  return out.slice(0, cut) + '==' + createHash('sha256').update(name).digest('hex').slice(0, 12);
}

/** untoken gives the name behind a token back; a hashed one stays as it is. It throws for what is no token. */
export function untoken(text) {
  if (text === '=') return '';
  if (text === '' || text.length > MAX_TOKEN || !/^([A-Za-z0-9_-]|=[0-9A-F]{2})+(==[0-9a-f]{12})?$/.test(text)) {
    throw new Error(`subject: ${JSON.stringify(text.slice(0, 80))} is no token`);
  }
  if (text.includes('==')) return text;
  const bytes = [];
  for (let i = 0; i < text.length; i++) {
    bytes.push(text[i] === '=' ? parseInt(text.slice(i + 1, (i += 2) + 1), 16) : text.charCodeAt(i));
  }
  return Buffer.from(bytes).toString();
}

/** user is who a plugin is on the bus; its inboxes begin with _INBOX_ and this. */
export function user(host, plugin) {
  return `${token(host).replaceAll('_', '=5F')}_${token(plugin)}`;
}

export const subjects = {
  metrics: (host, plugin) => `pw.metrics.${token(host)}.${token(plugin)}`,
  event: (host, plugin, kind) => `pw.events.${token(host)}.${token(plugin)}.${token(kind)}`,
  dead: (plugin) => `pw.dead.${token(plugin)}`,
  beat: (host, plugin, kind) => `pw.hb.${token(host)}.${token(plugin)}.${kind}`,
  ctl: (host, plugin) => `pw.ctl.${token(host)}.${token(plugin)}.*`,
  log: (host, plugin) => `pw.log.${token(host)}.${token(plugin)}`,
};

/** sourceOf returns the host and the plugin that a subject of points or events is about. */
export function sourceOf(subject) {
  const [pw, area, host, plugin, ...rest] = subject.split('.');
  const wanted = { metrics: 0, events: 1 }[area];
  if (pw !== 'pw' || wanted === undefined || plugin === undefined || rest.length !== wanted) {
    throw new Error(`subject ${JSON.stringify(subject.slice(0, 80))} is not one of points`);
  }
  return { host: untoken(host), plugin: untoken(plugin) };
}

/** derivedID is the id of the part-th message that plugin makes out of the one with this id. */
export function derivedID(id, plugin, part) {
  return `${id}+${token(plugin)}${part > 1 ? '.' + part : ''}`;
}
