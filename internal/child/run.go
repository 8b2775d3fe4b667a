package child

import (
	"bytes"
	"context"
	"slices"
	"time"

	"github.com/pacewire/pacewire/internal/process"
)

// A Result is what a program leaves that has run to its end.
type Result struct {
	Stdout   []byte
	Cut      bool   // Stdout is not all of it
	Stderr   []byte // the last 4 KiB of it
	LastLine string // the last line of standard error that is not blank
	Exit     process.Exit
	Late     bool // it was ended because the context had
	Took     time.Duration
}

// Run runs a program with an input until it ends by itself, or ctx does: then it has its grace. When Run returns, nothing is
// left of what the program has started. Of its output the first head bytes are kept, and the last tail ones.
//
// The error says why it could not be started; process.Start tells which errors these are.
func Run(ctx context.Context, s Spec, input []byte, head, tail int) (Result, error) {
	out, lines := &clip{head: head, tail: tail}, newStderr(s.Stderr)
	c := s.command()
	c.Stdin, c.Stdout, c.Stderr = bytes.NewReader(input), out, lines
	begin := time.Now()
	p, err := process.Start(c)
	if err != nil {
		return Result{}, explained(s.Command, err)
	}
	late := false
	select {
	case <-p.Done():
	case <-ctx.Done():
		late = true
		p.Terminate(s.grace())
		<-p.Done()
	}
	lines.Flush()
	text, cut := out.bytes()
	return Result{text, cut, lines.text(), lines.last(), p.Exit(), late, time.Since(begin)}, nil
}

// A clip keeps the begin and the end of what is written to it.
type clip struct {
	head, tail int // bytes that are kept
	begin      []byte
	ring       []byte // the last bytes behind begin; full, it begins at next
	next       int
	skipped    int // bytes that are not kept
}

// Write never fails: an error would close the program's pipe.
func (c *clip) Write(p []byte) (int, error) {
	n := len(p)
	room := min(len(p), c.head-len(c.begin))
	c.begin = append(c.begin, p[:room]...)
	p = p[room:]
	if over := len(p) - c.tail; over > 0 {
		c.skipped += over
		p = p[over:]
	}
	for len(p) > 0 {
		if len(c.ring) < c.tail {
			room := min(len(p), c.tail-len(c.ring))
			c.ring, p = append(c.ring, p[:room]...), p[room:]
			continue
		}
		n := copy(c.ring[c.next:], p)
		c.skipped += n
		c.next, p = (c.next+n)%c.tail, p[n:]
	}
	return n, nil
}

// bytes returns what is kept, and whether there was more.
func (c *clip) bytes() (text []byte, cut bool) {
	return slices.Concat(c.begin, c.ring[c.next:], c.ring[:c.next]), c.skipped > 0
}
