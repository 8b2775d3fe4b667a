/** A processor in Node that passes on what it gets; with a tag, it gives each point one more. */
import { processor } from '../../../sdk/node/pacewire.mjs';

processor({
  program: 'pass', version: '1.0.0',
  summary: 'Passes points on, for measurements.',
  settings: { tag: { type: 'string', default: '', description: 'value of the tag site; empty: none' } },
  process(input, out, { settings: { tag } }) {
    for (const group of input.groups) {
      if (tag) group.setTag('site', tag);
      out.take(group);
    }
  },
}).run();
