#!/usr/bin/env node
/** my-plugin is a processor of pacewire: it gives every point a tag. */
import { processor } from 'pacewire';

processor({
  program: 'my-plugin',
  version: '0.1.0',
  summary: 'Gives every point a tag.',
  settings: {
    site: { type: 'string', default: 'lab', description: 'the value of the tag site' },
  },

  /** Is called for each batch. What it does not put into out is dropped. After an error it is called with the same points again. */
  process(input, out, { settings: { site } }) {
    for (const group of input.groups) { // the points of one series, as columns
      // Go on here: group.series, group.values('usage'), group.keep((row) => ...), out.add('other', { field: 1.5 }).
      group.setTag('site', site);
      out.take(group);
    }
  },
}).run();
