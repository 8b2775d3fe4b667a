package fleet

import (
	"container/heap"
	"math/rand/v2"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/pacewire/pacewire/bus"
	"github.com/pacewire/pacewire/bus/bustest"
	"github.com/pacewire/pacewire/telemetry"
)

// modes of a host.
const (
	gone = iota
	alive
	frozen
)

// A host is one agent. Its line's lock protects it.
type host struct {
	name, boot  string
	index       int
	line        *line
	beats, data string // subjects
	reply       string // subject of its ACKs
	forget      func() // its subscription
	mode        int

	at    int       // in the queue; -1: it is not
	due   time.Time // of the next beat
	hasty bool      // it tells something new

	begun    time.Time
	inst     string
	gen, seq uint64
	interval time.Duration
	greeted  bool // a hub has accepted it
	hellos   int  // without an answer, in a row
	term     uint64
	acked    uint64 // seq of the last ACK
	missed   uint64
	held     telemetry.Digest // what the hub has of it
	items    []telemetry.InventoryItem
	digest   telemetry.Digest
	changes  []int // of each entry
}

// A line is a connection and the hosts that share it.
type line struct {
	id      string
	kind    *kind
	crowd   *bustest.Crowd
	mu      sync.Mutex
	hosts   []*host // by their number in reply subjects
	byToken map[string]*host
	queue   queue
	buf     []byte
	stats   Stats
}

// join makes a host one of the line, and has it beat after a while.
func (l *line) join(h *host, after time.Duration) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	h.line = l
	h.reply = "_INBOX_" + bus.User(h.name, bus.Agent) + "." + l.id + "." + strconv.Itoa(len(l.hosts))
	l.hosts = append(l.hosts, h)
	l.byToken[bus.Token(h.name)] = h
	return l.enter(h, after)
}

// enter starts a host. The caller has the lock, as of all that follow.
func (l *line) enter(h *host, after time.Duration) error {
	forget, err := l.crowd.Listen(bus.Pattern(bus.AreaCtl, bus.Name(h.name), bus.Agent, bus.Any))
	if err != nil {
		return err
	}
	now := time.Now()
	h.forget, h.mode, h.begun, h.inst, h.interval = forget, alive, now, newInst(), l.kind.o.Interval
	h.gen++
	h.seq, h.acked, h.missed, h.hellos, h.term = 0, 0, 0, 0, 0
	h.greeted, h.held = false, telemetry.Digest{}
	l.queue.put(h, now.Add(after))
	return nil
}

// hasten has a host beat now.
func (l *line) hasten(h *host) {
	h.hasty = true
	l.queue.put(h, time.Now())
}

func (l *line) leave(h *host) {
	if h.mode == gone {
		return
	}
	h.mode = gone
	l.queue.drop(h)
	h.forget()
}

// back has all hosts beat soon: the bus was away.
func (l *line) back(spread time.Duration) {
	l.mu.Lock()
	defer l.mu.Unlock()
	now := time.Now()
	for _, h := range l.hosts {
		if h.mode == alive {
			l.queue.put(h, now.Add(rand.N(spread)))
		}
	}
}

// send beats for all hosts who are due.
func (l *line) send(now time.Time) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for len(l.queue) > 0 && !l.queue[0].due.After(now) {
		l.beat(l.queue[0], time.Now(), "")
	}
}

// beat sends one beat, with a goodbye if there is a reason, and plans the next.
func (l *line) beat(h *host, now time.Time, bye string) {
	if h.acked != h.seq {
		h.missed++
	}
	h.seq++
	h.hasty = false
	wait := jittered(h.interval)
	if !h.greeted {
		wait = min(wait, jittered(time.Second<<min(h.hellos, 20)))
		h.hellos++
	}
	l.queue.put(h, now.Add(wait))
	if h.greeted && h.held == h.digest && bye == "" {
		l.buf = l.kind.beat.fill(l.buf[:0], h, now)
	} else {
		l.buf = append(l.buf[:0], l.kind.full(h, now, bye)...)
	}
	if err := l.crowd.Tell(h.beats, h.reply, l.buf); err != nil {
		l.stats.Unsent++
		return
	}
	l.stats.Beats++
	l.stats.BytesOut += uint64(len(l.buf))
}

