package filter

import (
	"time"

	"github.com/pacewire/pacewire/telemetry"
)

// A condition holds for some of the points of a group.
type condition interface {
	// narrow takes the points for which the condition does not hold out of mask. When it answers all, mask is as it was;
	// when it answers none, mask is of no account.
	narrow(s *scan, mask []bool) verdict
}

// A verdict is what a condition says about a group as a whole.
type verdict uint8

const (
	some verdict = iota // it differs by point, mask tells
	none
	all
)

// always returns the verdict of a condition that is the same for every point.
func always(ok bool) verdict {
	if ok {
		return all
	}
	return none
}

// A scan is what conditions work on and with. It is kept from group to group for its memory.
type scan struct {
	group *telemetry.Group
	now   time.Time // one for all points of a batch

	masks [][]bool // lent ones come first
	lent  int
	bits  []uint64
	keys  []string

	failed  int   // conditions that could not be computed for a point
	failure error // of the first of them
}

// keep takes out of g the points for which c does not hold, and reports whether any are left.
func (s *scan) keep(c condition, g *telemetry.Group) bool {
	s.group = g
	defer func() { s.group, s.lent = nil, 0 }()
	mask := s.lend(g.Len())
	for row := range mask {
		mask[row] = true
	}
	v := c.narrow(s, mask)
	if v == some {
		g.Select(mask)
	}
	return v != none && g.Len() > 0
}

// lend returns a mask of n rows with anything in it. The last one lent is the first to be given back.
func (s *scan) lend(n int) []bool {
	if s.lent == len(s.masks) {
		s.masks = append(s.masks, nil)
	}
	if m := s.masks[s.lent]; cap(m) < n {
		s.masks[s.lent] = make([]bool, n)
	}
	s.lent++
	return s.masks[s.lent-1][:n]
}

// copied lends a copy of mask.
func (s *scan) copied(mask []bool) []bool {
	m := s.lend(len(mask))
	copy(m, mask)
	return m
}

// giveBack takes the last mask back.
func (s *scan) giveBack() { s.lent-- }

// intersect takes the rows out of mask that are not in other.
func intersect(mask, other []bool) {
	other = other[:len(mask)]
	for row, in := range other {
		mask[row] = mask[row] && in
	}
}

// subtract takes the rows out of mask that are in other.
func subtract(mask, other []bool) {
	other = other[:len(mask)]
	for row, in := range other {
		mask[row] = mask[row] && !in
	}
}

// allOf holds where every one of its conditions does.
type allOf []condition

func (a allOf) narrow(s *scan, mask []bool) verdict {
	result := all
	for _, c := range a {
		switch c.narrow(s, mask) {
		case none:
			return none
		case some:
			result = some
		}
	}
	return result
}

// anyOf holds where one of its conditions does.
type anyOf []condition

func (a anyOf) narrow(s *scan, mask []bool) verdict {
	rest := s.copied(mask) // the rows for which none was found yet
	defer s.giveBack()
	result := none
	for _, c := range a {
		found := s.copied(rest)
		v := c.narrow(s, found)
		if v == some {
			subtract(rest, found)
			result = some
		}
		s.giveBack()
		if v == all {
			return all
		}
	}
	if result == some {
		subtract(mask, rest)
	}
	return result
}

// not holds where its condition does not.
type not struct{ condition }

func (n not) narrow(s *scan, mask []bool) verdict {
	found := s.copied(mask)
	defer s.giveBack()
	switch n.condition.narrow(s, found) {
	case all:
		return none
	case none:
		return all
	}
	subtract(mask, found)
	return some
}

// constant holds everywhere or nowhere.
type constant bool

func (c constant) narrow(*scan, []bool) verdict { return always(bool(c)) }

// cost says how dear a condition is to look at: 0 for one that is the same for a whole group, 1 for a pass over a column,
// 2 for one that computes something for each point.
func cost(c condition) int {
	dearest := func(parts []condition) (most int) {
		for _, p := range parts {
			most = max(most, cost(p))
		}
		return most
	}
	switch c := c.(type) {
	case constant:
		return 0
	case textTest:
		if c.of.kind == kindSeries {
			return 0
		}
	case not:
		return cost(c.condition)
	case allOf:
		return dearest(c)
	case anyOf:
		return dearest(c)
	case *rowTest:
		return 2
	}
	return 1
}
