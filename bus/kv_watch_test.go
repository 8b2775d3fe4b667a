package bus_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/pacewire/pacewire/bus"
	"github.com/pacewire/pacewire/bus/bustest"
	"github.com/pacewire/pacewire/bus/embedded"
)

// following is a Watch whose calls are told as text: "h1=one", "h1 gone", "ready".
type following struct {
	calls chan string
	end   chan error
	stop  context.CancelFunc
}

func follow(t testing.TB, k *bus.Bucket, pattern string) *following {
	t.Helper()
	f := &following{calls: make(chan string, 1024), end: make(chan error, 1)}
	var ctx context.Context
	ctx, f.stop = context.WithCancel(t.Context())
	t.Cleanup(f.stop)
	told := func(v bus.KV) error {
		if v.Deleted {
			f.calls <- v.Key + " gone"
		} else {
			f.calls <- v.Key + "=" + string(v.Value)
		}
		return nil
	}
	go func() { f.end <- k.Watch(ctx, pattern, told, func() { f.calls <- "ready" }) }()
	return f
}

func (f *following) wants(t testing.TB, want ...string) {
	t.Helper()
	for _, one := range want {
		select {
		case got := <-f.calls:
			if got != one {
				t.Fatalf("heard %q; want %q", got, one)
			}
		case err := <-f.end:
			t.Fatalf("watch ended with %v; want %q", err, one)
		case <-time.After(limit):
			t.Fatalf("heard nothing; want %q", one)
		}
	}
}

func (f *following) ends(t testing.TB, want error) {
	t.Helper()
	select {
	case err := <-f.end:
		wantErr(t, "watch", err, want)
	case <-time.After(limit):
		t.Fatalf("watch goes on; want %v", want)
	}
	if len(f.calls) != 0 {
		t.Errorf("besides, heard %q", <-f.calls)
	}
}

func TestWatch(t *testing.T) {
	k := bucket(t, bustest.Bare(t, embedded.Options{}).Conn(t, bus.Hub), bus.BucketSettings{})
	none := follow(t, k, ">")
	none.wants(t, "ready")
	put(t, k, "h1.cpu", "1")
	put(t, k, "h2.cpu", "2")
	none.wants(t, "h1.cpu=1", "h2.cpu=2") // a value that is overwritten before it is heard is not heard
	put(t, k, "h1.cpu", "3")
	put(t, k, "h3", "4")
	if err := k.Delete(t.Context(), "h2.cpu", 0); err != nil {
		t.Fatal(err)
	}
	none.wants(t, "h1.cpu=3", "h3=4", "h2.cpu gone")
	some := follow(t, k, "h1.>")
	some.wants(t, "h1.cpu=3", "ready")
	tokens := follow(t, k, "*.cpu")
	tokens.wants(t, "h1.cpu=3", "ready") // not what was deleted before
	one := follow(t, k, "h2.cpu")
	one.wants(t, "ready")
	if err := k.Delete(t.Context(), "h1.cpu", 0); err != nil {
		t.Fatal(err)
	}
	put(t, k, "h2.cpu", "5")
	some.wants(t, "h1.cpu gone")
	one.wants(t, "h2.cpu=5")
	tokens.wants(t, "h1.cpu gone", "h2.cpu=5")
	for _, f := range []*following{some, tokens, one} {
		f.stop()
		f.ends(t, nil)
	}
}

func TestWatchEndsWithItsCaller(t *testing.T) {
	k := bucket(t, bustest.Bare(t, embedded.Options{}).Conn(t, bus.Hub), bus.BucketSettings{})
	put(t, k, "h1", "1")
	put(t, k, "h2", "2")
	enough, calls := errors.New("enough"), 0
	err := k.Watch(t.Context(), ">", func(bus.KV) error { calls++; return enough }, func() { t.Error("ready") })
	if !errors.Is(err, enough) || calls != 1 {
		t.Errorf("%v after %d calls", err, calls)
	}
}

