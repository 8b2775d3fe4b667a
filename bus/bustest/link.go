package bustest

import (
	"net"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// Link is a way to a bus that a test can break: connections to its URL end at the bus, while it is whole.
type Link struct {
	URL string
	to  string

	mu     sync.Mutex
	state  linkState
	change chan struct{} // closed when the state changes
	ends   map[net.Conn]struct{}
	pipes  sync.WaitGroup
	rate   atomic.Int64
	delay  atomic.Int64
	sent   atomic.Int64
}

type linkState int

const (
	whole  linkState = iota
	cut              // connections are reset, and none is taken
	hole             // connections stay, and nothing comes through
	deaf             // what the bus says is lost; it hears all
	closed           // for good
)

// NewLink lays a link to the bus at url.
func NewLink(t testing.TB, url string) *Link {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatalf("bustest: %v", err)
	}
	k := &Link{
		URL: "nats://" + l.Addr().String(), to: strings.TrimPrefix(url, "nats://"),
		change: make(chan struct{}), ends: make(map[net.Conn]struct{}),
	}
	k.pipes.Go(func() { k.serve(l) })
	t.Cleanup(func() {
		_ = l.Close()
		k.set(closed)
		k.pipes.Wait()
	})
	return k
}

// Cut resets what is connected, and whoever connects from now on.
func (k *Link) Cut() { k.set(cut) }

// Swallow makes the link a black hole: nobody is told anything.
func (k *Link) Swallow() { k.set(hole) }

// Deafen makes it lose what the bus says, which itself hears everything.
func (k *Link) Deafen() { k.set(deaf) }

// Throttle lets so many bytes a second through in each direction of each connection; 0: as many as come.
func (k *Link) Throttle(bytesPerSecond int64) { k.rate.Store(bytesPerSecond) }

// Delay makes everything arrive so much later, in each direction; how much comes through stays the same.
func (k *Link) Delay(d time.Duration) { k.delay.Store(int64(d)) }

// Sent is how many bytes have come from clients.
func (k *Link) Sent() int64 { return k.sent.Load() }

// Heal makes it whole. Connections that have lost something are reset.
func (k *Link) Heal() { k.set(whole) }

func (k *Link) set(s linkState) {
	k.mu.Lock()
	defer k.mu.Unlock()
	was := k.state
	k.state = s
	close(k.change)
	k.change = make(chan struct{})
	if s == hole || s == deaf || s == whole && was == whole {
		return
	}
	for c := range k.ends {
		reset(c)
	}
}

func (k *Link) look() (linkState, <-chan struct{}) {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.state, k.change
}

func reset(c net.Conn) {
	if tcp, ok := c.(*net.TCPConn); ok {
		_ = tcp.SetLinger(0)
	}
	_ = c.Close()
}

func (k *Link) serve(l net.Listener) {
	for {
		client, err := l.Accept()
		if err != nil {
			return // closed
		}
		k.pipes.Go(func() { k.connect(client) })
	}
}

func (k *Link) connect(client net.Conn) {
	server, err := net.Dial("tcp", k.to)
	if err != nil || !k.keep(client, server) {
		reset(client)
		if err == nil {
			reset(server)
		}
		return
	}
	var both sync.WaitGroup
	both.Go(func() { k.pipe(client, server, hole) })
	both.Go(func() { k.pipe(server, client, deaf) })
	both.Wait()
	k.mu.Lock()
	defer k.mu.Unlock()
	delete(k.ends, client)
	delete(k.ends, server)
}

// keep notes both ends of a connection; false: none is taken now.
func (k *Link) keep(ends ...net.Conn) bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.state == cut || k.state == closed {
		return false
	}
	for _, c := range ends {
		k.ends[c] = struct{}{}
	}
	return true
}

// pipe copies until one end is gone. In a black hole it reads nothing more; in the state that is its own it loses what it reads.
func (k *Link) pipe(from, to net.Conn, lossy linkState) {
	defer reset(to)
	defer reset(from)
	buf := make([]byte, 16<<10)
	way := make(chan parcel, onTheWay)
	defer close(way)
	k.pipes.Go(func() { carry(way, to, from) })
	for {
		for state, change := k.look(); state == hole; state, change = k.look() {
			<-change
		}
		n, err := from.Read(buf)
		if err != nil {
			return
		}
		if state, _ := k.look(); state == hole || state == lossy {
			continue // lost; Heal resets the connection
		}
		if lossy == hole { // it is the way of the client
			k.sent.Add(int64(n))
		}
		if rate := k.rate.Load(); rate > 0 {
			time.Sleep(time.Duration(int64(n) * int64(time.Second) / rate))
		}
		way <- parcel{slices.Clone(buf[:n]), time.Now().Add(time.Duration(k.delay.Load()))}
	}
}

// onTheWay is how many parcels a delayed direction holds; then it takes no more.
const onTheWay = 64

// A parcel is what was read at once, and when it is to arrive.
type parcel struct {
	body []byte
	due  time.Time
}

// carry brings each parcel in time, until there are no more. One that cannot be brought ends both ends.
func carry(way <-chan parcel, to, from net.Conn) {
	for p := range way {
		time.Sleep(time.Until(p.due))
		if _, err := to.Write(p.body); err != nil {
			reset(to)
			reset(from)
		}
	}
}