// full is a beat that carries more than a steady one.
func (k *kind) full(h *host, now time.Time, bye string) []byte {
	b := k.steady(h)
	up := now.Sub(h.begun)
	b.Gen, b.Seq, b.IntervalMS, b.T1, b.Mono1 = h.gen, h.seq, h.interval.Milliseconds(), now.UnixNano(), int64(up)
	b.UpMS, b.HostUpMS, b.Ack, b.AckLost, b.Bye = up.Milliseconds(), (up + hostEarlier).Milliseconds(), h.acked, h.missed, bye
	if b.Hello = !h.greeted; b.Hello {
		b.Manifest = k.manifest(h)
	}
	if h.held != h.digest {
		b.Inventory = h.items
	}
	return encode(b)
}

func jittered(d time.Duration) time.Duration { return d - d/20 + rand.N(d/10+1) }

// hear takes a message to one of the hosts.
func (l *line) hear(subject, reply string, body []byte) {
	now := time.Now()
	l.mu.Lock()
	defer l.mu.Unlock()
	l.stats.BytesIn += uint64(len(body))
	if h := l.answered(subject); h != nil {
		l.obey(h, body, now)
		return
	}
	rest, _ := strings.CutPrefix(subject, bus.Pattern(bus.AreaCtl)+".")
	tokens := strings.Split(rest, ".")
	if h := l.byToken[tokens[0]]; h != nil && len(tokens) == 3 && h.mode == alive {
		l.serve(h, tokens[2], reply, body)
	}
}

// answered returns the host whose inbox subject is; nil: it is none.
func (l *line) answered(subject string) *host {
	_, number, ok := strings.Cut(subject, "."+l.id+".")
	if !ok {
		return nil
	}
	if i, err := strconv.Atoi(number); err == nil && i < len(l.hosts) && l.hosts[i].reply == subject {
		return l.hosts[i]
	}
	return nil
}

// obey takes an ACK.
func (l *line) obey(h *host, body []byte, now time.Time) {
	if h.mode != alive {
		return
	}
	a, _, err := telemetry.DecodeAck(body)
	switch {
	case err != nil:
		l.stats.Bad++
		return
	case a.Seq != h.seq || h.acked == h.seq || a.Term < h.term:
		l.stats.Stray++
		return
	}
	h.term, h.acked, h.hellos = a.Term, a.Seq, 0
	if a.T1 > 0 {
		l.stats.latency.add(time.Duration(now.UnixNano() - a.T1))
	}
	wanted := h.interval
	if a.NextMS > 0 {
		wanted = time.Duration(min(a.NextMS, telemetry.MaxIntervalMS)) * time.Millisecond
	}
	if (wanted != h.interval || !h.greeted) && !h.hasty {
		l.queue.put(h, now.Add(jittered(wanted)))
	}
	h.interval = wanted
	if a.State != telemetry.Accepted {
		h.greeted = false
		reason, _, _ := strings.Cut(a.Reason, ":")
		l.stats.Refused[reason]++
		return
	}
	h.greeted, h.held = true, a.Digest
	l.stats.Acks++
}

// A queue has the hosts that will beat, the next one first.
type queue []*host

func (q queue) Len() int           { return len(q) }
func (q queue) Less(i, j int) bool { return q[i].due.Before(q[j].due) }
func (q queue) Swap(i, j int) {
	q[i], q[j] = q[j], q[i]
	q[i].at, q[j].at = i, j
}

// Push is for package heap.
func (q *queue) Push(x any) {
	h := x.(*host)
	h.at = len(*q)
	*q = append(*q, h)
}

// Pop is for package heap.
func (q *queue) Pop() any {
	last := len(*q) - 1
	h := (*q)[last]
	(*q)[last] = nil
	*q = (*q)[:last]
	h.at = -1
	return h
}

// put makes the next beat of h due at a time, whether it is in the queue or not.
func (q *queue) put(h *host, due time.Time) {
	h.due = due
	if h.at >= 0 {
		heap.Fix(q, h.at)
		return
	}
	heap.Push(q, h)
}

func (q *queue) drop(h *host) {
	if h.at >= 0 {
		heap.Remove(q, h.at)
	}
}
