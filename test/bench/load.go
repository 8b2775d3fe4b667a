package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"sync"
	"sync/atomic"
	"time"
)

// Points are numbered. Number i has the time baseTime+i microseconds, by which the sink knows it again; one in ten carries
// the tag keep=no, and has to be dropped on the way.
const (
	baseTime  = 1_763_559_525_000_000_000
	dropEvery = 10
)

// dropped reports whether the filter takes point i out.
func dropped(i int) bool { return i%dropEvery == dropEvery-1 }

// arriving is how many of the first n points must reach the sink.
func arriving(n int) int { return n - n/dropEvery }

// A lines is text of points as line protocol, 4 tags and 5 fields each, whose times are rewritten for each use.
type lines struct {
	text []byte
	ends []int // where the times end
}

const perPiece = 2000

func newLines() *lines {
	l := &lines{}
	for i := range perPiece {
		keep := "yes"
		if dropped(i) {
			keep = "no"
		}
		l.text = fmt.Appendf(l.text, "cpu,cpu=cpu%d,host=web-%02d,keep=%s,rack=r%d usage_idle=%.2f,usage_system=%.2f,usage_user=%.2f,ctx=%di,irq=%di %d\n",
			i%16, i%20, keep, i%4, 90-float64(i%700)/10, float64(i%300)/10, float64(i%977)/10, 100000+i*31, i%200, int64(baseTime))
		l.ends = append(l.ends, len(l.text)-1)
	}
	return l
}

// number writes the times of points from to the end of the piece.
func (l *lines) number(from int) {
	for k, end := range l.ends {
		t := uint64(baseTime + int64(from+k)*1000)
		for i := end - 1; i >= end-19; i-- {
			l.text[i] = byte('0' + t%10)
			t /= 10
		}
	}
}

// send sends n points to a listener as fast as it takes them.
func send(ctx context.Context, address string, n int) error {
	conn, err := net.Dial("tcp", address)
	if err != nil {
		return err
	}
	defer conn.Close()
	l := newLines()
	for from := 0; from < n && ctx.Err() == nil; from += perPiece {
		l.number(from)
		if _, err := conn.Write(l.text); err != nil {
			return err
		}
	}
	return ctx.Err()
}

// sendPaced sends n points at a rate, in pieces as small as the rate allows, and notes when each left.
func sendPaced(ctx context.Context, address string, n, rate int, left func(i int, at time.Time)) error {
	conn, err := net.Dial("tcp", address)
	if err != nil {
		return err
	}
	defer conn.Close()
	l := newLines()
	begin := time.Now()
	for i := 0; i < n && ctx.Err() == nil; {
		due := min(n, int(time.Since(begin).Seconds()*float64(rate))+1)
		if due <= i {
			time.Sleep(time.Until(begin.Add(time.Duration(i) * time.Second / time.Duration(rate))))
			continue
		}
		first := i - i%perPiece
		l.number(first)
		due = min(due, first+perPiece)
		from := 0
		if i > first {
			from = l.ends[i-first-1] + 1
		}
		now := time.Now()
		for k := i; k < due; k++ {
			left(k, now)
		}
		if _, err := conn.Write(l.text[from : l.ends[due-first-1]+1]); err != nil {
			return err
		}
		i = due
	}
	return ctx.Err()
}

// A sink is the HTTP server at the end of the pipeline: it takes line protocol and knows each point by its number.
type sink struct {
	url  string
	srv  *http.Server
	seen []atomic.Uint32 // by number: how often it came
	at   func(i int)     // is told of each point; nil: nobody asks
	got  atomic.Int64    // different points
	all  chan struct{}   // closed when want have come
	want int64
	once sync.Once

	doubled, invented, bad atomic.Int64
	bytes                  atomic.Int64
	bodies                 sync.Pool
}

// newSink starts a sink that expects the first n points.
func newSink(n int) (*sink, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	s := &sink{url: "http://" + l.Addr().String(), seen: make([]atomic.Uint32, n), all: make(chan struct{}), want: int64(arriving(n))}
	s.bodies.New = func() any { return new(bytes.Buffer) }
	s.srv = &http.Server{Handler: http.HandlerFunc(s.serve)}
	go func() { _ = s.srv.Serve(l) }()
	return s, nil
}

func (s *sink) close() { _ = s.srv.Close() }

func (s *sink) serve(w http.ResponseWriter, r *http.Request) {
	buf := s.bodies.Get().(*bytes.Buffer)
	defer s.bodies.Put(buf)
	buf.Reset()
	if _, err := io.Copy(buf, r.Body); err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	s.bytes.Add(int64(buf.Len()))
	s.take(buf.Bytes())
	w.WriteHeader(http.StatusNoContent)
}

// take notes the points of text.
func (s *sink) take(text []byte) {
	for len(text) > 0 {
		end := bytes.IndexByte(text, '\n')
		if end < 0 {
			end = len(text)
		}
		s.point(text[:end])
		text = text[min(end+1, len(text)):]
	}
	if s.got.Load() >= s.want {
		s.once.Do(func() { close(s.all) })
	}
}

func (s *sink) point(line []byte) {
	space := bytes.LastIndexByte(line, ' ')
	t, err := strconv.ParseInt(string(line[space+1:]), 10, 64)
	if space < 0 || err != nil || (t-baseTime)%1000 != 0 {
		s.bad.Add(1)
		return
	}
	i := int((t - baseTime) / 1000)
	if i < 0 || i >= len(s.seen) || dropped(i) {
		s.invented.Add(1)
		return
	}
	if s.seen[i].Add(1) > 1 {
		s.doubled.Add(1)
		return
	}
	s.got.Add(1)
	if s.at != nil {
		s.at(i)
	}
}

// settle waits until all points have come, or none has for a while, and says what is wrong.
func (s *sink) settle(ctx context.Context) error {
	last, since := int64(-1), time.Now()
	for done := false; !done; {
		select {
		case <-s.all:
			done = true
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(100 * time.Millisecond):
			if n := s.got.Load(); n != last {
				last, since = n, time.Now()
			}
			done = time.Since(since) > 15*time.Second
		}
	}
	if lost := s.want - s.got.Load(); lost != 0 || s.doubled.Load()+s.invented.Load()+s.bad.Load() > 0 {
		return fmt.Errorf("of %d points %d were lost, %d came twice, %d were invented, %d could not be read",
			s.want, lost, s.doubled.Load(), s.invented.Load(), s.bad.Load())
	}
	return nil
}
