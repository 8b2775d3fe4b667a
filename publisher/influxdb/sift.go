package influxdb

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/pacewire/pacewire/internal/amount"
	"github.com/pacewire/pacewire/plugin"
	"github.com/pacewire/pacewire/telemetry"
)

const (
	probes    = 256 // requests that are spent on finding refused points
	namesTold = 5   // series of refused points that an error names
)

// sift finds the points of in that the server refuses, by halving: a half that is taken is stored, and a point that was
// stored before is only written over with itself. text is in as lines; why is the server's answer to all of it.
//
// in is left with the refused points. Where looking for them has taken too long, it keeps those that may be among them:
// better a point too many in the dead letters than a batch that never ends.
func (p *sink) sift(ctx context.Context, in *telemetry.Batch, text []byte, why *refusal) error {
	ends := lineEnds(text)
	total := in.Len()
	if len(ends) != total {
		return plugin.Permanent(why) // a point without a line: nothing tells which is which
	}
	bad := make([]bool, total)
	search := newSearch(ctx, p, text, ends)
	if err := search.run(ctx, why, bad); err != nil {
		return err
	}
	keep(in, bad)
	if in.Len() == 0 {
		return nil // it has changed its mind
	}
	return plugin.Refuse(fmt.Errorf("%d of %s refused, of %s: %w", in.Len(), amount.Of(total, "point", "points"), series(in), why))
}

// keep leaves in b the points that are bad.
func keep(b *telemetry.Batch, bad []bool) {
	for g := range b.Groups() {
		n := g.Len()
		g.Select(bad[:n])
		bad = bad[n:]
	}
}

// series returns the names of the series in b, as many as are worth telling.
func series(b *telemetry.Batch) string {
	var names []string
	for g := range b.Groups() {
		if g.Len() > 0 && !slices.Contains(names, g.Series) {
			names = append(names, g.Series)
		}
	}
	if more := len(names) - namesTold; more > 0 {
		names = append(names[:namesTold:namesTold], fmt.Sprintf("%d more", more))
	}
	return strings.Join(names, ", ")
}

// A search looks for the refused points of one batch.
type search struct {
	*sink
	text  []byte
	ends  []int     // of the lines in text
	left  int       // requests
	until time.Time // zero: any time
	open  []span
}

// A span is the points from to to, excluded, of which some are refused.
type span struct {
	from, to int
	why      *refusal
}

func newSearch(ctx context.Context, p *sink, text []byte, ends []int) *search {
	s := &search{sink: p, text: text, ends: ends, left: probes}
	if end, ok := ctx.Deadline(); ok {
		s.until = time.Now().Add(time.Until(end) / 2)
	}
	return s
}

// run marks what is bad. The widest spans are halved first, so that little is left in doubt when the search has to end.
func (s *search) run(ctx context.Context, why *refusal, bad []bool) error {
	s.open = []span{{0, len(s.ends), why}}
	for len(s.open) > 0 {
		x := s.open[0]
		s.open = s.open[1:]
		if n := x.to - x.from; n == 1 || x.why.ofAll(n) || s.spent() {
			for row := x.from; row < x.to; row++ {
				bad[row] = true
			}
			continue
		}
		middle := (x.from + x.to) / 2
		for _, half := range [2]span{{from: x.from, to: middle}, {from: middle, to: x.to}} {
			if err := s.try(ctx, half); err != nil {
				return err
			}
		}
	}
	return nil
}

func (s *search) spent() bool {
	return s.left <= 0 || !s.until.IsZero() && time.Now().After(s.until)
}

// try writes the points of x, and puts it among the open spans when some of them are refused.
func (s *search) try(ctx context.Context, x span) error {
	s.left--
	m := s.message()
	defer s.release(m)
	m.text = append(m.text[:0], s.lines(x)...)
	err := s.send(ctx, m)
	if why, ok := errors.AsType[*refusal](err); ok {
		x.why = why
		s.open = append(s.open, x)
		return nil
	}
	return err
}

// lines returns the lines of x.
func (s *search) lines(x span) []byte {
	begin := 0
	if x.from > 0 {
		begin = s.ends[x.from-1]
	}
	return s.text[begin:s.ends[x.to-1]]
}

// lineEnds returns where each line of line protocol ends. A line end in a quoted value does not count; quotes before the
// fields are letters like others.
func lineEnds(text []byte) []int {
	var ends []int
	for at := 0; at < len(text); {
		at += fieldsAt(text[at:])
		quoted := false
		for ; at < len(text) && (quoted || text[at] != '\n'); at++ {
			switch c := text[at]; {
			case quoted && c == '\\':
				at++
			case c == '"' && (quoted || opens(text[:at])):
				quoted = !quoted
			}
		}
		at++
		ends = append(ends, min(at, len(text)))
	}
	return ends
}

// fieldsAt returns where the fields of the first line of text begin: behind its first blank that is not escaped.
func fieldsAt(text []byte) int {
	for at := 0; ; at++ {
		i := bytes.IndexByte(text[at:], ' ')
		if i < 0 {
			return len(text)
		}
		at += i
		if at == 0 || text[at-1] != '\\' {
			return at + 1
		}
	}
}

// opens reports whether a quote behind before begins a value: only = is before it.
func opens(before []byte) bool {
	n := len(before)
	return n > 1 && before[n-1] == '=' && before[n-2] != '\\'
}
