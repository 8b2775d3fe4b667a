package bus_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/pacewire/pacewire/bus"
	"github.com/pacewire/pacewire/bus/bustest"
	"github.com/pacewire/pacewire/bus/embedded"
)

func bucket(t testing.TB, c *bus.Conn, s bus.BucketSettings) *bus.Bucket {
	t.Helper()
	if s.Name == "" {
		s.Name = bus.BucketHosts
	}
	k, err := c.EnsureBucket(t.Context(), s)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func put(t testing.TB, k *bus.Bucket, key, value string) uint64 {
	t.Helper()
	revision, err := k.Put(t.Context(), key, []byte(value))
	if err != nil {
		t.Fatal(err)
	}
	return revision
}

func wantErr(t testing.TB, what string, err, want error) {
	t.Helper()
	if !errors.Is(err, want) {
		t.Errorf("%s: %v; want %v", what, err, want)
	}
}

func TestBucket(t *testing.T) {
	b := bustest.Bare(t, embedded.Options{})
	c := b.Conn(t, bus.Hub)
	before := time.Now().Add(-time.Second)
	k := bucket(t, c, bus.BucketSettings{})
	_, err := k.Get(t.Context(), "h1")
	wantErr(t, "get nothing", err, bus.ErrNoKey)
	revision := put(t, k, "h1.cpu", "one")
	v, err := k.Get(t.Context(), "h1.cpu")
	if err != nil || v.Key != "h1.cpu" || string(v.Value) != "one" || v.Revision != revision || v.Deleted {
		t.Errorf("got %+v, %v", v, err)
	}
	if v.Written.Before(before) || v.Written.After(time.Now().Add(time.Second)) {
		t.Errorf("written %v", v.Written)
	}
	if last := put(t, k, "h1.cpu", "two"); last <= revision {
		t.Errorf("revision %d after %d", last, revision)
	}
	if err := k.Delete(t.Context(), "h1.cpu", 0); err != nil {
		t.Error(err)
	}
	_, err = k.Get(t.Context(), "h1.cpu")
	wantErr(t, "get what was deleted", err, bus.ErrNoKey)
	if err := k.Delete(t.Context(), "never", 0); err != nil {
		t.Errorf("delete nothing: %v", err)
	}
	if s := streamState(t, c, "KV_HOSTS"); s.Messages != 2 { // two markers
		t.Errorf("%d messages", s.Messages)
	}
	same, err := b.Conn(t, "other").Bucket(t.Context(), k.Name())
	if err != nil {
		t.Fatal(err)
	}
	put(t, k, "h2", "")
	if v, err := same.Get(t.Context(), "h2"); err != nil || len(v.Value) != 0 {
		t.Errorf("empty value: %+v, %v", v, err)
	}
}

func TestCompareAndSet(t *testing.T) {
	k := bucket(t, bustest.Bare(t, embedded.Options{}).Conn(t, bus.Hub), bus.BucketSettings{})
	update := func(what string, last uint64, want error) uint64 {
		t.Helper()
		revision, err := k.Update(t.Context(), "h1", []byte(what), last)
		wantErr(t, what, err, want)
		return revision
	}
	first := update("make", 0, nil)
	update("make again", 0, bus.ErrConflict)
	second := update("change", first, nil)
	update("late change", first, bus.ErrConflict)
	wantErr(t, "late delete", k.Delete(t.Context(), "h1", first), bus.ErrConflict)
	wantErr(t, "delete", k.Delete(t.Context(), "h1", second), nil)
	update("change of what is gone", second, bus.ErrConflict)
	third := update("make after delete", 0, nil)
	if v, err := k.Get(t.Context(), "h1"); err != nil || v.Revision != third || string(v.Value) != "make after delete" {
		t.Errorf("in the end %+v, %v", v, err)
	}
}

// Of many who want to be first just one is, each time.
func TestCompareAndSetRace(t *testing.T) {
	b := bustest.Bare(t, embedded.Options{})
	k := bucket(t, b.Conn(t, bus.Hub), bus.BucketSettings{Name: bus.BucketHub, Memory: true})
	const rivals, rounds = 4, 25
	won := make(chan error)
	for range rivals {
		rival, err := b.Conn(t, "rival").Bucket(t.Context(), bus.BucketHub)
		if err != nil {
			t.Fatal(err)
		}
		go func() {
			for range rounds {
				won <- increase(t.Context(), rival)
			}
		}()
	}
	for range rivals * rounds {
		if err := <-won; err != nil {
			t.Fatal(err)
		}
	}
	if v, err := k.Get(t.Context(), "count"); err != nil || string(v.Value) != fmt.Sprint(rivals*rounds) {
		t.Errorf("counted to %s, %v", v.Value, err)
	}
}

// increase counts one further, however often somebody else is first.
func increase(ctx context.Context, k *bus.Bucket) error {
	for {
		v, err := k.Get(ctx, "count")
		if err != nil && !errors.Is(err, bus.ErrNoKey) {
			return err
		}
		count := 0
		_, _ = fmt.Sscan(string(v.Value), &count)
		if _, err = k.Update(ctx, "count", fmt.Append(nil, count+1), v.Revision); !errors.Is(err, bus.ErrConflict) {
			return err
		}
	}
}

// A value that expires is gone for Get, for Update and, with a marker, for Watch.
func TestExpiry(t *testing.T) {
	t.Parallel() // it waits
	b := bustest.Bare(t, embedded.Options{})
	k := bucket(t, b.Conn(t, bus.Hub), bus.BucketSettings{Name: bus.BucketHub, Memory: true, TTL: 3 * time.Second})
	f := follow(t, k, ">")
	f.wants(t, "ready")
	revision := put(t, k, "voice", "a")
	f.wants(t, "voice=a", "voice gone")
	_, err := k.Get(t.Context(), "voice")
	wantErr(t, "get", err, bus.ErrNoKey)
	_, err = k.Update(t.Context(), "voice", []byte("a"), revision)
	wantErr(t, "renew", err, bus.ErrConflict)
	if _, err := k.Update(t.Context(), "voice", []byte("b"), 0); err != nil {
		t.Errorf("make again: %v", err)
	}
	f.wants(t, "voice=b", "voice gone")
}

func TestKeys(t *testing.T) {
	f := func(want string, parts ...string) {
		t.Helper()
		key := bus.Key(parts...)
		if key != want {
			t.Errorf("key %q; want %q", key, want)
		}
		if back, err := bus.SplitKey(key); err != nil || !slices.Equal(back, parts) {
			t.Errorf("%q back: %q, %v", key, back, err)
		}
	}
	f("web-1", "web-1")
	f("web-1=2Ede.cpu.info", "web-1.de", "cpu", "info")
	f("=.=2A.=3E", "", "*", ">")

	k := bucket(t, bustest.Bare(t, embedded.Options{}).Conn(t, bus.Hub), bus.BucketSettings{})
	long := strings.Repeat("h", 64)
	for _, key := range []string{"", ".", "a.", ".a", "a..b", "a b", "*", "a.>", "a/b", "a=2e", "ä", strings.Join([]string{long, long, long, long}, ".")} {
		_, err := k.Put(t.Context(), key, nil)
		wantErr(t, fmt.Sprintf("put %q", key), err, bus.ErrBadToken)
		_, err = k.Update(t.Context(), key, nil, 0)
		wantErr(t, fmt.Sprintf("update %q", key), err, bus.ErrBadToken)
		_, err = k.Get(t.Context(), key)
		wantErr(t, fmt.Sprintf("get %q", key), err, bus.ErrBadToken)
		wantErr(t, fmt.Sprintf("delete %q", key), k.Delete(t.Context(), key, 0), bus.ErrBadToken)
	}
	for _, pattern := range []string{"", "a>", ">.a", "a..*", "a*", "a.>.>", "."} {
		err := k.Watch(t.Context(), pattern, nil, nil)
		wantErr(t, fmt.Sprintf("watch %q", pattern), err, bus.ErrBadToken)
	}
	if _, err := k.Put(t.Context(), bus.Key(strings.Repeat("x.", 100), long, long), nil); err != nil {
		t.Errorf("three long parts: %v", err)
	}
}

func TestNoBucket(t *testing.T) {
	b := bustest.Bare(t, embedded.Options{})
	ups := make(chan struct{}, 10) // more than there are
	c := b.Dial(t, bus.Options{User: bus.Hub, OnConnect: func() { ups <- struct{}{} }})
	<-ups
	_, err := c.Bucket(t.Context(), "NONE")
	wantErr(t, "open", err, bus.ErrNoStream)
	_, err = c.EnsureBucket(t.Context(), bus.BucketSettings{Name: "a.b"})
	if err == nil || !strings.Contains(err.Error(), `"a.b"`) {
		t.Errorf("bad name: %v", err)
	}
	k := bucket(t, c, bus.BucketSettings{Name: bus.BucketHub, Memory: true})
	put(t, k, "voice", "a")
	b.Restart(t)
	<-ups // before that it may believe that the first server is there
	_, err = k.Get(t.Context(), "voice")
	wantErr(t, "get from what is gone", err, bus.ErrNoStream)
	_, err = k.Put(t.Context(), "voice", nil)
	wantErr(t, "put into what is gone", err, bus.ErrNoStream)
	_, err = k.Update(t.Context(), "voice", nil, 0)
	wantErr(t, "update of what is gone", err, bus.ErrNoStream)
	b.Stop(t)
	bustest.Wait(t, limit, "no bus", func() bool { return !c.Connected() })
	_, err = k.Put(t.Context(), "voice", nil)
	wantErr(t, "put without a bus", err, bus.ErrDisconnected)
}

// A bucket that exists takes new settings, and keeps its values.
func TestEnsureBucketAgain(t *testing.T) {
	b := bustest.Bare(t, embedded.Options{})
	c := b.Conn(t, bus.Hub)
	k := bucket(t, c, bus.BucketSettings{MaxBytes: 1 << 20})
	put(t, k, "h1", "one")
	k = bucket(t, c, bus.BucketSettings{MaxBytes: 2 << 20, TTL: time.Hour})
	if v, err := k.Get(t.Context(), "h1"); err != nil || string(v.Value) != "one" {
		t.Errorf("after the change: %+v, %v", v, err)
	}
	if s := streamState(t, c, "KV_HOSTS"); s.MaxBytes != 2<<20 {
		t.Errorf("%d bytes at most", s.MaxBytes)
	}
	bucket(t, c, bus.BucketSettings{MaxBytes: 1 << 20})
	_, err := c.EnsureBucket(t.Context(), bus.BucketSettings{Name: bus.BucketHosts, Memory: true})
	if err == nil || !strings.Contains(err.Error(), "storage type") {
		t.Errorf("from disk to memory: %v", err)
	}
}

// A full bucket says so; what it has can still be changed and deleted.
func TestFullBucket(t *testing.T) {
	c := bustest.Bare(t, embedded.Options{}).Conn(t, bus.Hub)
	k := bucket(t, c, bus.BucketSettings{MaxBytes: 256 << 10})
	var err error
	large := make([]byte, 100<<10)
	for size := len(large); size > 0; size /= 2 { // until not even one byte has room
		for i := 0; err == nil; i++ {
			_, err = k.Put(t.Context(), fmt.Sprintf("%d-%d", size, i), large[:size])
		}
		wantErr(t, fmt.Sprint("put ", size), err, bus.ErrFull)
		err = nil
	}
	_, err = k.Put(t.Context(), "one-more", large)
	wantErr(t, "put above the limit", err, bus.ErrFull)
	_, err = k.Update(t.Context(), "new", large, 0)
	wantErr(t, "update above the limit", err, bus.ErrFull)
	put(t, k, "102400-0", "less")
	if err := k.Delete(t.Context(), "102400-1", 0); err != nil {
		t.Error(err)
	}
	if _, err := k.Update(t.Context(), "new", large[:100<<10-100], 0); err != nil {
		t.Errorf("with room again: %v", err)
	}
	_, err = k.Put(t.Context(), "huge", make([]byte, 2<<20))
	wantErr(t, "put more than a message takes", err, bus.ErrTooLarge)
}

// Buckets leave the streams their room, whichever comes first, and take what there is.
func TestBucketsAndStreamsShareTheStore(t *testing.T) {
	const store = 64 << 20
	streams := bus.DefaultStreams()
	streams.Store = store
	sizes := map[string]int64{bus.BucketHosts: 128 << 20, bus.BucketInventory: 512 << 20, bus.BucketState: 1 << 20}
	f := func(known int64) {
		t.Helper()
		c := bustest.Bare(t, embedded.Options{MaxStore: store}).Conn(t, bus.Hub)
		for range 2 {
			if err := c.EnsureStreams(t.Context(), streams); err != nil {
				t.Fatalf("store %d: %v", known, err)
			}
			metrics := streamState(t, c, bus.StreamMetrics).MaxBytes
			for name, size := range sizes {
				bucket(t, c, bus.BucketSettings{Name: name, Store: known, MaxBytes: size})
				put(t, bucket(t, c, bus.BucketSettings{Name: name, Store: known}), "key", "value")
			}
			if m := streamState(t, c, bus.StreamMetrics).MaxBytes; m != metrics || m < store/2 {
				t.Errorf("store %d: METRICS has %d, had %d", known, m, metrics)
			}
		}
	}
	f(store)
	f(0)

	c := bustest.Bare(t, embedded.Options{MaxStore: store}).Conn(t, bus.Hub)
	for name, size := range sizes {
		bucket(t, c, bus.BucketSettings{Name: name, Store: store, MaxBytes: size})
	}
	if err := c.EnsureStreams(t.Context(), streams); err != nil {
		t.Errorf("streams after buckets: %v", err)
	}
	if m := streamState(t, c, bus.StreamMetrics).MaxBytes; m < store/2 {
		t.Errorf("METRICS has %d", m)
	}
}
