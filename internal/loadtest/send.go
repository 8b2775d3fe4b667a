package loadtest

import (
	"context"
	"net"
	"time"
)

// A Load is what Send sends.
type Load struct {
	Points int                           // at most
	Rate   int                           // points/s; 0: as fast as the listener takes them
	Left   func(i int, before time.Time) // is told of each point before it leaves; nil: nobody asks
}

// Send sends points to a TCP listener for line protocol, until all are sent or ctx ends, and returns how many it was. Only
// whole points are sent.
func Send(ctx context.Context, address string, l Load) (sent int, err error) {
	conn, err := net.Dial("tcp", address)
	if err != nil {
		return 0, err
	}
	defer conn.Close()
	p, begin := newPiece(), time.Now()
	for sent < l.Points && ctx.Err() == nil {
		if k := sent % perPiece; k == 0 {
			p.number(sent)
		}
		to := min(l.due(begin), l.Points, sent-sent%perPiece+perPiece)
		if to <= sent {
			time.Sleep(time.Until(begin.Add(time.Duration(sent) * time.Second / time.Duration(l.Rate))))
			continue
		}
		l.tell(sent, to)
		if _, err := conn.Write(p.lines(sent%perPiece, (to-1)%perPiece+1)); err != nil {
			return sent, err
		}
		sent = to
	}
	return sent, nil
}

// due returns how many points are to have left by now.
func (l Load) due(begin time.Time) int {
	if l.Rate <= 0 {
		return l.Points
	}
	return int(time.Since(begin).Seconds()*float64(l.Rate)) + 1
}

func (l Load) tell(from, to int) {
	if l.Left == nil {
		return
	}
	now := time.Now()
	for i := from; i < to; i++ {
		l.Left(i, now)
	}
}
