package plugin

import (
	"context"
	"io"
	"log/slog"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/pacewire/pacewire/telemetry"
)

// A fakeLink is a bus in memory: what is sent waits until the test stores it, unless it is stored at once.
type fakeLink struct {
	mu      sync.Mutex
	sent    []message
	points  int
	waiting []func(error)
	hold    bool // keep what is sent waiting
	inputs  map[string]*fakeSource
}

func (l *fakeLink) send(_ context.Context, m message, done func(error)) error {
	l.mu.Lock()
	m.body = append([]byte{}, m.body...)
	l.sent = append(l.sent, m)
	var b telemetry.Batch
	if err := b.DecodeMsgPack(m.body); err != nil {
		panic(err)
	}
	l.points += b.Len()
	hold := l.hold
	if hold {
		l.waiting = append(l.waiting, done)
	}
	l.mu.Unlock()
	if !hold {
		done(nil)
	}
	return nil
}

// store ends the wait of everything that was sent, with err.
func (l *fakeLink) store(err error) {
	l.mu.Lock()
	waiting := l.waiting
	l.waiting = nil
	l.mu.Unlock()
	for _, done := range waiting {
		done(err)
	}
}

func (l *fakeLink) messages() []message {
	l.mu.Lock()
	defer l.mu.Unlock()
	return append([]message{}, l.sent...)
}

func (l *fakeLink) flush(context.Context) error { return nil }

func (l *fakeLink) data(telemetry.PluginData) error { return nil }

func (l *fakeLink) read(_ context.Context, in telemetry.Input) (source, error) {
	return l.inputs[in.Durable], nil
}

// A fakeSource gives some deliveries. At their end it blocks, or says that there are no more.
type fakeSource struct {
	mu      sync.Mutex
	waiting []*delivery
	ends    bool
	claims  int // how many wait besides, as a bus claims that counts messages of its own
	closed  bool
}

func (s *fakeSource) next(ctx context.Context) (*delivery, error) {
	s.mu.Lock()
	if len(s.waiting) > 0 {
		d := s.waiting[0]
		s.waiting = s.waiting[1:]
		s.mu.Unlock()
		return d, nil
	}
	s.mu.Unlock()
	if s.ends {
		return nil, io.EOF
	}
	<-ctx.Done()
	return nil, ctx.Err()
}

func (s *fakeSource) ready() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.waiting) + s.claims
}

func (s *fakeSource) close(context.Context) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.closed = true
	return nil
}

// A fate is what became of a delivery.
type fate struct {
	mu     sync.Mutex
	acked  int
	back   int
	buried []string // codes
	parts  []letter
}

// A letter is what was put into the dead letters.
type letter struct {
	part int
	body []byte
}

func (f *fate) ack() { f.mu.Lock(); f.acked++; f.mu.Unlock() }

func (f *fate) again(time.Duration) { f.mu.Lock(); f.back++; f.mu.Unlock() }

func (f *fate) bury(_ context.Context, body []byte, part int, code string, _ error) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.parts = append(f.parts, letter{part, body})
	f.buried = append(f.buried, code)
	return nil
}

func (f *fate) counts() (acked, back, buried int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.acked, f.back, len(f.buried)
}

// gives returns a source of n deliveries with so many points each, and their fates.
func gives(n, points int) (*fakeSource, []*fate) {
	s := &fakeSource{}
	var fates []*fate
	for i := range n {
		var b telemetry.Batch
		for j := range points {
			b.Add("s", telemetry.Fields{"n": i*points + j}, nil)
		}
		f := &fate{}
		fates = append(fates, f)
		s.waiting = append(s.waiting, &delivery{
			host: "web-1", plugin: "src", id: "id" + strconv.Itoa(i), body: b.AppendMsgPack(nil), stored: time.Now(),
			seq: uint64(i + 1), deliveries: 1, settler: f,
		})
	}
	return s, fates
}

// A fakeStatus keeps what a session says about itself.
type fakeStatus struct {
	mu     sync.Mutex
	said   []string
	alarms []error
	hangs  bool
}

func (s *fakeStatus) say(what string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.said = append(s.said, what)
}

func (s *fakeStatus) running()   { s.say("running") }
func (s *fakeStatus) ready(bool) { s.say("ready") }
func (s *fakeStatus) idle(error) { s.say("idle") }
func (s *fakeStatus) hung(hangs bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.hangs = hangs
}

func (s *fakeStatus) failing(fails bool) {
	if fails {
		s.say("failing")
	} else {
		s.say("well")
	}
}

func (s *fakeStatus) alarm(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.alarms = append(s.alarms, err)
}

func (s *fakeStatus) keeps(*facts) { s.say("facts") }

func (s *fakeStatus) isHung() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.hangs
}

// fakeSession returns a session on l that reads every input l has.
func fakeSession(t *testing.T, l *fakeLink) (*Session, *fakeStatus) {
	t.Helper()
	status := &fakeStatus{}
	s := &Session{
		link: l, count: &counters{}, life: t.Context(), suspect: remember(""), status: status, refresh: make(chan refreshOrder, 1),
		log: slog.New(slog.NewTextHandler(t.Output(), nil)),
		Env: Env{Host: "web-1", Name: "test"},
	}
	for name := range l.inputs {
		s.work.Inputs = append(s.work.Inputs, telemetry.Input{Durable: name})
	}
	return s, status
}