// What changes while the bus is away is heard when it is back, deletions too, and ready is called once.
func TestWatchOverRestart(t *testing.T) {
	b := bustest.Bare(t, embedded.Options{})
	k := bucket(t, b.Conn(t, bus.Hub), bus.BucketSettings{})
	put(t, k, "h1", "1")
	put(t, k, "h2", "2")
	put(t, k, "h3", "3")
	f := follow(t, k, ">")
	f.wants(t, "h1=1", "h2=2", "h3=3", "ready")
	for round := range 3 {
		b.Restart(t)
		other, err := b.Conn(t, "other").Bucket(t.Context(), k.Name())
		if err != nil {
			t.Fatal(err)
		}
		put(t, other, "h1", fmt.Sprint(round))
		put(t, other, "h2", fmt.Sprint(round))
		if err := other.Delete(t.Context(), "h3", 0); err != nil {
			t.Fatal(err)
		}
		f.wants(t, fmt.Sprint("h1=", round), fmt.Sprint("h2=", round), "h3 gone")
	}
	f.stop()
	f.ends(t, nil)
}

// A consumer that somebody deletes is replaced, and nothing is missed.
func TestWatchWithoutItsConsumer(t *testing.T) {
	b := bustest.Bare(t, embedded.Options{})
	k := bucket(t, b.Conn(t, bus.Hub), bus.BucketSettings{})
	f := follow(t, k, ">")
	f.wants(t, "ready")
	js, err := jetstream.New(raw(t, b))
	if err != nil {
		t.Fatal(err)
	}
	stream, err := js.Stream(t.Context(), "KV_HOSTS")
	if err != nil {
		t.Fatal(err)
	}
	names := stream.ConsumerNames(t.Context())
	for name := range names.Name() {
		if err := stream.DeleteConsumer(t.Context(), name); err != nil {
			t.Fatal(err)
		}
	}
	put(t, k, "h1", "1")
	f.wants(t, "h1=1")
}

func TestWatchOfWhatVanishes(t *testing.T) {
	b := bustest.Bare(t, embedded.Options{})
	c := b.Conn(t, bus.Hub)
	inMemory := bus.BucketSettings{Name: bus.BucketHub, Memory: true}
	k := bucket(t, c, inMemory)
	put(t, k, "voice", "a")
	f := follow(t, k, ">")
	f.wants(t, "voice=a", "ready")
	b.Restart(t)
	f.ends(t, bus.ErrNoStream)

	// Another hub may have made it again before this one looks.
	k = bucket(t, c, inMemory)
	f = follow(t, k, ">")
	f.wants(t, "ready")
	js, err := jetstream.New(raw(t, b))
	if err != nil {
		t.Fatal(err)
	}
	if err := js.DeleteKeyValue(t.Context(), bus.BucketHub); err != nil {
		t.Fatal(err)
	}
	again := bucket(t, c, inMemory)
	f.ends(t, bus.ErrNoStream)
	wantErr(t, "watch of the old one", k.Watch(t.Context(), ">", nil, nil), bus.ErrNoStream)

	f = follow(t, again, ">")
	f.wants(t, "ready")
	if err := js.DeleteKeyValue(t.Context(), bus.BucketHub); err != nil {
		t.Fatal(err)
	}
	f.ends(t, bus.ErrNoStream)
}

// A store that is put back to a state of before lacks what was heard already, and would give revisions a second time.
func TestWatchOfStorePutBack(t *testing.T) {
	b := bustest.Bare(t, embedded.Options{})
	c := b.Conn(t, bus.Hub)
	k := bucket(t, c, bus.BucketSettings{})
	put(t, k, "h1", "1")
	b.Stop(t)
	before := t.TempDir()
	if err := os.CopyFS(before, os.DirFS(b.Dir)); err != nil {
		t.Fatal(err)
	}
	b.Start(t)
	f := follow(t, k, ">")
	f.wants(t, "h1=1", "ready")
	other := follow(t, k, "h1")
	other.wants(t, "h1=1", "ready")
	put(t, k, "h2", "2")
	f.wants(t, "h2=2")
	b.Stop(t)
	if err := errors.Join(os.RemoveAll(b.Dir), os.CopyFS(b.Dir, os.DirFS(before))); err != nil {
		t.Fatal(err)
	}
	b.Start(t)
	f.ends(t, bus.ErrNoStream)
	other.ends(t, bus.ErrNoStream) // it has not read h2, but that was acknowledged here
	follow(t, bucket(t, c, bus.BucketSettings{}), ">").wants(t, "h1=1", "ready")
}

