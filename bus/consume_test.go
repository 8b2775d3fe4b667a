package bus_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/pacewire/pacewire/bus"
	"github.com/pacewire/pacewire/bus/bustest"
	"github.com/pacewire/pacewire/bus/embedded"
)

// fill publishes count messages with bodies 0, 1, ...
func fill(t testing.TB, c *bus.Conn, count int) *bus.Publisher {
	t.Helper()
	p := publisher(t, c, bus.PublisherOptions{})
	for i := range count {
		if err := p.Send(t.Context(), metric(fmt.Sprint(i)), func(err error) {
			if err != nil {
				t.Error(err)
			}
		}); err != nil {
			t.Fatal(err)
		}
	}
	flush(t, p)
	return p
}

func consumerState(t testing.TB, c *bus.Conn, durable string) bus.ConsumerState {
	t.Helper()
	s, err := c.ConsumerInfo(t.Context(), bus.StreamMetrics, durable)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func quick(durable string) bus.Input {
	in := input(durable)
	in.AckWait = 400 * time.Millisecond
	return in
}

// nothing expects that no delivery comes for a while, which a bug would bring
// within AckWait.
func nothing(t testing.TB, k *bus.Consumer, wait time.Duration) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), wait)
	defer cancel()
	if d, err := k.Next(ctx); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("got %v, %v; want nothing", d, err)
	}
}

// The server restarts while messages flow: each arrives, and acks sent around
// the restart are confirmed.
func TestConsumeThroughRestarts(t *testing.T) {
	b := bustest.New(t)
	c := b.Conn(t, "h1_out")
	const count = 2000
	fill(t, c, count)
	k := consumer(t, c, quick("out"), bus.ConsumeOptions{Progress: 100 * time.Millisecond})
	seen := make(map[string]bool)
	restarts := 0
	for len(seen) < count {
		d := next(t, k)
		seen[string(d.Body)] = true
		if err := d.Ack(); err != nil {
			t.Fatal(err)
		}
		if n := len(seen); restarts < 2 && n == (restarts+1)*count/3 {
			b.Restart(t)
			restarts++
		}
	}
	flush(t, k)
	if s := consumerState(t, c, "out"); s.AckPending != 0 || s.Pending != 0 {
		t.Errorf("consumer %+v, %+v", s, k.Stats())
	}
	if s := k.Stats(); s.LostUnread != 0 || s.Held != 0 {
		t.Errorf("stats %+v", s)
	}
}

