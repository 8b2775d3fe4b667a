package oracle

import (
	"fmt"
	"strings"
)

// A Count compares what was acknowledged with what was delivered, in points.
type Count struct {
	Acknowledged int
	Lost         int // acknowledged, and neither delivered nor set aside
	Duplicated   int // delivered more than once
	Reordered    int // delivered for the first time after a later one of the same source
	Unknown      int // delivered, though never acknowledged: allowed
	Buried       int // acknowledged, set aside by name, and not delivered since
	Invented     int // delivered, though never issued
	Altered      int // delivered with other bytes than were issued

	Samples []string // the first of each kind that must never be
}

// String says all of it in a line.
func (c Count) String() string {
	text := fmt.Sprintf("of %d acknowledged points %d were lost, %d came twice, %d out of order, %d were set aside; %d unknown, %d invented, %d altered",
		c.Acknowledged, c.Lost, c.Duplicated, c.Reordered, c.Buried, c.Unknown, c.Invented, c.Altered)
	return strings.Join(append([]string{text}, c.Samples...), "; ")
}

// Count returns what is so now.
func (o *Oracle) Count() Count {
	o.mu.Lock()
	defer o.mu.Unlock()
	c := Count{Invented: o.invented, Altered: o.altered}
	for kind, line := range o.firstSeen {
		c.Samples = append(c.Samples, fmt.Sprintf("%s: %q", kind, line))
	}
	for _, t := range o.tracks {
		c.add(t)
	}
	return c
}

func (c *Count) add(t *track) {
	c.Reordered += t.reordered
	for seq, s := range t.state {
		owed, came := s&acknowledged != 0, s&times
		if owed {
			c.Acknowledged++
		}
		switch {
		case owed && came == 0 && s&buried != 0:
			c.Buried++
		case owed && came == 0:
			if c.Lost++; c.Lost == 1 {
				c.Samples = append(c.Samples, "lost: "+string(t.appendLine(nil, seq)))
			}
		case !owed && came > 0:
			c.Unknown++
		}
		if came > 1 {
			c.Duplicated++
		}
	}
}
