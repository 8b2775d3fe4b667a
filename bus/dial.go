// Package bus is the program's way to NATS: connections, subjects, streams, and
// messages that arrive.
package bus

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net"
	"net/url"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go"
)

// Options say how to reach the bus and as whom.
type Options struct {
	// URL of one or several servers, separated by commas; without a scheme
	// nats:// is meant.
	URL string

	// InProcess is an embedded server of this process, used instead of URL.
	InProcess nats.InProcessConnProvider

	// User is the identity on the bus (see func User): inboxes begin with
	// _INBOX_<User>. It is required, also where the server asks for none.
	User string

	// CredsFile holds {"user": ..., "password": ...}, or is a NATS .creds file.
	// It is read at each connect and must not be readable by others. Empty: no
	// credentials.
	CredsFile string

	// TLS names the files of an encrypted bus; its zero value leaves it to the URL.
	TLS TLS

	// Name is what the server shows for this connection; empty means User.
	Name string

	// Data says that the connection carries batches, not control messages.
	Data bool

	// Compress deflates what passes, each way. Every URL must be one of WebSocket
	// then, for NATS compresses no other connection; a server that does not is
	// talked to as it is.
	Compress bool

	// Ping is how often the server is asked whether it is there; 0 is what suits
	// the way to it. A server that says nothing to two of them is gone.
	Ping time.Duration

	// NoEcho keeps messages from subscriptions of the same connection: an agent
	// needs it, else its own subscription hides that nobody answers.
	NoEcho bool

	// Log is where changes of the connection are noted; nil discards.
	Log *slog.Logger

	// Wait is how long Dial waits for the first connection. 0: not at all, the
	// connection is made in the background, for ever.
	Wait time.Duration

	// OnDenied is told of each permission violation: the server reports them
	// out of band, the call that caused one has long returned nil.
	OnDenied func(error)

	// OnConnect runs after the first and every later connect. It must not block.
	OnConnect func()

	// OnDisconnect runs after a connection was lost. It must not block.
	OnDisconnect func(error)
}

// Conn is a connection to the bus which repairs itself until it is closed.
type Conn struct {
	nc     *nats.Conn
	log    *slog.Logger
	opts   Options
	first  chan struct{} // closed at the first connect
	closed chan struct{}
	bad    badRequests
	denied atomic.Uint64 // permission violations

	mu       sync.Mutex
	lastErr  error // of the last attempt to connect
	watchers map[*watcher]struct{}
	once     sync.Once
	checks   sync.WaitGroup
	checking bool // a check is under way
	ended    bool // Close was called: no further check begins
}

// watcher is how publishers and consumers hear of their connection.
type watcher struct {
	up     func()
	down   func()
	denied func(violation)
}

const (
	connectTimeout = 5 * time.Second
	delayBase      = 500 * time.Millisecond
	delayGrowth    = 1.6
	delayCap       = 20 * time.Second
	checkWait      = 2 * time.Second
)

