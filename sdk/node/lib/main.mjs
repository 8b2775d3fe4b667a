/** One call of a plugin's program: what its arguments and its environment ask. */
import { fstatSync, readFileSync } from 'node:fs';
import { homedir, hostname } from 'node:os';
import { basename, join, relative } from 'node:path';
import { parseArgs } from 'node:util';
import { diagnose } from './diagnose.mjs';
import { Refused } from './errors.mjs';
import { Life } from './life.mjs';
import { newLog } from './log.mjs';
import { alone, textOf } from './once.mjs';

const DONE = 0, FAILED = 1, USAGE = 64, NO_BUS = 69, TRY_AGAIN = 75, CONFIG = 78;
const AT_ONCE = 2000; // how long a bus may take that is not to be waited for

class Misused extends Error {
  constructor(message, status = USAGE) {
    super(message);
    this.status = status;
  }
}

const options = {
  once: { type: 'boolean' }, config: { type: 'string' }, describe: { type: 'boolean' }, bus: { type: 'string' }, creds: { type: 'string' },
  host: { type: 'string' }, name: { type: 'string' }, dir: { type: 'string' }, wait: { type: 'string' }, verbose: { type: 'boolean', short: 'v' },
  help: { type: 'boolean', short: 'h' },
};

/** main does what args ask of a definition, and ends the process with the status that tells how it went. */
export async function main(definition, args = process.argv.slice(2), env = process.env) {
  const command = `node ${relative(process.cwd(), process.argv[1] ?? '') || definition.manifest.program}`;
  let status = DONE;
  try {
    await run(definition, { command, args, env });
  } catch (err) {
    status = err.status ?? (err instanceof Refused ? CONFIG : FAILED);
    const hint = status === USAGE ? `: see ${command} --help` : '';
    process.stderr.write(`${definition.manifest.program}: ${err.message}${hint}\n`);
  }
  process.exit(status);
}

async function run(definition, { command, args, env }) {
  const { manifest } = definition;
  const flags = parse(args);
  if (flags.help) return process.stdout.write(help(manifest, command));
  const host = flags.host ?? (env.PACEWIRE_HOST || hostname().split('.')[0]);
  const name = flags.name ?? (env.PACEWIRE_PLUGIN || manifest.program);
  const log = newLog({ host, plugin: env.PACEWIRE_PROCESS || name, json: Boolean(env.PACEWIRE_PLUGIN), verbose: flags.verbose });
  if (flags.describe && flags.once) throw new Misused('--describe and --once: give one of them');
  if (flags.describe) return written(JSON.stringify(manifest, null, 2) + '\n');
  const bus = flags.bus ?? (env.PACEWIRE_BUS || '');
  if (!flags.once && bus) return serve(definition, { bus, flags, env, host, name, log });
  if (flags.once && (flags.bus || flags.wait)) throw new Misused('--once knows no bus');
  if (!flags.once && (flags.creds || flags.wait)) throw new Misused('--creds and --wait want a --bus');
  const config = configOf(flags.config);
  const quit = new AbortController();
  for (const signal of ['SIGINT', 'SIGTERM']) process.once(signal, () => quit.abort());
  if (flags.once) return once(definition, { config, host, name, log, quit: quit.signal });
  const write = (text) => process.stdout.write(text);
  if (!await diagnose(definition, { config, host, name, log, write, command })) throw new Error('the sample failed');
  return undefined;
}

function parse(args) {
  try {
    const { values, positionals } = parseArgs({ args, options, allowPositionals: true });
    if (positionals.length > 0) throw new Error(`unexpected ${JSON.stringify(positionals[0])}`);
    return values;
  } catch (err) {
    throw new Misused(err.message);
  }
}

function configOf(text = '{}') {
  try {
    const config = JSON.parse(text);
    if (config !== null && typeof config === 'object' && !Array.isArray(config)) return config;
  } catch { /* told below */ }
  throw new Misused('--config: want a JSON object', CONFIG);
}

