package conform

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/pacewire/pacewire/bus"
	"github.com/pacewire/pacewire/bus/embedded"
	"github.com/pacewire/pacewire/telemetry"
)

// hostName is what the machine is called for the plugin: its token is another text, and so is its part of a user.
const hostName = "kit_1.example"

// A ground is a private bus with an agent that plays for the plugins on it.
type ground struct {
	dir   string
	opts  embedded.Options
	users *embedded.Users
	conn  *bus.Conn
	out   *bus.Publisher
	tap   context.CancelFunc
	taps  sync.WaitGroup

	mu         sync.Mutex
	server     *embedded.Server
	wards      map[string]*ward // by the tokens of their names
	violations []string         // what the server says of who used a subject without the right to
	metrics    []bus.Tapped     // all that the stream has
}

const startWait = 30 * time.Second

// newGround starts a bus below dir.
func newGround(ctx context.Context, dir string) (*ground, error) {
	g := &ground{dir: dir, users: new(embedded.Users), wards: map[string]*ward{}}
	g.opts = embedded.Options{Dir: filepath.Join(dir, "store"), Listen: "127.0.0.1:0", Sync: "2m", Users: g.users, Log: slog.New(&violationLog{ground: g})}
	err := g.start(ctx)
	if err == nil {
		err = g.play(ctx)
	}
	if err != nil {
		g.close()
		return nil, fmt.Errorf("private bus: %w", err)
	}
	return g, nil
}

// start starts the server, the next time on the same port and with the same store.
func (g *ground) start(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, startWait)
	defer cancel()
	s, err := embedded.Start(ctx, g.opts)
	if err != nil {
		return err
	}
	g.mu.Lock()
	g.server, g.opts.Listen = s, strings.TrimPrefix(s.URL(), "nats://")
	g.mu.Unlock()
	return nil
}

// startAgain starts the server, and waits until the agent is back.
func (g *ground) startAgain(ctx context.Context) error {
	if err := g.start(ctx); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, startWait)
	defer cancel()
	for g.conn.Flush(ctx) != nil {
		if ctx.Err() != nil {
			return fmt.Errorf("the agent does not come back: %w", ctx.Err())
		}
		pause(ctx, 20*time.Millisecond)
	}
	return nil
}

// stop stops the server.
func (g *ground) stop() {
	g.mu.Lock()
	s := g.server
	g.server = nil
	g.mu.Unlock()
	if s != nil {
		s.Shutdown()
	}
}

func (g *ground) url() string { return "nats://" + g.opts.Listen }

// play connects the agent, makes the streams and listens.
func (g *ground) play(ctx context.Context) error {
	creds, err := g.grant("agent", bus.User(hostName, bus.Agent), nil)
	if err != nil {
		return err
	}
	g.conn, err = bus.Dial(ctx, bus.Options{URL: g.url(), User: bus.User(hostName, bus.Agent), CredsFile: creds, NoEcho: true, Wait: startWait})
	if err != nil {
		return err
	}
	s := bus.DefaultStreams()
	s.MetricsMaxBytes, s.EventsMaxBytes, s.DeadMaxBytes = 64<<20, 8<<20, 16<<20
	if err := g.conn.EnsureStreams(ctx, s); err != nil {
		return err
	}
	if g.out, err = bus.NewPublisher(g.conn, bus.PublisherOptions{Host: hostName, Plugin: source}); err != nil {
		return err
	}
	as := func(body []byte) ([]byte, error) { return body, nil }
	_, err = bus.Handle(g.conn, bus.Pattern(bus.AreaBeat, bus.Name(hostName), bus.Any, bus.HTB), bus.Rules{}, as,
		func(_ context.Context, s bus.Subject, body []byte) ([]byte, error) { return g.ward(s).hear(body), nil })
	if err != nil {
		return err
	}
	_, err = bus.Handle(g.conn, bus.Pattern(bus.AreaBeat, bus.Name(hostName), bus.Any, bus.PLG), bus.Rules{}, as,
		func(_ context.Context, s bus.Subject, body []byte) ([]byte, error) {
			g.ward(s).keep(body)
			return nil, nil
		})
	if err != nil {
		return err
	}
	ctx, g.tap = context.WithCancel(ctx)
	g.follow(ctx)
	return g.conn.Flush(ctx)
}

// ward returns the plugin whose subject that is; one that nobody knows says nothing.
func (g *ground) ward(s bus.Subject) *ward {
	g.mu.Lock()
	defer g.mu.Unlock()
	if w := g.wards[bus.Token(s.Plugin)]; w != nil {
		return w
	}
	return &ward{}
}

