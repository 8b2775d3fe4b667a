package protobuf

import "slices"

// Merged is a message that may have come in parts: to put them one behind the other is to merge them.
type Merged struct {
	Bytes []byte
	own   bool // Bytes is no part of another message
}

// Add adds a part, which is not changed.
func (m *Merged) Add(part []byte) {
	switch {
	case m.Bytes == nil:
		m.Bytes = part
	case !m.own:
		m.Bytes, m.own = slices.Concat(m.Bytes, part), true
	default:
		m.Bytes = append(m.Bytes, part...)
	}
}