async function once(definition, { config, host, name, log, quit }) {
  const input = definition.manifest.kind === 'collector' ? null : readFileSync(0);
  const lines = [];
  try {
    await alone(definition, { config, input, host, name, log, quit, points: (batch) => { for (const p of batch.points()) lines.push(textOf(p) + '\n'); } });
  } catch (err) {
    throw err.permanent ? Object.assign(err, { status: CONFIG }) : err;
  } finally {
    await written(lines.join(''));
  }
}

/** written writes to standard output and returns when it has left. */
function written(text) {
  return new Promise((done) => { process.stdout.write(text, done); });
}

/** serve leads a plugin's life on the bus. */
async function serve(definition, { bus, flags, env, host, name, log }) {
  if (flags.config) throw new Misused('--config is for --once: on a bus the agent gives the settings');
  const base = env.XDG_STATE_HOME || join(env.HOME || homedir(), '.local', 'state');
  const dir = flags.dir ?? (env.PACEWIRE_DIR || join(base, 'pacewire', 'plugins', basename(name)));
  const life = new Life(definition, {
    bus, creds: flags.creds ?? env.PACEWIRE_CREDS, host, plugin: name, process: env.PACEWIRE_PROCESS, inst: env.PACEWIRE_INST, dir, env, log,
  });
  for (const signal of ['SIGINT', 'SIGTERM']) {
    process.on(signal, () => {
      if (life.quit.signal.aborted) process.exit(FAILED); // the second one ends the process at once
      life.drain();
    });
  }
  process.on('SIGHUP', () => {}); // of who keeps facts; ours are in the manifest
  if (env.PACEWIRE_PLUGIN && isPipe()) whileAgentLives(life, log);
  await Promise.race([life.run(), patience(life, flags.wait)]);
}

/** patience throws when --wait is over and there is no bus. */
async function patience(life, wait) {
  if (wait === undefined) return new Promise(() => {});
  const found = /^(\d+(?:\.\d+)?)(ms|s|m|h)?$/.exec(wait);
  if (!found) throw new Misused(`--wait ${wait}: want a time such as 10s`);
  const ms = Number(found[1]) * { ms: 1, s: 1000, m: 60_000, h: 3_600_000 }[found[2] ?? 's'];
  await new Promise((end) => { setTimeout(end, ms || AT_ONCE).unref(); });
  if (life.sink) return new Promise(() => {});
  throw new Misused('no bus: nobody answers', ms > 0 ? TRY_AGAIN : NO_BUS);
}

function isPipe() {
  try {
    const stat = fstatSync(0);
    return stat.isFIFO() || stat.isSocket();
  } catch {
    return false;
  }
}

/** whileAgentLives drains when the agent is gone, however it went: its end of the pipe on standard input closes then. */
function whileAgentLives(life, log) {
  process.stdin.on('end', () => {
    if (!life.quit.signal.aborted) log.warn('agent is gone');
    life.drain();
  });
  process.stdin.on('error', () => life.drain());
  process.stdin.resume();
}

function help(manifest, command) {
  const example = manifest.kind === 'collector' ? `  ${command} --once` : `  echo 'cpu usage=93.5' | ${command} --once`;
  return `${manifest.summary ?? manifest.program}

Usage: ${command} [flags]

Without flags and without a bus it reports what it is and tries itself. An agent
starts it with PACEWIRE_BUS and the like in its environment. Signals INT and
TERM drain it.

Flags:
      --once          work once between the standard streams, without a bus
      --config JSON   settings for --once and for diagnostics, a JSON object
      --describe      print the manifest as JSON: kind, settings, catalog
      --bus URL       serve on the bus at this URL
      --creds file    file with the credentials for the bus
      --host host     the host that points are about
      --name name     the plugin's name in the config
      --dir folder    folder to keep state in
      --wait time     how long to wait for the bus; without it for ever, 0s: not at all
  -v, --verbose       log what helps to develop a plugin

Exit status: 0 done, 1 failed, 64 usage, 69 no bus, 75 --wait ran out, 78 wrong
settings or refused by the agent.

Examples:
${example}
  ${command} --bus nats://127.0.0.1:4222 --name ${manifest.program}
`;
}