// Dial connects to the bus. An unreachable server is no error unless o.Wait says
// so: the connection is tried again for ever.
func Dial(ctx context.Context, o Options) (*Conn, error) {
	if o.User == "" || !validUser(o.User) {
		return nil, fmt.Errorf("dial bus: user %q: want letters, digits, =, _ and - (see bus.User)", o.User)
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	c := &Conn{
		log: o.Log, opts: o,
		first: make(chan struct{}), closed: make(chan struct{}),
		watchers: make(map[*watcher]struct{}),
	}
	opts, err := c.options()
	if err != nil {
		return nil, fmt.Errorf("dial bus %s: %w", Redact(o.URL), err)
	}
	if c.nc, err = nats.Connect(o.URL, opts...); err != nil {
		return nil, fmt.Errorf("dial bus %s: %w", Redact(o.URL), err)
	}
	if err := c.waitFirst(ctx); err != nil {
		c.Close()
		return nil, fmt.Errorf("dial bus %s: %w", Redact(o.URL), err)
	}
	return c, nil
}

// pace returns how often the server is pinged, and how long a write may take. A dead server must be noticed within 3.5 s on this
// machine; elsewhere the network may hiccup. Each ping wakes both ends, which is most of what an idle plugin costs: so a
// connection for data, whose acknowledgements tell of a dead server too, pings seldom, and one to a server in
// this process, which cannot die alone, hardly ever.
func (o Options) pace() (ping, write time.Duration) {
	switch {
	case o.Ping > 0:
		return o.Ping, 2 * o.Ping
	case o.InProcess != nil:
		return 30 * time.Second, 2 * time.Second
	case !loopback(o.URL):
		return 10 * time.Second, 10 * time.Second
	case o.Data:
		return 10 * time.Second, 2 * time.Second
	}
	return 1750 * time.Millisecond, 2 * time.Second
}

// pings returns how many may be unanswered. Over loopback one is enough: nothing gets lost there.
func (o Options) pings() int {
	if loopback(o.URL) && !o.Data {
		return 1
	}
	return 2
}

// options are what keeps a connection alive and honest.
func (c *Conn) options() ([]nats.Option, error) {
	o := c.opts
	name := o.Name
	if name == "" {
		name = o.User
	}
	ping, write := o.pace()
	opts := []nats.Option{
		nats.Name(name),
		nats.Timeout(connectTimeout),
		nats.RetryOnFailedConnect(true),
		nats.MaxReconnects(-1),
		nats.IgnoreAuthErrorAbort(),
		nats.CustomReconnectDelay(reconnectDelay),
		nats.PingInterval(ping),
		nats.MaxPingsOutstanding(o.pings()),
		nats.FlusherTimeout(write), // a write holds the lock that the ping needs
		nats.ReconnectBufSize(-1),  // what is published while away would arrive late and unasked
		nats.CustomInboxPrefix("_INBOX_" + o.User),
		nats.PermissionErrOnSubscribe(true),
		nats.Compression(o.Compress),
		nats.ConnectHandler(c.onUp),
		nats.ReconnectHandler(c.onUp),
		nats.DisconnectErrHandler(c.onDown),
		nats.ReconnectErrHandler(c.onAttempt),
		nats.ErrorHandler(c.onError),
		nats.ClosedHandler(func(*nats.Conn) { close(c.closed) }),
	}
	if o.NoEcho {
		opts = append(opts, nats.NoEcho())
	}
	switch {
	case o.InProcess != nil:
		opts = append(opts, nats.InProcessServer(o.InProcess))
	case !o.Data: // what is late of data has its id, and is stored once
		opts = append(opts, nats.SetCustomDialer(staleDialer{connectTimeout, ping + ping/2}))
	}
	opts = append(opts, o.TLS.options()...)
	if o.CredsFile == "" {
		return opts, nil
	}
	creds, err := credentials(o.CredsFile)
	return append(opts, creds), err
}

func (c *Conn) waitFirst(ctx context.Context) error {
	if c.opts.Wait <= 0 {
		return nil
	}
	timer := time.NewTimer(c.opts.Wait)
	defer timer.Stop()
	select {
	case <-c.first:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	case <-timer.C:
		last := c.LastError()
		if last == nil || errors.Is(last, ErrDisconnected) { // nobody has said no
			return fmt.Errorf("%w within %v", ErrTimeout, c.opts.Wait)
		}
		return fmt.Errorf("%w after %v: %w", ErrDisconnected, c.opts.Wait, last)
	}
}

// reconnectDelay grows by 1.6 from 0.5 s to 20 s, with full jitter: thousands of
// clients must not come back in one instant.
func reconnectDelay(attempts int) time.Duration {
	limit := float64(delayBase)
	for range attempts - 1 {
		limit = min(limit*delayGrowth, float64(delayCap))
	}
	return time.Duration(rand.Float64() * limit)
}

// loopback tells whether all servers of urls are on this machine.
func loopback(urls string) bool {
	for one := range strings.SplitSeq(urls, ",") {
		one = strings.TrimSpace(one)
		if !strings.Contains(one, "://") {
			one = "nats://" + one
		}
		u, err := url.Parse(one)
		if err != nil {
			return false
		}
		ip := net.ParseIP(u.Hostname())
		if u.Hostname() != "localhost" && (ip == nil || !ip.IsLoopback()) {
			return false
		}
	}
	return true
}

// Redact returns the URLs of servers without user info, which may hold a
// password.
func Redact(urls string) string {
	all := strings.Split(urls, ",")
	for i, one := range all {
		if u, err := url.Parse(strings.TrimSpace(one)); err == nil && u.User != nil {
			u.User = nil
			all[i] = u.String()
		}
	}
	return strings.Join(all, ",")
}

func validUser(user string) bool { return plain(strings.ReplaceAll(user, "=", "")) }

// secret is the file that an agent writes for a plugin it starts.
type secret struct {
	User     string `json:"user"`
	Password string `json:"password"`
}

// credentials returns the option for a file of either form. The first read is
// now, so that a missing file is an error at once and not a refusal for ever.
func credentials(path string) (nats.Option, error) {
	text, err := readSecret(path)
	if err != nil {
		return nil, err
	}
	if !strings.HasPrefix(strings.TrimSpace(string(text)), "{") {
		return nats.UserCredentials(path), nil
	}
	last, err := parseSecret(path, text)
	if err != nil {
		return nil, err
	}
	// A connect that cannot read the file tries what it knew.
	return nats.UserInfoHandler(func() (string, string) {
		if text, err := readSecret(path); err == nil {
			if now, err := parseSecret(path, text); err == nil {
				return now.User, now.Password
			}
		}
		return last.User, last.Password
	}), nil
}

func readSecret(path string) ([]byte, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, fmt.Errorf("credentials: %w", err)
	}
	if info.Mode().Perm()&0o077 != 0 {
		return nil, fmt.Errorf("credentials %s: mode %#o lets others read it: chmod 600", path, info.Mode().Perm())
	}
	return os.ReadFile(path)
}

