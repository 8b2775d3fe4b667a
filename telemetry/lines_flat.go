package telemetry

import "bytes"

// AppendFlatLines is AppendLines for whom a line feed ends a line wherever it stands: those in texts are written as \n.
func (b *Batch) AppendFlatLines(dst []byte) []byte {
	from := len(dst)
	dst = b.AppendLines(dst)
	if bytes.Count(dst[from:], []byte{'\n'}) == b.Len() {
		return dst
	}
	return append(dst[:from], flat(dst[from:])...)
}

// flat returns line protocol with the line feeds in texts written as \n.
func flat(lines []byte) []byte {
	made := make([]byte, 0, len(lines)+16)
	quoted, escaped := false, false
	for _, c := range lines {
		switch {
		case c == '\n' && quoted:
			made = append(made, `\n`...)
			continue
		case c == '"' && !escaped:
			quoted = !quoted
		}
		escaped = c == '\\' && !escaped
		made = append(made, c)
	}
	return made
}
