package main

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/pacewire/pacewire/internal/oracle"
)

// A load is what sources send.
type load struct {
	hosts   int
	batches int // a second, of all hosts
	points  int // of a batch
}

// standard is the load of the table: 500 batches/s of 20 points from 20 hosts; a fifth of it in the short form.
func (t *trial) standard() load {
	return load{hosts: 20, batches: t.times(100, 500), points: 20}
}

// A source posts batches to a collector that acknowledges them. What is not acknowledged is not posted again: nobody owes it.
type source struct {
	url    string
	oracle *oracle.Oracle
	client *http.Client
	cancel context.CancelFunc
	hosts  sync.WaitGroup

	refused atomic.Int64 // batches
	ackGap  time.Duration
	gap     time.Duration
}

// postWithin is how long a source waits for an acknowledgement before it goes on.
const postWithin = 15 * time.Second

func newSource(url string, o *oracle.Oracle) *source {
	return &source{url: url, oracle: o, client: &http.Client{Timeout: postWithin, Transport: &http.Transport{MaxIdleConnsPerHost: 64}}}
}

// load starts sources that post until settle stops them.
func (t *trial) load(l load) {
	ctx, cancel := context.WithCancel(t.ctx)
	s := t.source
	s.cancel = cancel
	t.cleanup(s.stop)
	t.oracle.Restart()
	boot := t.nextBoot()
	pace := time.Second * time.Duration(l.hosts) / time.Duration(l.batches)
	for i := range l.hosts {
		from := t.oracle.Source(fmt.Sprintf("h%02d", i), boot)
		s.hosts.Go(func() { s.run(ctx, from, l.points, pace) })
	}
	t.await(readyWithin, "points are acknowledged", func() error { return yet(t.oracle.Acked() > 0) })
}

// stop ends the load. It may be called again.
func (s *source) stop() {
	if s.cancel == nil {
		return
	}
	s.ackGap, s.gap = s.oracle.Gaps()
	s.cancel()
	s.hosts.Wait()
	s.cancel = nil
	s.client.CloseIdleConnections()
}

// run posts batches at a pace. One that was late is followed at once.
func (s *source) run(ctx context.Context, from *oracle.Source, points int, pace time.Duration) {
	tick := time.NewTicker(pace)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		if s.post(ctx, from.Issue(points)) != nil {
			s.refused.Add(1)
		}
	}
}

// post posts a batch; an error means that it was not acknowledged.
func (s *source) post(ctx context.Context, b oracle.Batch) error {
	code, said := s.postText(ctx, string(b.Lines(nil)))
	if code != http.StatusNoContent {
		return fmt.Errorf("answer %d: %s", code, said)
	}
	b.Acknowledged()
	return nil
}

// postText posts a text, and returns the answer; 0 when there is none.
func (s *source) postText(ctx context.Context, text string) (code int, said string) {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, s.url+"/write", strings.NewReader(text))
	if err != nil {
		return 0, err.Error()
	}
	resp, err := s.client.Do(req)
	if err != nil {
		return 0, err.Error()
	}
	defer resp.Body.Close()
	answer, err := io.ReadAll(io.LimitReader(resp.Body, 1<<10))
	if err != nil {
		return 0, err.Error()
	}
	return resp.StatusCode, strings.TrimSpace(string(answer))
}
