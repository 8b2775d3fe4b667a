/** Settings of a plugin: their JSON Schema, their defaults, and the check of what an operator wrote. */
import { readFileSync, statSync } from 'node:fs';
import { Permanent } from './errors.mjs';

/** RESERVED are the keys that stand beside the settings of every plugin. */
export const RESERVED = ('use run from on config every cron schedule timeout tags owner enabled start replicas parallel env '
  + 'order queue overflow max_rate max_series limits run_as on_agent_exit sha256 attached').split(' ');

const DURATION = '^-?([0-9]+(\\.[0-9]*)?(ns|us|µs|ms|s|m|h))+$|^0$';
const UNITS = { ns: 1e-6, us: 1e-3, µs: 1e-3, ms: 1, s: 1000, m: 60_000, h: 3_600_000 };

/** duration returns the schema of a time such as 10s or 1m30s; millis reads it. */
export function duration(byDefault, description) {
  return { type: 'string', pattern: DURATION, default: byDefault, description };
}

/** millis returns a time such as 1m30s in ms. */
export function millis(text) {
  if (!new RegExp(DURATION).test(text)) throw new Error(`${JSON.stringify(text)} is no time such as 10s or 1m30s`);
  let sum = 0;
  for (const [, n, unit] of text.matchAll(/([0-9]+(?:\.[0-9]*)?)(ns|us|µs|ms|s|m|h)/g)) sum += Number(n) * UNITS[unit];
  return text.startsWith('-') ? -sum : sum;
}

/** secret returns the schema of a setting that is shown to nobody; beside it there is one more, with _file, that names a file with it. */
export function secret(description) {
  return { type: 'string', writeOnly: true, description };
}

/** schemaOf returns the JSON Schema of settings: a map from each key to its own schema. */
export function schemaOf(settings) {
  const properties = {};
  for (const [key, schema] of Object.entries(settings)) {
    if (RESERVED.includes(key)) throw new Error(`setting ${key}: the name is reserved: ${RESERVED.join(' ')}`);
    properties[key] = schema;
    if (schema.writeOnly) properties[key + '_file'] = { type: 'string', description: `a file that holds ${key}, read by the plugin itself` };
  }
  return { type: 'object', properties, additionalProperties: false };
}

/** defaultsOf returns the settings of somebody who has written none. */
export function defaultsOf(settings) {
  const pairs = Object.entries(settings).filter(([, schema]) => schema.default !== undefined);
  return structuredClone(Object.fromEntries(pairs.map(([key, schema]) => [key, schema.default])));
}

/** settingsOf returns the defaults, changed by what was given. A Permanent error names every fault. */
export function settingsOf(spec, given = {}) {
  const declared = spec.settings ?? {};
  const faults = faultsOf(schemaOf(declared), given, '');
  if (faults.length > 0) throw new Permanent(faults.join('; '));
  const settings = { ...defaultsOf(declared), ...given };
  for (const [key, schema] of Object.entries(declared)) if (schema.writeOnly) readSecret(settings, key);
  try {
    spec.validate?.(settings);
  } catch (err) {
    throw new Permanent(err);
  }
  return settings;
}

/** readSecret takes a secret from the file that its other setting names: so it never crosses the bus. */
function readSecret(settings, key) {
  const path = settings[key + '_file'];
  delete settings[key + '_file'];
  if (!path) return;
  if (settings[key]) throw new Permanent(`${key} and ${key}_file: give one of them`);
  try {
    if (statSync(path).mode & 0o004) throw new Error(`${path} can be read by everybody: chmod o-r it`);
    settings[key] = readFileSync(path, 'utf8').replace(/\r?\n$/, '');
  } catch (err) {
    throw new Permanent(`${key}_file: ${err.message}`);
  }
}

const typeOf = (v) => (v === null ? 'null' : Array.isArray(v) ? 'array' : typeof v);

function isType(type, v) {
  if (type === 'integer') return typeof v === 'bigint' || Number.isInteger(v);
  return type === 'number' ? typeof v === 'number' || typeof v === 'bigint' : typeOf(v) === type;
}

const bounds = [
  ['minimum', (v, n) => v >= n, 'at least'], ['maximum', (v, n) => v <= n, 'at most'],
  ['exclusiveMinimum', (v, n) => v > n, 'more than'], ['exclusiveMaximum', (v, n) => v < n, 'less than'],
];

/** faultsOf returns what is wrong with a value by its schema: type, enum, bounds, lengths, pattern, items and properties. */
export function faultsOf(schema, v, path) {
  const say = (text) => [`${path || 'settings'}: ${text}`];
  const types = [schema.type ?? []].flat();
  if (types.length > 0 && !types.some((type) => isType(type, v))) return say(`want ${types.join(' or ')}, not ${typeOf(v)}`);
  if (schema.enum && !schema.enum.some((e) => JSON.stringify(e) === JSON.stringify(v))) {
    return say(`${JSON.stringify(v)} is none of ${schema.enum.map((e) => JSON.stringify(e)).join(', ')}`);
  }
  const faults = [];
  const size = typeof v === 'string' ? [...v].length : Array.isArray(v) ? v.length : undefined;
  const [least, most] = typeof v === 'string' ? [schema.minLength, schema.maxLength] : [schema.minItems, schema.maxItems];
  if (size < least) faults.push(...say(`want at least ${least} of length`));
  if (size > most) faults.push(...say(`want at most ${most} of length`));
  if (isType('number', v)) for (const [key, ok, what] of bounds) if (schema[key] !== undefined && !ok(v, schema[key])) faults.push(...say(`${v}: want ${what} ${schema[key]}`));
  if (typeof v === 'string' && schema.pattern && !new RegExp(schema.pattern, 'u').test(v)) faults.push(...say(`${JSON.stringify(v)} does not match ${schema.pattern}`));
  if (Array.isArray(v) && schema.items) v.forEach((item, i) => faults.push(...faultsOf(schema.items, item, `${path}[${i}]`)));
  return typeOf(v) === 'object' ? [...faults, ...faultsWithin(schema, v, path)] : faults;
}

function faultsWithin(schema, v, path) {
  const faults = [];
  const at = (key) => (path ? `${path}.${key}` : key);
  for (const key of schema.required ?? []) if (!(key in v)) faults.push(`${at(key)}: is missing`);
  for (const [key, value] of Object.entries(v)) {
    const known = schema.properties && Object.hasOwn(schema.properties, key) ? schema.properties[key] : schema.additionalProperties;
    if (known === false) faults.push(`${at(key)}: no such setting: there are ${Object.keys(schema.properties ?? {}).join(', ') || 'none'}`);
    else if (typeof known === 'object') faults.push(...faultsOf(known, value, at(key)));
  }
  return faults;
}
