package plugin

import "slices"

// A census knows the series that a plugin has sent within the last hour, by their hashes, as long as they are not too many.
// It takes 16 bytes for a place, of which a quarter at least is free.
type census struct {
	most  int // series; 0: no bound
	n     int
	slots []resident // a power of two of them; each stands at its hash or behind
	swept uint32     // when the old ones were looked for
}

// A resident is a series that has a place.
type resident struct {
	hash uint64 // 0: nobody
	seen uint32 // minute
}

// Bounds of a census.
const (
	fewSlots  = 64
	keptFor   = 60 // minutes
	sweepOnce = 1  // a minute: a flood of new series must not search all places each time
)

// admit sets mask to which of hashes have a place, or find one, and returns how many do not. now is counted in minutes, from 1.
func (c *census) admit(hashes []uint64, now uint32, mask []bool) (refused int) {
	var last uint64 // rows of one series often stand together
	for row, h := range hashes {
		if h == 0 {
			h = 1 // 0 is nobody
		}
		ok := h == last || c.knows(h, now)
		if mask[row] = ok; ok {
			last = h
		} else {
			refused++
		}
	}
	return refused
}

// knows reports whether the series h has a place, or finds one.
func (c *census) knows(h uint64, now uint32) bool {
	last := uint64(len(c.slots) - 1)
	for i := h & last; len(c.slots) > 0; i = (i + 1) & last {
		switch s := &c.slots[i]; s.hash {
		case h:
			if s.seen != now {
				s.seen = now
			}
			return true
		case 0:
			return c.enter(h, now)
		}
	}
	return c.enter(h, now)
}

// enter gives h a place, if there is one.
func (c *census) enter(h uint64, now uint32) bool {
	if c.n >= c.most && now >= c.swept+sweepOnce {
		c.swept = now
		c.rebuild(len(c.slots), now)
	}
	if c.n >= c.most {
		return false
	}
	if 4*(c.n+1) > 3*len(c.slots) {
		c.rebuild(max(fewSlots, 2*len(c.slots)), now)
	}
	c.settle(resident{h, now})
	return true
}

// settle puts r at the first free place from its hash on. There is one.
func (c *census) settle(r resident) {
	last := uint64(len(c.slots) - 1)
	i := r.hash & last
	for c.slots[i].hash != 0 {
		i = (i + 1) & last
	}
	c.slots[i] = r
	c.n++
}

// rebuild makes n slots of those that there are, and leaves out who was not seen for long.
func (c *census) rebuild(n int, now uint32) {
	old := c.slots
	c.slots, c.n = make([]resident, n), 0
	for r := range slices.Values(old) {
		if r.hash != 0 && r.seen+keptFor >= now {
			c.settle(r)
		}
	}
}