// follow keeps all that the stream METRICS gets, until ctx ends.
func (g *ground) follow(ctx context.Context) {
	g.taps.Go(func() {
		for next := uint64(1); ctx.Err() == nil; pause(ctx, 100*time.Millisecond) {
			_ = g.conn.Tap(ctx, bus.TapOptions{Stream: bus.StreamMetrics, From: next}, func(t bus.Tapped) error { // away: again
				g.mu.Lock()
				defer g.mu.Unlock()
				g.metrics, next = append(g.metrics, t), t.Seq+1
				return nil
			})
		}
	})
}

// grant makes a file of credentials.
func (g *ground) grant(name, user string, rights *embedded.Rights) (string, error) {
	text, err := json.Marshal(g.users.Grant(user, rights))
	if err != nil {
		return "", err
	}
	file := filepath.Join(g.dir, cmp.Or(name, "plugin")+".creds")
	return file, os.WriteFile(file, text, 0o600)
}

// stored returns what the stream METRICS has on a subject.
func (g *ground) stored(subject string) []bus.Tapped {
	g.mu.Lock()
	defer g.mu.Unlock()
	var all []bus.Tapped
	for _, t := range g.metrics {
		if t.Subject.Raw == subject {
			all = append(all, t)
		}
	}
	return all
}

// streamInfo is what the server says of a stream.
type streamInfo struct {
	Config map[string]any
	State  struct {
		Messages int64
		LastSeq  uint64 `json:"last_seq"`
	}
}

// info asks for the state of the stream METRICS.
func (g *ground) info(ctx context.Context) (streamInfo, error) {
	var info streamInfo
	reply, err := g.conn.Request(ctx, "$JS.API.STREAM.INFO."+bus.StreamMetrics, nil)
	if err == nil {
		err = json.Unmarshal(reply, &info)
	}
	if err != nil {
		return info, skipped("the stream cannot be asked: %v", err)
	}
	return info, nil
}

// catchUp waits until all that is stored by now was seen.
func (g *ground) catchUp(ctx context.Context) error {
	info, err := g.info(ctx)
	if err != nil {
		return err
	}
	seen := func() uint64 {
		g.mu.Lock()
		defer g.mu.Unlock()
		if len(g.metrics) == 0 {
			return 0
		}
		return g.metrics[len(g.metrics)-1].Seq
	}
	for end := time.Now().Add(startWait); seen() < info.State.LastSeq; pause(ctx, 5*time.Millisecond) {
		if time.Now().After(end) || ctx.Err() != nil {
			return skipped("the stream cannot be read")
		}
	}
	return nil
}

// denied returns what a user has tried without the right to.
func (g *ground) denied(user string) []string {
	g.mu.Lock()
	defer g.mu.Unlock()
	var all []string
	for _, text := range g.violations {
		if strings.Contains(text, `"`+user+`"`) {
			all = append(all, text)
		}
	}
	return all
}

func (g *ground) close() {
	if g.tap != nil {
		g.tap()
	}
	g.taps.Wait()
	if g.out != nil {
		g.out.Close()
	}
	if g.conn != nil {
		g.conn.Close()
	}
	g.stop()
}

// violationLog hears what the server says, and keeps who used a subject without the right to.
type violationLog struct{ ground *ground }

// Enabled is for warnings: violations are.
func (*violationLog) Enabled(_ context.Context, l slog.Level) bool { return l >= slog.LevelWarn }

// Handle keeps a record that tells of a violation.
func (v *violationLog) Handle(_ context.Context, r slog.Record) error {
	r.Attrs(func(a slog.Attr) bool {
		if text := a.Value.String(); a.Key == "text" && strings.Contains(text, " Violation - ") {
			v.ground.mu.Lock()
			v.ground.violations = append(v.ground.violations, text)
			v.ground.mu.Unlock()
		}
		return true
	})
	return nil
}

// WithAttrs changes nothing.
func (v *violationLog) WithAttrs([]slog.Attr) slog.Handler { return v }

// WithGroup changes nothing.
func (v *violationLog) WithGroup(string) slog.Handler { return v }

func pause(ctx context.Context, d time.Duration) {
	select {
	case <-ctx.Done():
	case <-time.After(d):
	}
}

// rights returns those of a plugin; before its kind is known, of all kinds together.
func rights(kind, name string, inputs []bus.Input) *embedded.Rights {
	if kind != "" {
		r := embedded.Rights(bus.RightsOf(bus.Role(kind), hostName, name, inputs))
		return &r
	}
	r := bus.RightsOf(bus.RoleProcessor, hostName, name, inputs)
	r.Publish = append(r.Publish, bus.MetricsSubject(hostName, name))
	all := embedded.Rights(r)
	return &all
}

// inputOf names the consumer over a source.
func inputOf(in bus.Input) telemetry.Input {
	return telemetry.Input{Stream: in.Stream, Durable: in.Durable, Filters: in.Filters}
}
