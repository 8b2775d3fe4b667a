package telemetry

import (
	"fmt"
	"iter"
)

// A Frame is one encoded message of a batch.
type Frame struct {
	Body   []byte
	Points int
	Err    error // the point that could not be encoded, by name; Body is then empty
}

// Frames encodes b into messages of about target bytes, never above [MaxFrame] and the other limits of a message. buf
// returns the memory a message is appended to. A single point that is larger than a message comes back as an error: the
// others are not affected.
func (b *Batch) Frames(target int, buf func() []byte) iter.Seq[Frame] {
	return func(yield func(Frame) bool) {
		b.dropUnsendable()
		if total := b.Size(); total > target {
			n := (total + target - 1) / target
			target = total/n + total/n/16 // of equal size, not full ones and a rest
		}
		target = max(1, int(float64(target)/b.ratio()))
		p := packer{batch: b, target: target, buf: buf, yield: yield, parts: b.parts[:0]}
		for _, g := range b.groups {
			if !p.add(g) {
				return
			}
		}
		p.flush()
	}
}

// dropUnsendable leaves out groups that no reader would take, and counts their points.
func (b *Batch) dropUnsendable() {
	b.settle()
	if len(b.shared) > MaxTags {
		b.pushTags()
	}
	keep := b.groups[:0]
	for _, g := range b.groups {
		switch {
		case len(g.fields) == 0:
			b.drops.add(CodeNoFields, g.n)
		case len(g.tags) > MaxTags || len(g.shared) > MaxTags || len(g.fields) > MaxFields:
			b.drops.add(CodeLimit, g.n)
		case g.n > 0:
			keep = append(keep, g)
			continue
		}
		clear(b.index) // which might lead to it
		if g.home == b {
			b.spare = append(b.spare, g)
		}
	}
	clear(b.groups[len(keep):])
	b.groups = keep
}

// A packer fills messages with rows.
type packer struct {
	batch  *Batch
	target int // bytes, as size estimates them
	buf    func() []byte
	yield  func(Frame) bool

	parts                []part
	bytes, points, cells int // of parts
	sent                 int // bytes the parts took
}

// add packs all rows of g, sending messages as they become full. It returns false when nobody wants more.
func (p *packer) add(g *Group) bool {
	columns := len(g.tags) + len(g.fields)
	perRow := g.size()/g.n + 1
	head := min(g.size()-g.n*(perRow-1), p.target)
	for from := 0; from < g.n; {
		room := min((p.target-p.bytes-head)/perRow, MaxPoints-p.points, (MaxCells-p.cells)/columns)
		if p.full() || room <= 0 && len(p.parts) > 0 {
			if !p.flush() {
				return false
			}
			continue
		}
		to := min(g.n, from+max(room, 1))
		if g.n-to <= (g.n-from)/16 && p.fits(g.n-from, columns) {
			to = g.n // a message of a few rows is not worth it
		}
		p.parts = append(p.parts, part{g, from, to})
		p.bytes += head + (to-from)*perRow
		p.points += to - from
		p.cells += (to - from) * columns
		from = to
	}
	return true
}

func (p *packer) full() bool { return p.bytes >= p.target || len(p.parts) == MaxGroups }

// fits reports whether rows more points stay below the counts of a message.
func (p *packer) fits(rows, columns int) bool {
	return p.points+rows <= MaxPoints && p.cells+rows*columns <= MaxCells
}

// flush sends what is packed.
func (p *packer) flush() bool {
	ok := len(p.parts) == 0 || p.learn()
	p.parts, p.bytes, p.points, p.cells = p.parts[:0], 0, 0, 0
	return ok
}

// learn sends what is packed, and notes how the size came out where it was large enough to tell.
func (p *packer) learn() bool {
	p.sent = 0
	ok := p.send(p.parts)
	if p.bytes >= 4<<10 && p.sent > 0 {
		p.batch.squeeze = float64(p.sent) / float64(p.bytes)
	}
	return ok
}

// send encodes parts as one message, or as two when the estimate was too low.
func (p *packer) send(parts []part) bool {
	points := 0
	for _, q := range parts {
		points += q.to - q.from
	}
	body := p.batch.appendParts(p.buf(), parts)
	switch {
	case len(body) <= MaxFrame:
		p.sent += len(body)
		return p.yield(Frame{Body: body, Points: points})
	case points == 1:
		p.batch.drops.add(CodeTooLarge, 1)
		return p.yield(Frame{Err: &DecodeError{Code: CodeTooLarge, Where: fmt.Sprintf(
			"a point of series %q takes %d bytes, a message holds %d: send less text", parts[0].g.Series, len(body), MaxFrame)}})
	case len(parts) > 1:
		return p.send(parts[:len(parts)/2]) && p.send(parts[len(parts)/2:])
	}
	half := parts[0]
	middle := (half.from + half.to) / 2
	return p.send([]part{{half.g, half.from, middle}}) && p.send([]part{{half.g, middle, half.to}})
}
