package bustest

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go"
)

// CrowdOptions say whose messages a Crowd hears.
type CrowdOptions struct {
	URL       string
	CredsFile string // of a user who may do everything, as bus.Options.CredsFile; "": none
	Name      string // that the server shows

	// Hear gets each message, one after the other; it must not keep body.
	Hear func(subject, reply string, body []byte)

	// Back is called when the connection is there again. It must not block.
	Back func()
}

// A Crowd speaks for many users over one connection, which a bus.Conn never can: it subscribes what it likes, and names any
// reply subject.
type Crowd struct {
	nc      *nats.Conn
	heard   chan *nats.Msg
	stop    chan struct{}
	done    sync.WaitGroup
	dropped atomic.Uint64
}

// crowdPending is how many messages may wait for Hear; more are dropped and counted.
const crowdPending = 1 << 16

// NewCrowd connects, and goes on for ever when the connection is lost.
func NewCrowd(o CrowdOptions) (*Crowd, error) {
	c := &Crowd{heard: make(chan *nats.Msg, crowdPending), stop: make(chan struct{})}
	opts := []nats.Option{
		nats.Name(o.Name), nats.Timeout(startWait), nats.MaxReconnects(-1), nats.ReconnectBufSize(-1), nats.PingInterval(5 * time.Second),
		nats.CustomReconnectDelay(func(int) time.Duration { return rand.N(500 * time.Millisecond) }),
		nats.ErrorHandler(func(_ *nats.Conn, _ *nats.Subscription, err error) {
			if errors.Is(err, nats.ErrSlowConsumer) {
				c.dropped.Add(1)
			}
		}),
	}
	if o.Back != nil {
		opts = append(opts, nats.ReconnectHandler(func(*nats.Conn) { o.Back() }))
	}
	if o.CredsFile != "" {
		user, err := userInfo(o.CredsFile)
		if err != nil {
			return nil, err
		}
		opts = append(opts, user)
	}
	var err error
	if c.nc, err = nats.Connect(o.URL, opts...); err != nil {
		return nil, fmt.Errorf("connect a crowd to %s: %w", o.URL, err)
	}
	c.done.Go(func() { c.run(o.Hear) })
	return c, nil
}

func userInfo(path string) (nats.Option, error) {
	var user struct{ User, Password string }
	text, err := os.ReadFile(path)
	if err == nil {
		err = json.Unmarshal(text, &user)
	}
	if err != nil {
		return nil, fmt.Errorf("credentials of a crowd: %w", err)
	}
	return nats.UserInfo(user.User, user.Password), nil
}

func (c *Crowd) run(hear func(subject, reply string, body []byte)) {
	for {
		select {
		case m := <-c.heard:
			hear(m.Subject, m.Reply, m.Data)
		case <-c.stop:
			return
		}
	}
}

// Listen subscribes; forget ends that.
func (c *Crowd) Listen(subject string) (forget func(), err error) {
	sub, err := c.nc.ChanSubscribe(subject, c.heard) // one channel, and so one goroutine, for all
	if err != nil {
		return nil, fmt.Errorf("listen to %s: %w", subject, err)
	}
	return func() { _ = sub.Unsubscribe() }, nil // fails when the connection is closed, and then it is done
}

// Tell publishes, with a reply subject unless that is empty.
func (c *Crowd) Tell(subject, reply string, body []byte) error {
	if reply == "" {
		return c.nc.Publish(subject, body)
	}
	return c.nc.PublishRequest(subject, reply, body)
}

// Flush waits until the server has seen everything before.
func (c *Crowd) Flush(ctx context.Context) error { return c.nc.FlushWithContext(ctx) }

// Dropped is how often messages came faster than they were heard.
func (c *Crowd) Dropped() uint64 { return c.dropped.Load() }

// Close ends the connection, and waits for Hear.
func (c *Crowd) Close() {
	c.nc.Close()
	close(c.stop)
	c.done.Wait()
}
