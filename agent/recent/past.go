package recent

import "math"

// A past is the last hour of a number, one value a slot, in pieces that are made when they are needed.
type past [(Slots-2)/pieceSlots + 2]*piece // as many as an hour may touch

const pieceSlots = 31 // with these a piece takes 256 bytes, as the heap gives them

// A piece is some slots in a row.
type piece struct {
	first  int64 // its first slot
	values [pieceSlots]float64
}

// set gives a slot its value, and returns how many bytes that took. Without room no piece is made, and the value is left out.
func (p *past) set(slot int64, v float64, room bool) (bytes int64) {
	if slot < 0 {
		return 0 // more than an hour before the Store
	}
	first := slot - slot%pieceSlots
	place := &p[slot/pieceSlots%int64(len(p))]
	switch {
	case *place == nil && !room:
		return 0
	case *place == nil:
		*place = new(piece)
		(*place).begin(first)
		bytes = pieceBytes
	case (*place).first < first:
		(*place).begin(first)
	case (*place).first > first:
		return 0 // longer ago than is kept
	}
	(*place).values[slot-first] = v
	return bytes
}

// begin empties a piece for the slots from first on.
func (c *piece) begin(first int64) {
	c.first = first
	for i := range c.values {
		c.values[i] = math.NaN()
	}
}

// at returns the value of a slot, NaN when there is none.
func (p *past) at(slot int64) float64 {
	if slot < 0 {
		return math.NaN()
	}
	c := p[slot/pieceSlots%int64(len(p))]
	if first := slot - slot%pieceSlots; c == nil || c.first != first {
		return math.NaN()
	}
	return c.values[slot%pieceSlots]
}

// bytes returns what it takes.
func (p *past) bytes() int64 {
	if p == nil {
		return 0
	}
	n := pastBytes
	for _, c := range p {
		if c != nil {
			n += pieceBytes
		}
	}
	return n
}
