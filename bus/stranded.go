package bus

import (
	"context"
	"errors"
)

// A copy by which a letter is given again is a letter itself when nobody reads it: its plugin was taken away meanwhile, and the
// consumer with it.

// stranded tells such copies from those under way and those that are settled. It asks once for each plugin.
type stranded struct {
	conn *Conn
	read map[string]func(seq uint64) bool // by plugin
}

func (c *Conn) stranded() *stranded { return &stranded{c, map[string]func(uint64) bool{}} }

// has reports whether l, a copy, is a letter.
func (s *stranded) has(ctx context.Context, l Letter) (bool, error) {
	read, known := s.read[l.Plugin]
	if !known {
		var err error
		if read, err = s.conn.readsAgain(ctx, l.Plugin); err != nil {
			return false, err
		}
		s.read[l.Plugin] = read
	}
	if read(l.Seq) {
		return false, nil
	}
	of, err := copyOf(l.header.Get(headerID))
	if err != nil { // somebody else has made it
		return true, nil
	}
	_, err = s.conn.inDead(ctx, of)
	if errors.Is(err, ErrNoLetter) {
		return true, nil
	}
	return false, err // what it is a copy of is still there
}

// readsAgain returns what tells whether a copy for plugin at a place in DEAD is being read, or is settled.
func (c *Conn) readsAgain(ctx context.Context, plugin string) (func(seq uint64) bool, error) {
	in := Errands(plugin, nil)[0]
	s, err := c.ConsumerInfo(ctx, in.Stream, in.Durable)
	switch {
	case errors.Is(err, ErrNoConsumer):
		return func(uint64) bool { return false }, nil
	case errors.Is(err, ErrDenied): // who may not know leaves it alone
		return func(uint64) bool { return true }, nil
	case err != nil:
		return nil, err
	}
	return func(seq uint64) bool { return seq >= s.From }, nil
}
