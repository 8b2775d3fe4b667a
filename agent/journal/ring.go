package journal

import "github.com/pacewire/pacewire/telemetry"

// lineBytes is what a line takes beside its text.
const lineBytes = 80

// ring holds lines up to a number of bytes, and pushes the oldest out for new ones.
type ring struct {
	bound int
	size  int
	first int // where the oldest line lies
	count int
	slots []telemetry.LogLine
}

func (r *ring) len() int { return r.count }

// at returns the line i after the oldest.
func (r *ring) at(i int) telemetry.LogLine { return r.slots[(r.first+i)%len(r.slots)] }

func (r *ring) add(l telemetry.LogLine) {
	r.size += cost(l)
	for r.count > 0 && r.size > r.bound {
		r.drop()
	}
	if r.count == len(r.slots) {
		r.grow()
	}
	r.slots[(r.first+r.count)%len(r.slots)] = l
	r.count++
}

func (r *ring) drop() {
	oldest := &r.slots[r.first]
	r.size -= cost(*oldest)
	*oldest = telemetry.LogLine{} // let its text go
	r.first = (r.first + 1) % len(r.slots)
	r.count--
}

func (r *ring) grow() {
	slots := make([]telemetry.LogLine, max(16, 2*r.count))
	for i := range r.count {
		slots[i] = r.at(i)
	}
	r.slots, r.first = slots, 0
}

func cost(l telemetry.LogLine) int { return lineBytes + len(l.Text) }
