package deliverytest_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/pacewire/pacewire/plugin"
	"github.com/pacewire/pacewire/publisher"
	"github.com/pacewire/pacewire/publisher/deliverytest"
	"github.com/pacewire/pacewire/telemetry"
)

// A server keeps the points that are posted to it, as line protocol.
type server struct {
	mu     sync.Mutex
	away   bool
	refuse string
	limit  int
	got    []telemetry.Point
}

func (s *server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	text, err := io.ReadAll(r.Body)
	var b telemetry.Batch
	if err == nil {
		err = b.DecodeLines(text, b.Time())
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case err != nil:
		http.Error(w, err.Error(), http.StatusBadRequest)
	case s.away:
		http.Error(w, "away", http.StatusServiceUnavailable)
	case s.limit > 0 && b.Len() > s.limit:
		http.Error(w, "too large", http.StatusRequestEntityTooLarge)
	case s.refuse != "" && bytes.Contains(text, []byte(s.refuse)):
		http.Error(w, "no such series", http.StatusBadRequest)
	default:
		for p := range b.Points() {
			s.got = append(s.got, p)
		}
		w.WriteHeader(http.StatusNoContent)
	}
}

func (s *server) set(edit func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	edit()
}

type config struct {
	URL string `json:"url" jsonschema:"where to post"`
}

// poster is a publisher that posts lines.
type poster struct{ url string }

func (p poster) Publish(ctx context.Context, in *telemetry.Batch) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, p.url, bytes.NewReader(in.AppendLines(nil)))
	if err != nil {
		return err
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	return publisher.Verdict(resp)
}

func define(change func(publisher.Publisher) publisher.Publisher) plugin.Definition {
	return publisher.Define(publisher.Spec[config]{
		Program: "poster", Summary: "Posts.",
		New: func(_ context.Context, c config, _ plugin.Env) (publisher.Publisher, error) {
			if c.URL == "" {
				return nil, errors.New("no url")
			}
			return change(poster{c.URL}), nil
		},
	})
}

func open(t *testing.T) deliverytest.Sink {
	s := &server{}
	web := httptest.NewServer(s)
	t.Cleanup(web.Close)
	return deliverytest.Sink{
		Settings: fmt.Sprintf(`{"url": %q}`, web.URL),
		ReadBack: func(testing.TB) []telemetry.Point {
			s.mu.Lock()
			defer s.mu.Unlock()
			return slices.Clone(s.got)
		},
		Away:   func(away bool) { s.set(func() { s.away = away }) },
		Refuse: func(series string) { s.set(func() { s.refuse = series }) },
		Limit:  func(points int) { s.set(func() { s.limit = points }) },
	}
}

func TestHonest(t *testing.T) {
	deliverytest.Run(t, define(func(p publisher.Publisher) publisher.Publisher { return p }), open)
}

// liars are publishers that break a promise, and what is to be said about each.
var liars = map[string]struct {
	publish func(p publisher.Publisher, ctx context.Context, in *telemetry.Batch) error
	says    string
}{
	"loses": {func(publisher.Publisher, context.Context, *telemetry.Batch) error {
		return nil
	}, "points are lost"},
	"repeats": {func(p publisher.Publisher, ctx context.Context, in *telemetry.Batch) error {
		return errors.Join(p.Publish(ctx, in), p.Publish(ctx, in))
	}, "came 2 times"},
	"mangles": {func(p publisher.Publisher, ctx context.Context, in *telemetry.Batch) error {
		for g := range in.Groups() {
			g.DropTag("k")
		}
		return p.Publish(ctx, in)
	}, "came as"},
	"gives up": {func(p publisher.Publisher, ctx context.Context, in *telemetry.Batch) error {
		if err := p.Publish(ctx, in); err != nil && !errors.Is(err, plugin.ErrTooLarge) {
			return plugin.Permanent(err)
		}
		return nil
	}, "dead letters hold the points"},
}

type liar struct {
	publisher.Publisher
	publish func(p publisher.Publisher, ctx context.Context, in *telemetry.Batch) error
}

func (l liar) Publish(ctx context.Context, in *telemetry.Batch) error {
	return l.publish(l.Publisher, ctx, in)
}

const liarVariable = "PACEWIRE_TEST_LIAR"

// TestLiar checks that the test finds publishers that lie. It runs itself again for each of them, where it is to fail.
func TestLiar(t *testing.T) {
	if name := os.Getenv(liarVariable); name != "" {
		deliverytest.Run(t, define(func(p publisher.Publisher) publisher.Publisher { return liar{p, liars[name].publish} }), open)
		return
	}
	for name, l := range liars {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := exec.Command(os.Args[0], "-test.run=^TestLiar$", "-test.timeout=5m", "-test.failfast")
			c.Env = append(os.Environ(), liarVariable+"="+name)
			if out, err := c.CombinedOutput(); err == nil || !strings.Contains(string(out), l.says) {
				t.Errorf("%v, %s; want %q", err, out, l.says)
			}
		})
	}
}