func TestWatchOfClosedConn(t *testing.T) {
	b := bustest.Bare(t, embedded.Options{})
	c := b.Conn(t, bus.Hub)
	f := follow(t, bucket(t, c, bus.BucketSettings{}), ">")
	f.wants(t, "ready")
	c.Close()
	f.ends(t, bus.ErrClosed)
}

// Deletions are remembered for a day; a watch that was away for longer could not know of them.
func TestWatchThatWasAwayTooLong(t *testing.T) {
	b := bustest.Bare(t, embedded.Options{})
	away := make(chan error, 10) // more than there are
	k := bucket(t, b.Dial(t, bus.Options{User: bus.Hub, OnDisconnect: func(err error) { away <- err }}), bus.BucketSettings{})
	bus.RememberDeletions(k, time.Second)
	put(t, k, "h1", "1")
	f := follow(t, k, ">")
	f.wants(t, "h1=1", "ready")
	b.Stop(t)
	if err := <-away; err == nil {
		t.Error("the bus went away without an error")
	}
	time.Sleep(1100 * time.Millisecond) // the span itself is what is tested
	b.Start(t)
	f.ends(t, bus.ErrDisconnected)
}

// A marker goes when its time has come, and takes nothing with it.
func TestMarkersEnd(t *testing.T) {
	c := bustest.Bare(t, embedded.Options{}).Conn(t, bus.Hub)
	k := bucket(t, c, bus.BucketSettings{})
	bus.RememberDeletions(k, time.Second)
	put(t, k, "h1", "1")
	put(t, k, "h2", "2")
	if err := k.Delete(t.Context(), "h1", 0); err != nil {
		t.Fatal(err)
	}
	bustest.Wait(t, limit, "the marker's end", func() bool { return streamState(t, c, "KV_HOSTS").Messages == 1 })
	if _, err := k.Update(t.Context(), "h1", []byte("3"), 0); err != nil {
		t.Error(err)
	}
	follow(t, k, ">").wants(t, "h2=2", "h1=3", "ready")
}

// Values written while a watch loads are heard once at least, and the last one last.
func TestWatchWhileWritten(t *testing.T) {
	b := bustest.Bare(t, embedded.Options{})
	k := bucket(t, b.Conn(t, bus.Hub), bus.BucketSettings{})
	const keys, rounds = 50, 20
	for i := range keys {
		put(t, k, fmt.Sprint("k", i), "0")
	}
	written := make(chan error, 1)
	go func() {
		for i := range keys * rounds {
			if _, err := k.Put(context.Background(), fmt.Sprint("k", i%keys), fmt.Append(nil, i)); err != nil {
				written <- err
				return
			}
		}
		written <- nil
	}()
	f, last, ready := follow(t, k, ">"), make(map[string]string), 0
	for last[fmt.Sprint("k", keys-1)] != fmt.Sprint(keys*rounds-1) {
		select {
		case call := <-f.calls:
			key, value, is := strings.Cut(call, "=")
			if !is {
				ready++
				continue
			}
			last[key] = value
		case <-time.After(limit):
			t.Fatal("nothing more is heard")
		}
	}
	if err := <-written; err != nil {
		t.Fatal(err)
	}
	for i := range keys {
		if want := fmt.Sprint(keys*(rounds-1) + i); last[fmt.Sprint("k", i)] != want {
			t.Errorf("k%d is %s; want %s", i, last[fmt.Sprint("k", i)], want)
		}
	}
	if ready != 1 {
		t.Errorf("ready %d times", ready)
	}
}
