package telemetry

import "time"

// skewBefore and skewAhead bound the times that nobody wonders about: not before 1990, not an hour after arrival.
const (
	skewBefore = 631152000 * int64(time.Second)
	skewAhead  = time.Hour
)

// NoteSkew counts the points whose time is before 1990 or more than an hour after arrival. They are kept.
func (b *Batch) NoteSkew(arrival time.Time) {
	late := arrival.Add(skewAhead).UnixNano()
	for _, g := range b.groups {
		b.drops.add(CodeTimeSkew, g.outside(skewBefore, late))
	}
}

// outside returns the number of points whose time is before early or after late. Times that are still as they came are
// judged together by their base and their width, and one by one only where that leaves a doubt.
func (g *Group) outside(early, late int64) int {
	if !g.timed {
		low, high := g.dt.bounds()
		if (g.t0+low)*g.unit >= early && (g.t0+high)*g.unit <= late {
			return 0
		}
	}
	n := 0
	for row := range g.n {
		if t := g.instant(row); t < early || t > late {
			n++
		}
	}
	return n
}

// instant returns the time of a point in ns and leaves the times as they are.
func (g *Group) instant(row int) int64 {
	if g.timed {
		return g.stamps[row]
	}
	return (g.t0 + g.dt.Value(row).Int()) * g.unit
}
