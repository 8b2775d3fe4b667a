/** Limits of a batch on the wire: a reader refuses what is above them, a writer stays below. */
export const MAX_MESSAGE = 1 << 20; // bytes a reader takes
export const MAX_FRAME = 256 << 10; // bytes a writer sends at most
export const TARGET_FRAME = 128 << 10; // bytes a writer aims at
export const MAX_GROUPS = 1024;
export const MAX_POINTS = 65535;
export const MAX_CELLS = 262144;
export const MAX_TAGS = 64;
export const MAX_FIELDS = 256;
export const MAX_NAME = 255; // bytes
export const MAX_TAG_VALUE = 1024; // bytes
export const MAX_TEXT = 65535; // bytes
export const DEEP = 4; // nesting of a value whose type letter is reserved

/** hasControl reports whether a text has a control character. */
export function hasControl(text) {
  for (let i = 0; i < text.length; i++) {
    const c = text.charCodeAt(i);
    if (c < 0x20 || c === 0x7f) return true;
  }
  return false;
}

/** bytesOf is the length of a text in UTF-8. */
export function bytesOf(text) {
  for (let i = 0; i < text.length; i++) {
    if (text.charCodeAt(i) >= 0x80) return Buffer.byteLength(text);
  }
  return text.length;
}

function cut(text, limit) {
  while (Buffer.byteLength(text) > limit) text = [...text].slice(0, -1).join('');
  return text;
}

/** clean makes a text fit for a name or a tag value: control characters become blanks, halves of pairs U+FFFD. */
export function clean(text, limit) {
  if (!hasControl(text) && text.length * 3 <= limit) return wellFormed(text);
  // eslint-disable-next-line no-control-regex
  const out = wellFormed(text.replace(/[\u0000-\u001f\u007f]/g, ' '));
  return bytesOf(out) > limit ? cut(out.slice(0, limit), limit) : out;
}

/** wellFormed replaces halves of surrogate pairs, which UTF-8 has no bytes for. */
export function wellFormed(text) {
  return /[\ud800-\udfff]/.test(text) ? Buffer.from(text).toString() : text;
}

export const cleanName = (text) => (text === '' ? '_' : clean(text, MAX_NAME));
export const cleanTag = (text) => clean(text, MAX_TAG_VALUE);
