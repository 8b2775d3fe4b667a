// Package loadtest makes numbered points, and knows each again at the end of a pipeline.
package loadtest

import (
	"fmt"
	"iter"
	"strconv"
)

// Points are numbered. Number i has the time baseTime+i microseconds, by which it is known again; one in ten carries the tag
// keep=no, and has to be dropped on the way.
const (
	baseTime  = 1_763_559_525_000_000_000
	dropEvery = 10
	perPiece  = 2000
)

// Dropped reports whether a filter with drop: tags.keep == "no" takes point i out.
func Dropped(i int) bool { return i%dropEvery == dropEvery-1 }

// Arriving is how many of the first n points pass that filter.
func Arriving(n int) int { return n - n/dropEvery }

// Number returns which point has a time, in nanoseconds; ok is false when none has.
func Number(ns int64) (i int, ok bool) {
	ns -= baseTime
	return int(ns / 1000), ns >= 0 && ns%1000 == 0
}

// Time returns the time of point i, in nanoseconds.
func Time(i int) int64 { return baseTime + int64(i)*1000 }

// numberOf returns the number of the point that a line of line protocol is.
func numberOf(line []byte) (i int, ok bool) {
	const digits = 19 // of a time in nanoseconds between 2001 and 2262
	at := len(line) - digits
	if at < 1 || line[at-1] != ' ' {
		return 0, false
	}
	ns, err := strconv.ParseInt(string(line[at:]), 10, 64)
	if err != nil {
		return 0, false
	}
	return Number(ns)
}

// A piece is the line protocol of some points, 4 tags and 5 fields each, whose times are rewritten for each use.
type piece struct {
	text []byte
	ends []int // where the times end
}

func newPiece() *piece {
	p := &piece{}
	for i := range perPiece {
		keep := "yes"
		if Dropped(i) {
			keep = "no"
		}
		p.text = fmt.Appendf(p.text, "cpu,cpu=cpu%d,host=web-%02d,keep=%s,rack=r%d usage_idle=%.2f,usage_system=%.2f,usage_user=%.2f,ctx=%di,irq=%di %d\n",
			i%16, i%20, keep, i%4, 90-float64(i%700)/10, float64(i%300)/10, float64(i%977)/10, 100000+i*31, i%200, int64(baseTime))
		p.ends = append(p.ends, len(p.text)-1)
	}
	return p
}

// number makes the points of the piece those from a number on, which perPiece divides.
func (p *piece) number(from int) {
	for k, end := range p.ends {
		t := uint64(Time(from + k))
		for i := end - 1; i >= end-19; i-- {
			p.text[i] = byte('0' + t%10)
			t /= 10
		}
	}
}

// Text returns the first n points, 2,000 at most, as line protocol.
func Text(n int) []byte {
	p := newPiece()
	p.number(0)
	return p.lines(0, n)
}

// Texts gives the first n points as line protocol, per at a time, which divides 2,000. A text is valid until the next one.
func Texts(n, per int) iter.Seq[[]byte] {
	return func(yield func([]byte) bool) {
		p := newPiece()
		for from := 0; from < n; from += per {
			if from%perPiece == 0 {
				p.number(from)
			}
			if !yield(p.lines(from%perPiece, min(from%perPiece+per, from%perPiece+n-from))) {
				return
			}
		}
	}
}

// lines returns the text of the points of the piece from the from-th to before the to-th.
func (p *piece) lines(from, to int) []byte {
	begin := 0
	if from > 0 {
		begin = p.ends[from-1] + 1
	}
	return p.text[begin : p.ends[to-1]+1]
}
