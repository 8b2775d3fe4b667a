package bus

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/nats-io/nats.go/jetstream"
)

const (
	clusterReplicas = 3
	peersWait       = 10 * time.Second // servers of a cluster start at different times
	askAgain        = 5 * time.Second  // a request that reached a server without a leader is answered by nobody
	askPause        = 250 * time.Millisecond
	askFor          = 30 * time.Second // where the caller has no deadline

	errNotAvailable jetstream.ErrorCode = 10008
	errNotLeader    jetstream.ErrorCode = 10009
	errNoPeers      jetstream.ErrorCode = 10005
	errNoCluster    jetstream.ErrorCode = 10074
)

// keepers decide how many servers keep what is made in one go.
type keepers struct {
	c     *Conn
	wish  int       // 0: as many as is usual
	few   bool      // there are not that many servers, and one has to do
	until time.Time // the others may still come
}

func (c *Conn) keepers(wish int) *keepers {
	return &keepers{c: c, wish: wish, until: time.Now().Add(peersWait)}
}

// usual is how many servers keep a stream of which there is one already, or 0, when nobody says.
func (k *keepers) usual(already int) int {
	if k.few || k.c.nc.ConnectedClusterName() == "" {
		return max(1, already)
	}
	return max(clusterReplicas, already)
}

// place has something made by so many servers as are wished. A wish is kept or refused; without one, a cluster that is too small does
// with one, and the log says so. What several servers keep is not lessened unless that is the wish.
func (k *keepers) place(ctx context.Context, js jetstream.JetStream, stream string, make func(_ context.Context, replicas int) error) error {
	ctx, cancel := withDeadline(ctx, askFor)
	defer cancel()
	var last error
	for {
		n := k.wish
		err := insist(ctx, func(ctx context.Context) error {
			if k.wish == 0 {
				already, err := replicasOf(ctx, js, stream)
				if err != nil {
					return err
				}
				n = k.usual(already)
			}
			return make(ctx, n)
		})
		if ctx.Err() != nil && last != nil {
			err = last // it says more than that there was no time
		}
		switch {
		case !tooFew(err) || n == 1:
			return alone(err, n)
		case ctx.Err() == nil && time.Now().Before(k.until):
			pause(ctx, askPause)
			last = err
		case k.wish > 0:
			return fmt.Errorf("%w: %d replicas are wished: start the other servers, or set bus.replicas: %w", ErrFewServers, n, err)
		case ctx.Err() != nil:
			return err
		default:
			k.few = true
			k.c.log.Warn("cluster has too few servers, so that one alone keeps the streams: start the others, then a hub", "wanted", n, "err", err)
		}
	}
}

// withDeadline is ctx, with a deadline if it has none.
func withDeadline(ctx context.Context, d time.Duration) (context.Context, context.CancelFunc) {
	if _, has := ctx.Deadline(); has {
		return ctx, func() {}
	}
	return context.WithTimeout(ctx, d)
}

// replicasOf returns how many servers keep a stream, 0 if there is none.
func replicasOf(ctx context.Context, js jetstream.JetStream, stream string) (int, error) {
	s, err := js.Stream(ctx, stream)
	switch {
	case errors.Is(err, jetstream.ErrStreamNotFound):
		return 0, nil
	case err != nil:
		return 0, err
	}
	return s.CachedInfo().Config.Replicas, nil
}

// insist calls f until the bus answers: while a cluster elects a leader it says nothing, or that it cannot yet.
func insist(ctx context.Context, f func(context.Context) error) error {
	ctx, cancel := withDeadline(ctx, askFor)
	defer cancel()
	for {
		asking, done := context.WithTimeout(ctx, askAgain)
		err := f(asking)
		done()
		if !leaderless(err) || ctx.Err() != nil {
			return err
		}
		pause(ctx, askPause)
	}
}

// leaderless tells what a cluster answers while nobody leads it.
func leaderless(err error) bool {
	code := codeOf(err)
	return code == errNotAvailable || code == errNotLeader || errors.Is(err, context.DeadlineExceeded)
}

// tooFew tells the refusal of more replicas than there are servers for them.
func tooFew(err error) bool { return codeOf(err) == errNoPeers && !noRoom(err) }

// alone explains the refusal of several replicas by a server that is alone.
func alone(err error, n int) error {
	if codeOf(err) != errNoCluster {
		return err
	}
	return fmt.Errorf("%w: %d replicas are wished, and the bus is a single server: leave out bus.replicas: %w", ErrFewServers, n, err)
}

func codeOf(err error) jetstream.ErrorCode {
	if api, is := errors.AsType[*jetstream.APIError](err); is {
		return api.ErrorCode
	}
	return 0
}

// noStorage tells the refusal of a cluster none of whose servers has the room.
func noStorage(err error) bool {
	return codeOf(err) == errNoPeers && strings.Contains(err.Error(), "insufficient storage")
}
