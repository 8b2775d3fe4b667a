/** Multiplies a field, so that a sink gets another unit: a processor. What it does not know passes as it came. */
import { Permanent, processor } from '../pacewire.mjs';

processor({
  program: 'scale', version: '1.0.0',
  summary: 'Multiplies the values of a field.',
  settings: {
    field: { type: 'string', default: 'usage', minLength: 1, description: 'the field to multiply' },
    by: { type: 'number', default: 0.01, description: 'what to multiply with' },
  },
  validate({ by }) {
    if (by === 0) throw new Permanent('by 0: would make every value 0');
  },
  process(input, out, { settings: { field, by } }) {
    for (const group of input.groups) {
      if (group.type(field) === 'f') {
        group.set(field, 'f', group.values(field).map((v) => (v === undefined ? v : v * by)));
      }
      out.take(group);
    }
  },
}).run();
