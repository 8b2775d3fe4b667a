/**
 * Plugins for pacewire in Node.
 *
 *   collector({ program: 'load', version: '1.0.0', async collect(out) { out.add('load', { one: loadavg()[0] }); } }).run();
 */
import { collect, stream } from './lib/collect.mjs';
import { defaultsOf, faultsOf, schemaOf } from './lib/config.mjs';
import { main } from './lib/main.mjs';
import { process } from './lib/process.mjs';
import { publish } from './lib/publish.mjs';

export { Batch } from './lib/batch.mjs';
export { duration, millis, secret } from './lib/config.mjs';
export { decode } from './lib/decode.mjs';
export { After, Denied, NoData, Permanent, TooLarge } from './lib/errors.mjs';

/** API is the version of the contract between plugins and agents. */
export const API = 1;

/** A Plugin is a program of one kind: run does what the arguments of the process ask. */
class Plugin {
  constructor(kind, loop, spec) {
    if (!spec.program) throw new Error(`${kind}: program: say what it is called`);
    const schema = schemaOf(spec.settings ?? {});
    const faults = faultsOf(schema, defaultsOf(spec.settings ?? {}), '');
    if (faults.length > 0) throw new Error(`defaults of ${spec.program}: ${faults.join('; ')}`);
    this.spec = spec;
    this.loop = loop;
    this.manifest = JSON.parse(JSON.stringify({
      kind, program: spec.program, version: spec.version ?? '', api: API, summary: spec.summary, schema, catalog: spec.catalog, live: true,
    }));
  }

  /** run does what the arguments of the process ask, and ends it. */
  run() { return main(this); }
}

/**
 * collector brings points in. spec: program, version, summary, settings, catalog, validate(settings), open(ctx), close(ctx), and one of
 * collect(out, ctx), called each interval, and stream(emit, ctx), called once: emit(batch) returns when it is stored.
 */
export function collector(spec) {
  const loop = spec.stream ? stream : collect;
  if (typeof (spec.stream ?? spec.collect) !== 'function') throw new Error('collector: want collect(out, ctx) or stream(emit, ctx)');
  return new Plugin('collector', loop, spec);
}

/** processor changes points on their way: process(input, out, ctx) puts into out what is to go on. */
export function processor(spec) {
  if (typeof spec.process !== 'function') throw new Error('processor: want process(input, out, ctx)');
  return new Plugin('processor', process, spec);
}

/** publisher carries points out: publish(input, ctx) returns when the sink has confirmed all of them, and throws else. */
export function publisher(spec) {
  if (typeof spec.publish !== 'function') throw new Error('publisher: want publish(input, ctx)');
  return new Plugin('publisher', publish, spec);
}