// Held messages, in the caller's hand or still in the window, are not given
// again however long they are held.
func TestInProgress(t *testing.T) {
	t.Parallel() // it waits
	b := bustest.New(t)
	c := b.Conn(t, "h1_out")
	fill(t, c, 20)
	in := input("out")
	in.AckWait = 5 * time.Second // a busy machine may stop the test for a while
	k := consumer(t, c, in, bus.ConsumeOptions{Progress: 200 * time.Millisecond, Messages: 8})
	held := []*bus.Delivery{next(t, k)} // before the rival has all
	rival, err := b.Conn(t, "h2_out").Consume(t.Context(), bus.StreamMetrics, "out", bus.ConsumeOptions{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(rival.Stop)
	// All that the rival has is acknowledged; k keeps one and has more in its window.
	ctx, cancel := context.WithTimeout(t.Context(), 2*in.AckWait+2*time.Second)
	defer cancel()
	for {
		d, err := rival.Next(ctx)
		if err != nil {
			break
		}
		if d.Deliveries > 1 {
			t.Errorf("%q was given again", d.Body)
		}
		if err := d.Ack(); err != nil {
			t.Fatal(err)
		}
	}
	for k.Ready() > 0 { // of which one may be a sign of life of the stream
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		d, err := k.Next(ctx)
		cancel()
		if err == nil {
			held = append(held, d)
		}
	}
	for _, d := range held {
		if d.Deliveries != 1 {
			t.Errorf("%q was given again", d.Body)
		}
		if err := d.InProgress(); err != nil {
			t.Error(err)
		}
		if err := d.Ack(); err != nil {
			t.Error(err)
		}
	}
	flush(t, k)
	flush(t, rival)
	if s := consumerState(t, c, "out"); s.AckPending != 0 || s.Redelivered != 0 || s.Pending != 0 {
		t.Errorf("consumer %+v", s)
	}
}

func TestSettle(t *testing.T) {
	b := bustest.New(t)
	c := b.Conn(t, "h1_out")
	fill(t, c, 3)
	k := consumer(t, c, input("out"), bus.ConsumeOptions{})
	ack, nak, term := next(t, k), next(t, k), next(t, k)
	if err := ack.Ack(); err != nil {
		t.Error(err)
	}
	if err := ack.Ack(); !errors.Is(err, bus.ErrSettled) {
		t.Errorf("second Ack: %v", err)
	}
	if err := ack.InProgress(); !errors.Is(err, bus.ErrSettled) {
		t.Errorf("InProgress after Ack: %v", err)
	}
	if err := term.Term("never\nmind"); err != nil {
		t.Error(err)
	}
	start := time.Now()
	if err := nak.Nak(200 * time.Millisecond); err != nil {
		t.Error(err)
	}
	again := next(t, k)
	if string(again.Body) != "1" || again.Deliveries != 2 || again.StreamSeq != nak.StreamSeq {
		t.Errorf("%q, delivery %d", again.Body, again.Deliveries)
	}
	if d := time.Since(start); d < 150*time.Millisecond {
		t.Errorf("given again after %v", d)
	}
	if err := again.Nak(0); err != nil {
		t.Error(err)
	}
	if d := next(t, k); d.Deliveries != 3 {
		t.Errorf("delivery %d", d.Deliveries)
	} else if err := d.Ack(); err != nil {
		t.Error(err)
	}
	flush(t, k)
	if s := consumerState(t, c, "out"); s.AckPending != 0 {
		t.Errorf("consumer %+v", s)
	}
}

// patient is an input whose messages are not given again by themselves while a test lasts.
func patient(durable string) bus.Input {
	in := input(durable)
	in.AckWait = time.Hour
	return in
}

// Stop gives back what was fetched: another process has it at once, long before
// AckWait.
func TestStopReleases(t *testing.T) {
	b := bustest.New(t)
	c := b.Conn(t, "h1_out")
	fill(t, c, 50)
	k := consumer(t, c, patient("out"), bus.ConsumeOptions{})
	kept := next(t, k)
	bustest.Wait(t, limit, "a full window", func() bool { return k.Ready() > 10 })
	k.Stop()
	k.Stop()
	if _, err := k.Next(t.Context()); !errors.Is(err, bus.ErrStopped) {
		t.Errorf("Next after Stop: %v", err)
	}
	other, err := b.Conn(t, "h2_out").Consume(t.Context(), bus.StreamMetrics, "out", bus.ConsumeOptions{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(other.Stop)
	for range 49 {
		if err := next(t, other).Ack(); err != nil {
			t.Fatal(err)
		}
	}
	if err := kept.Ack(); err != nil {
		t.Errorf("Ack after Stop: %v", err)
	}
	flush(t, k)
	flush(t, other)
	if s := consumerState(t, c, "out"); s.AckPending != 0 || s.Pending != 0 {
		t.Errorf("consumer %+v", s)
	}
}

// What Stop gives back is there for others even if the process is cut off at once.
func TestStopThenCutOff(t *testing.T) {
	b := bustest.Guarded(t)
	hub := b.Conn(t, "hub")
	const count = 100
	fill(t, hub, count)
	in := patient("out")
	if err := hub.EnsureConsumer(t.Context(), in); err != nil {
		t.Fatal(err)
	}
	old := join(t, b, bus.RolePublisher, "h1", "out", in)
	k := old.consume(t, in)
	if err := next(t, k).Ack(); err != nil {
		t.Fatal(err)
	}
	bustest.Wait(t, limit, "a full window", func() bool { return k.Ready() > 30 })
	k.Stop()
	flush(t, k)
	old.grant.Revoke()
	fresh := join(t, b, bus.RolePublisher, "h1", "out", in).consume(t, in)
	seen := make(map[string]bool)
	for len(seen) < count-1 {
		d := next(t, fresh)
		seen[string(d.Body)] = true
		if err := d.Ack(); err != nil {
			t.Fatal(err)
		}
	}
	flush(t, fresh)
}

func TestStopWakesNext(t *testing.T) {
	b := bustest.New(t)
	k := consumer(t, b.Conn(t, "h1_out"), input("out"), bus.ConsumeOptions{})
	got := make(chan error, 1)
	go func() {
		_, err := k.Next(context.Background())
		got <- err
	}()
	k.Stop()
	if err := <-got; !errors.Is(err, bus.ErrStopped) {
		t.Errorf("Next: %v", err)
	}
}

func TestConsumerOfClosedConn(t *testing.T) {
	b := bustest.New(t)
	c := b.Conn(t, "h1_out")
	k := consumer(t, c, input("out"), bus.ConsumeOptions{})
	c.Close()
	if _, err := k.Next(t.Context()); !errors.Is(err, bus.ErrClosed) {
		t.Errorf("Next: %v", err)
	}
	k.Stop()
}

// The window bounds what is fetched ahead, in messages and in bytes.
func TestFetchWindow(t *testing.T) {
	b := bustest.New(t)
	c := b.Conn(t, "h1_out")
	p := publisher(t, c, bus.PublisherOptions{})
	body := string(make([]byte, 200<<10))
	const count = 60
	for range count {
		if err := p.Send(t.Context(), metric(body), func(error) {}); err != nil {
			t.Fatal(err)
		}
	}
	flush(t, p)
	k := consumer(t, c, input("out"), bus.ConsumeOptions{Messages: 50, Bytes: 3 << 20})
	most := 0
	for i := range count {
		if err := next(t, k).Ack(); err != nil {
			t.Fatal(err)
		}
		if i%10 == 0 { // let the window fill
			bustest.Wait(t, limit, "messages", func() bool { return k.Ready() > 0 || i > count-20 })
		}
		most = max(most, k.Ready())
	}
	if most > 3<<20/(200<<10) {
		t.Errorf("%d messages of 200 KiB were fetched into 3 MiB", most)
	}
	flush(t, k)
}

func TestSmallestWindow(t *testing.T) {
	b := bustest.New(t)
	c := b.Conn(t, "h1_out")
	fill(t, c, 30)
	k := consumer(t, c, input("out"), bus.ConsumeOptions{Messages: 1})
	for i := range 30 {
		d := next(t, k)
		if string(d.Body) != fmt.Sprint(i) {
			t.Errorf("%d: %q", i, d.Body)
		}
		if err := d.Ack(); err != nil {
			t.Fatal(err)
		}
	}
}

// What limits discard before it is read is counted, by source and not by holes
// of the stream.
func TestLostUnread(t *testing.T) {
	b := bustest.Bare(t, embedded.Options{})
	c := b.Conn(t, "hub")
	settings := smallStreams()
	settings.MetricsMaxBytes = 1 << 20
	if err := c.EnsureStreams(t.Context(), settings); err != nil {
		t.Fatal(err)
	}
	k := consumer(t, c, input("out"), bus.ConsumeOptions{Messages: 2})
	p := publisher(t, c, bus.PublisherOptions{})
	body := string(make([]byte, 50<<10))
	const sent = 60 // three times what the stream holds
	for range sent {
		if err := p.Publish(t.Context(), metric(body)); err != nil {
			t.Fatal(err)
		}
	}
	read := uint64(0)
	for last := false; !last; read++ {
		d := next(t, k)
		last = d.StreamSeq == sent
		if err := d.Ack(); err != nil {
			t.Fatal(err)
		}
	}
	if s := k.Stats(); read == sent || s.LostUnread != sent-read {
		t.Errorf("INVALID or wrong: %d of %d read, %+v", read, sent, s)
	}
}

// What limits discard while nobody reads is counted as a bound: what another filter would have selected counts too.
func TestLostAway(t *testing.T) {
	b := bustest.Bare(t, embedded.Options{})
	c := b.Conn(t, "hub")
	settings := smallStreams()
	settings.MetricsMaxBytes = 1 << 20
	if err := c.EnsureStreams(t.Context(), settings); err != nil {
		t.Fatal(err)
	}
	p := publisher(t, c, bus.PublisherOptions{})
	f := func(durable, start string, mine, others int, want func(gone, lost uint64) bool) {
		t.Helper()
		in := input(durable)
		in.Start = start
		if err := c.EnsureConsumer(t.Context(), in); err != nil {
			t.Fatal(err)
		}
		other := bus.Message{Subject: bus.MetricsSubject("h1", "mem"), Body: make([]byte, 50<<10)}
		for range others {
			if err := p.Publish(t.Context(), other); err != nil {
				t.Fatal(err)
			}
		}
		for i := range mine {
			if err := p.Publish(t.Context(), metric(fmt.Sprintf("%-51200d", i))); err != nil {
				t.Fatal(err)
			}
		}
		k := consumer(t, c, in, bus.ConsumeOptions{})
		read := 0
		for last := mine == 0; !last; read++ { // the last one is never dropped
			d := next(t, k)
			last = strings.TrimRight(string(d.Body), " ") == fmt.Sprint(mine-1)
			if err := d.Ack(); err != nil {
				t.Fatal(err)
			}
		}
		flush(t, k)
		gone := uint64(mine - read)
		if s := k.Stats(); !want(gone, s.LostAway) || s.LostUnread != 0 {
			t.Errorf("%s: %d of %d read, %+v", durable, read, mine, s)
		}
		k.Stop()
	}
	exact := func(gone, lost uint64) bool { return lost == gone }
	f("fresh", "all", 0, 0, exact)
	f("near", "all", 10, 0, exact)
	f("far", "new", 60, 0, func(gone, lost uint64) bool { return gone > 0 && lost == gone })
	f("far", "new", 5, 0, exact) // it has caught up, and is told of nothing twice
	f("late", "new", 0, 0, exact)
	f("mixed", "new", 30, 30, func(gone, lost uint64) bool { return gone > 0 && lost > gone })
}

// An event between two batches is no hole for who reads batches only.
func TestEventsAreNoGaps(t *testing.T) {
	b := bustest.New(t)
	c := b.Conn(t, "h1_cpu")
	k := consumer(t, c, input("out"), bus.ConsumeOptions{})
	p := publisher(t, c, bus.PublisherOptions{})
	event := bus.Message{Subject: bus.EventSubject("h1", "cpu", "denied"), Body: []byte("event v=1")}
	for _, m := range []bus.Message{metric("1"), event, event, metric("2")} {
		if err := p.Publish(t.Context(), m); err != nil {
			t.Fatal(err)
		}
	}
	for _, seq := range []string{"/1", "/2"} {
		d := next(t, k)
		if !strings.HasSuffix(d.ID, seq) {
			t.Errorf("id %q, want the end %s", d.ID, seq)
		}
		if err := d.Ack(); err != nil {
			t.Fatal(err)
		}
	}
	if s := k.Stats(); s.LostUnread != 0 {
		t.Errorf("%d batches lost, none was", s.LostUnread)
	}
	if s := streamState(t, c, bus.StreamEvents); s.Messages != 2 {
		t.Errorf("%d events stored, want 2", s.Messages)
	}
}

// Several processes share a durable: each message goes to one of them.
func TestShared(t *testing.T) {
	b := bustest.New(t)
	c := b.Conn(t, "hub")
	const count = 400
	fill(t, c, count)
	if err := c.EnsureConsumer(t.Context(), patient("out")); err != nil {
		t.Fatal(err)
	}
	var mu sync.Mutex
	seen := make(map[string]int)
	ctx, cancel := context.WithTimeout(t.Context(), limit)
	defer cancel()
	var work sync.WaitGroup
	for i := range 2 {
		k, err := b.Conn(t, fmt.Sprintf("h%d_out", i)).Consume(t.Context(), bus.StreamMetrics, "out", bus.ConsumeOptions{Messages: 8})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(k.Stop)
		work.Go(func() {
			for {
				d, err := k.Next(ctx)
				if err != nil {
					return
				}
				mu.Lock()
				seen[string(d.Body)]++
				if len(seen) == count {
					cancel()
				}
				mu.Unlock()
				if err := d.Ack(); err != nil {
					t.Error(err)
				}
			}
		})
	}
	work.Wait()
	if len(seen) != count {
		t.Errorf("%d of %d", len(seen), count)
	}
	for body, n := range seen {
		if n > 1 {
			t.Errorf("%s came %d times", body, n)
		}
	}
}

func TestDead(t *testing.T) {
	b := bustest.New(t)
	c := b.Conn(t, "h1_out")
	p := fill(t, c, 1)
	k := consumer(t, c, input("out"), bus.ConsumeOptions{})
	d := next(t, k)
	if err := p.Dead(t.Context(), d, "out", "out", "status 400: bad\r\nfield", "rejected"); err != nil {
		t.Fatal(err)
	}
	if err := d.Ack(); !errors.Is(err, bus.ErrSettled) {
		t.Errorf("Ack after Dead: %v", err)
	}
	flush(t, k)
	if s := consumerState(t, c, "out"); s.AckPending != 0 {
		t.Errorf("consumer %+v", s)
	}
	in := bus.Input{Stream: bus.StreamDead, Durable: "look", Start: "all"}
	letter := next(t, consumer(t, c, in, bus.ConsumeOptions{}))
	f := func(header, want string) {
		t.Helper()
		if got := letter.Header(header); got != want {
			t.Errorf("%s: %q; want %q", header, got, want)
		}
	}
	if letter.Subject != "pw.dead.out" || string(letter.Body) != "0" || !strings.HasPrefix(letter.ID, "dead/out/1/") {
		t.Errorf("letter %+v", letter)
	}
	f(bus.HeaderReason, "rejected")
	f(bus.HeaderSubject, "pw.metrics.h1.cpu")
	f(bus.HeaderStreamSeq, "1")
	f(bus.HeaderDeliveries, "1")
	f(bus.HeaderSourceID, d.ID)
	if got := letter.Header(bus.HeaderError); len(got) == 0 {
		t.Error("no error text")
	}
	nothing(t, k, 100*time.Millisecond)
}

// Ids are checked for the whole stream: neither another plugin, nor a message of the same number elsewhere, takes the place of a letter.
func TestDeadIsNoDuplicate(t *testing.T) {
	b := bustest.New(t)
	c := b.Conn(t, "h1_out")
	p := fill(t, c, 1)
	evil := publisher(t, b.Conn(t, "h1_evil"), bus.PublisherOptions{Host: "h1", Plugin: "evil"})
	if err := evil.Publish(t.Context(), bus.Message{Subject: bus.DeadSubject("evil"), ID: "dead/out/1"}); err != nil {
		t.Fatal(err)
	}
	if err := p.Publish(t.Context(), bus.Message{Subject: bus.EventSubject("h1", "cpu", "x"), Body: []byte("event")}); err != nil {
		t.Fatal(err)
	}
	events := bus.Input{Stream: bus.StreamEvents, Durable: "out", Start: "all"}
	for _, in := range []bus.Input{input("out"), events} {
		if err := p.Dead(t.Context(), next(t, consumer(t, c, in, bus.ConsumeOptions{})), "out", "out", "no", "rejected"); err != nil {
			t.Fatal(err)
		}
	}
	if got := lettersOf(t, c, "out"); len(got) != 2 {
		t.Errorf("letters %v of a batch and an event, want both", got)
	}
}