func parseSecret(path string, text []byte) (secret, error) {
	var s secret
	if err := json.Unmarshal(text, &s); err != nil || s.User == "" {
		return s, fmt.Errorf(`credentials %s: want {"user": ..., "password": ...}`, path) // never the text: it is secret
	}
	return s, nil
}

// Connected tells whether a server is connected at this moment.
func (c *Conn) Connected() bool { return c.nc.IsConnected() }

// LastError is why the connection is not there: of the last attempt, or of the
// loss if none was made since.
func (c *Conn) LastError() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case c.nc.IsConnected():
		return nil
	case c.lastErr != nil:
		return c.lastErr
	}
	return ErrDisconnected
}

// Denied is how often the server has refused a subject to this connection's user.
// It says so out of band, so a call that returned nil may count here later.
func (c *Conn) Denied() uint64 { return c.denied.Load() }

// User is the identity the connection was dialled with.
func (c *Conn) User() string { return c.opts.User }

// MaxPayload is the largest message, headers included, that the server takes; 0
// before the first connect.
func (c *Conn) MaxPayload() int64 { return c.nc.MaxPayload() }

// ServerVersion is the version of the connected server, empty while away.
func (c *Conn) ServerVersion() string { return c.nc.ConnectedServerVersion() }

// RTT measures a round trip to the server.
func (c *Conn) RTT() (time.Duration, error) { return c.nc.RTT() }

// Close ends the connection at once; what is not yet sent is lost. It must not be
// called by a callback of the connection.
func (c *Conn) Close() {
	c.mu.Lock()
	c.ended = true
	c.mu.Unlock()
	c.once.Do(c.nc.Close)
	<-c.closed
	c.checks.Wait()
}

// Drain lets handlers finish what they have, sends what is buffered and closes.
// When ctx ends first it closes at once and says so.
func (c *Conn) Drain(ctx context.Context) error {
	if err := c.nc.Drain(); err != nil {
		c.Close()
		if errors.Is(err, nats.ErrConnectionClosed) {
			return nil
		}
		return fmt.Errorf("drain bus connection: %w", err)
	}
	select {
	case <-c.closed:
		return nil
	case <-ctx.Done():
		c.Close()
		return fmt.Errorf("drain bus connection: %w", ctx.Err())
	}
}
