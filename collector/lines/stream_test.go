package lines

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/pacewire/pacewire/internal/texttest"
	"github.com/pacewire/pacewire/plugin"
	"github.com/pacewire/pacewire/telemetry"
)

// text returns n lines, the numbers from from on.
func text(from, n int) string {
	var b strings.Builder
	for i := from; i < from+n; i++ {
		fmt.Fprintf(&b, "cpu,cpu=cpu%d,host=web-%02d n=%di,idle=%d.5,state=\"s%d\" %d\n", i%16, i%20, i, i%100, i, int64(1e18)+int64(i))
	}
	return b.String()
}

// check fails unless points are the lines of text from from on, in their order.
func check(t testing.TB, points []telemetry.Point, from int) {
	t.Helper()
	for k, p := range points {
		i := from + k
		got := fmt.Sprint(p.Series, p.Tags, p.Fields["n"], p.Fields["state"], p.Time.UnixNano())
		want := fmt.Sprint("cpu", telemetry.Tags{"cpu": fmt.Sprintf("cpu%d", i%16), "host": fmt.Sprintf("web-%02d", i%20)}, i, fmt.Sprintf("s%d", i), int64(1e18)+int64(i))
		if got != want {
			t.Fatalf("point %d: %s, want %s", i, got, want)
		}
	}
}

func TestTransports(t *testing.T) {
	f := func(listen string, n int) {
		t.Helper()
		r := start(t, config(listen))
		c := r.dial()
		r.send(c, text(0, n))
		check(t, r.take(t, n), 0)
		r.send(c, text(n, 1))
		check(t, r.take(t, 1), n)
	}
	f("tcp://127.0.0.1:0", 50000)
	f("unix://"+filepath.Join(t.TempDir(), "s"), 50000)
	f("udp://127.0.0.1:0", 100)
}

// A pipe is a stream whose other end the test holds; each write is one read.
type pipe struct {
	*emitter
	t      testing.TB
	log    texttest.Buffer
	conn   net.Conn
	cancel context.CancelFunc // of the context of the stream
	done   chan struct{}
}

func newPipe(t testing.TB, change func(*Config)) *pipe {
	t.Helper()
	cfg := defaults()
	cfg.Flush = plugin.Duration(time.Millisecond)
	if change != nil {
		change(&cfg)
	}
	near, far := net.Pipe()
	ctx, cancel := context.WithCancel(context.Background())
	p := &pipe{emitter: newEmitter(t), t: t, conn: far, cancel: cancel, done: make(chan struct{})}
	l := &listener{cfg: cfg, unit: units[cfg.Precision], log: p.log.Logger()}
	go func() {
		defer close(p.done)
		defer near.Close()
		s := &stream{intake: l.intake(p.emitter, "pipe"), src: near, room: 1, idle: cfg.IdleTimeout.Std()}
		s.run(ctx)
	}()
	t.Cleanup(p.end)
	return p
}

// end closes the pipe and waits for the end of the stream.
func (p *pipe) end() {
	_ = p.conn.Close()
	<-p.done
	p.cancel()
}

func (p *pipe) write(text string) {
	p.t.Helper()
	if _, err := io.WriteString(p.conn, text); err != nil {
		p.t.Fatal(err)
	}
}

// A line comes whole, wherever it is cut and however long its rest takes.
func TestSplitLines(t *testing.T) {
	p := newPipe(t, nil)
	lines := text(0, 2)
	for at := 1; at < len(lines); at++ {
		p.write(lines[:at])
		if at%10 == 0 { // the flush comes in between
			until(t, "first line", func() bool { return p.count() >= strings.Count(lines[:at], "\n") })
		}
		p.write(lines[at:])
		check(t, p.take(t, 2), 0)
	}
	for _, c := range lines {
		p.write(string(c))
	}
	check(t, p.take(t, 2), 0)
}

// However the text is cut, the same points come out: from the small buffer, the larger pieces, and over their borders.
func TestPieces(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	random := rand.New(rand.NewPCG(seed, 1))
	const n = 40000
	p := newPipe(t, nil)
	for lines := text(0, n); len(lines) > 0; {
		k := min(len(lines), 1+random.IntN(1<<(6+random.IntN(14))))
		p.write(lines[:k])
		lines = lines[k:]
	}
	check(t, p.take(t, n), 0)
}

func TestNewlinesInTexts(t *testing.T) {
	p := newPipe(t, func(c *Config) { c.Flush = plugin.Duration(10 * time.Second) })
	line := "log text=\"one\ntwo\nthree\" 1\n"
	n := 2*bite/len(line) + 1
	p.write(strings.Repeat(line, n))
	p.end()
	for _, got := range p.take(t, n) {
		if got.Fields["text"] != "one\ntwo\nthree" {
			t.Fatalf("%q", got.Fields["text"])
		}
	}
}

// A quote that nobody closes does not keep back what follows.
func TestOpenQuote(t *testing.T) {
	p := newPipe(t, nil)
	p.write("log text=\"one\n" + text(0, 1)[:10])
	until(t, "bad line", func() bool { return p.dropped("line") == 1 })
	p.write(text(0, 1)[10:])
	check(t, p.take(t, 1), 0)

	p = newPipe(t, func(c *Config) { c.Flush = plugin.Duration(time.Minute) })
	p.write("log text=one\"\nlog text=\"one\n")
	lines := strings.ReplaceAll(text(0, 4000), `"`, "") // s1 without quotes is no value
	p.write(lines)
	until(t, "bad lines", func() bool { return p.dropped("line") > 0 })
}

func TestBadLines(t *testing.T) {
	f := func(bad string, n int) {
		t.Helper()
		p := newPipe(t, nil)
		p.write(text(0, 10) + bad + "\n" + text(10, 10))
		check(t, p.take(t, 20), 0)
		p.end()
		if got := p.dropped("line"); got != n {
			t.Errorf("%.40q: %d lines refused, want %d", bad, got, n)
		}
		if p.log.Count("line refused") != 1 || p.log.Count("line=11 ") != 1 {
			t.Errorf("%.40q: %s", bad, &p.log)
		}
	}
	f("nonsense", 1)
	f("cpu", 1)
	f("cpu v=", 1)
	f("a,b=c", 1)
	f("\x00", 1)
	f("\x00\x01\x02\xff\xfe", 1)
	f("cpu v=1\x00", 1)
	f("cpu,a=\xff v=1", 1)
	f("bad\nworse\nworst", 3)
	f(strings.Repeat("bad\n", 1000)+"bad", 1001)
	f("GET / HTTP/1.1\r\nHost: localhost\r\n\r", 2)
}

// A record has the line's number once, as the sender counts: empty lines, comments and newlines in texts of earlier reads too.
func TestLineNumbers(t *testing.T) {
	f := func(before string, want int) {
		t.Helper()
		p := newPipe(t, nil)
		p.write(before + text(0, 1))
		p.take(t, 1+strings.Count(before, "log"))
		p.write("bad\n")
		p.end()
		if p.log.Count(fmt.Sprintf(`line=%d error="no space`, want)) != 1 {
			t.Errorf("behind %.40q: want line %d: %s", before, want, &p.log)
		}
	}
	f("", 2)
	f("# one\n\n\r\n", 5)
	f("log text=\"one\ntwo\" 1\n", 4)
	f(strings.Repeat("#\n", bite), bite+2)
}

// Noise of a kind that is not text does no harm, and the lines after it are read.
func TestNoise(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	random := rand.New(rand.NewPCG(seed, 1))
	noise := make([]byte, 1<<20)
	for i := range noise {
		noise[i] = byte(random.Uint32())
	}
	p := newPipe(t, nil)
	p.write(string(bytes.ReplaceAll(noise, []byte(`"`), nil)) + "\n")
	p.write(text(0, 100))
	until(t, "points", func() bool { return p.count() >= 100 })
	p.end()
	points := p.points
	check(t, points[len(points)-100:], 0)
}

func TestLongLines(t *testing.T) {
	p := newPipe(t, nil)
	p.write(text(0, 10))
	long := "cpu v=\"" + strings.Repeat("x", 1<<20)
	for range 10 {
		p.write(long)
	}
	p.write("\n" + text(10, 10))
	check(t, p.take(t, 20), 0)
	if n := p.dropped("too_long"); n != 1 {
		t.Errorf("%d lines too long, want 1", n)
	}
	if p.log.Count("longer than 65536 bytes") != 1 || p.log.Count("send shorter lines, or raise max_line_bytes") != 1 || p.log.Count("line=11 ") != 1 {
		t.Errorf("log: %s", &p.log)
	}
}

// The limit does not depend on how the text comes.
func TestLineLimit(t *testing.T) {
	f := func(length, points int) {
		t.Helper()
		for _, before := range []int{0, 3000, bite - 100, 4 * bite} {
			p := newPipe(t, func(c *Config) { c.MaxLine = 5000 })
			line := "cpu v=\"" + strings.Repeat("x", length-8) + "\"\n"
			p.write(strings.Repeat("#", 99) + "\n" + strings.Repeat("#\n", before/2) + line + "end v=1\n")
			p.take(t, points+1)
			if n := p.dropped("too_long"); n != 1-points {
				t.Errorf("line of %d bytes behind %d: %d too long", length, before, n)
			}
		}
	}
	f(5000, 1)
	f(5001, 0)
}

// Half a number is a number too: a line counts when its end has come.
func TestUnfinished(t *testing.T) {
	p := newPipe(t, nil)
	p.write(text(0, 1) + "cpu v=12")
	p.end()
	check(t, p.take(t, 1), 0)
	if n := p.dropped("unfinished"); n != 1 || p.log.Count(`the connection ended before the line did" from=pipe`) != 1 {
		t.Errorf("%d lines unfinished: %s", n, &p.log)
	}
	p = newPipe(t, nil)
	p.write(strings.Repeat("x", 100<<10))
	p.end()
	if n := p.dropped("unfinished"); n != 1 || p.dropped("too_long") != 1 {
		t.Errorf("%d lines unfinished", n)
	}
}

func TestPrecisionAndArrival(t *testing.T) {
	p := newPipe(t, func(c *Config) { c.Precision = "s" })
	begin := time.Now().Truncate(time.Microsecond)
	p.write("a v=1 1763559525\na v=2\r\n# nothing\n\n")
	points := p.take(t, 2)
	if !points[0].Time.Equal(time.Unix(1763559525, 0)) {
		t.Errorf("time %v", points[0].Time)
	}
	if at := points[1].Time; at.Before(begin) || at.After(time.Now()) {
		t.Errorf("arrival %v", at)
	}
}

func TestIdleTimeout(t *testing.T) {
	t.Parallel() // it waits
	cfg := config("tcp://127.0.0.1:0")
	cfg.IdleTimeout = plugin.Duration(3 * time.Second) // the test may be stopped for a while
	r := start(t, cfg)
	c := r.dial()
	for i := range 3 {
		r.send(c, text(i, 1))
		check(t, r.take(t, 1), i)
	}
	if n, err := c.Read(make([]byte, 1)); n != 0 || !errors.Is(err, io.EOF) {
		t.Errorf("idle connection: %d, %v", n, err)
	}
}

func TestManyConnections(t *testing.T) {
	r := start(t, config("tcp://127.0.0.1:0"))
	const conns, each = 50, 400
	var wg sync.WaitGroup
	for i := range conns {
		c := r.dial()
		wg.Go(func() {
			for k := 0; k < each; k += 20 {
				r.send(c, text(i*each+k, 20))
			}
			_ = c.Close()
		})
	}
	wg.Wait()
	seen := map[int64]bool{}
	for _, p := range r.take(t, conns*each) {
		check(t, []telemetry.Point{p}, int(p.Fields["n"].(int64)))
		seen[p.Fields["n"].(int64)] = true
	}
	if len(seen) != conns*each {
		t.Errorf("%d different points", len(seen))
	}
}

func TestConnectionLimit(t *testing.T) {
	cfg := config("tcp://127.0.0.1:0")
	cfg.MaxConnections = 2
	r := start(t, cfg)
	first, second := r.dial(), r.dial()
	r.send(first, text(0, 1))
	r.take(t, 1)
	r.send(second, text(0, 1))
	r.take(t, 1)
	if n, err := r.dial().Read(make([]byte, 1)); n != 0 || err == nil || errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("third connection: %d, %v", n, err)
	}
	_ = first.Close()
	until(t, "a place is free", func() bool { return r.l.gate.Open() == 1 })
	r.send(r.dial(), text(1, 1))
	check(t, r.take(t, 1), 1)
}

// While the bus takes nothing, a sender is made to wait, nothing is lost and little is kept.
func TestBackPressure(t *testing.T) {
	f := func(listen string) {
		t.Helper()
		r := start(t, config(listen))
		c := r.dial()
		piece := text(0, 1000)
		r.blocked.Lock()
		sent := 0
		for rest := piece; ; {
			if err := c.SetWriteDeadline(time.Now().Add(300 * time.Millisecond)); err != nil {
				t.Fatal(err)
			}
			n, err := io.WriteString(c, rest)
			sent += n
			if rest = rest[n:]; err != nil {
				piece = rest + piece
				break
			}
			rest = piece
			if sent > 256<<20 {
				r.blocked.Unlock()
				t.Fatalf("%s: %d bytes taken while nothing can be stored", listen, sent)
			}
		}
		r.blocked.Unlock()
		_ = c.SetWriteDeadline(time.Time{})
		r.send(c, piece)
		n := (sent + len(piece)) / len(text(0, 1000)) * 1000
		t.Logf("%s: held back after %d bytes", listen, sent)
		points := r.take(t, n)
		for i := 0; i < n; i += 1000 {
			check(t, points[i:i+1000], 0)
		}
	}
	f("tcp://127.0.0.1:0")
	f("unix://" + filepath.Join(t.TempDir(), "s"))
}

// emitterFunc is what the emitter of a test runs, which ends with the test only.
const emitterFunc = "github.com/pacewire/pacewire/collector/lines.newEmitter.func1"

// What has been read when the end comes is taken, though it would wait for more.
func TestEndOfLingering(t *testing.T) {
	p := newPipe(t, func(c *Config) { c.Flush = plugin.Duration(maxFlush) })
	p.write(text(0, 20))
	p.cancel()
	check(t, p.take(t, 20), 0)
	<-p.done
}

// At the end everything is closed, whoever is silent or may say more, and nothing goes on.
func TestEnd(t *testing.T) {
	defer goleak.VerifyNone(t, goleak.IgnoreCurrent(), goleak.IgnoreAnyFunction(emitterFunc))
	path := filepath.Join(t.TempDir(), "s")
	r := start(t, config("tcp://127.0.0.1:0", "udp://127.0.0.1:0", "http://127.0.0.1:0", "unix://"+path))
	var conns []net.Conn
	dial := func(a net.Addr) net.Conn {
		c, err := net.Dial(a.Network(), a.String())
		if err != nil {
			t.Fatal(err)
		}
		conns = append(conns, c)
		return c
	}
	const n = 5000
	r.send(dial(r.l.sockets[0].Addr()), text(0, n))
	r.send(dial(r.l.sockets[3].Addr()), text(0, n))
	r.send(dial(r.l.sockets[1].Addr()), text(0, 10))
	dial(r.l.sockets[0].Addr())
	dial(r.l.sockets[2].Addr())
	until(t, "all are connected", func() bool { return r.l.gate.Open() == 4 })
	r.take(t, 2*n+10)
	r.stop()
	for _, c := range conns[:2] {
		if _, err := c.Read(make([]byte, 1)); err == nil {
			t.Errorf("connection to %v is open", c.RemoteAddr())
		}
	}
	for _, c := range conns {
		_ = c.Close()
	}
}

// A batch that nobody takes any more is counted.
func TestLost(t *testing.T) {
	p := newPipe(t, nil)
	close(p.shut)
	p.write(text(0, 20))
	<-p.done
	if n := p.dropped("not_sent"); n != 20 || p.log.Count(`"points lost" from=pipe`) != 1 {
		t.Errorf("%d points lost: %s", n, &p.log)
	}
}

// A spring is a source that never ends.
type spring struct {
	text []byte
	at   int
}

func (s *spring) SetReadDeadline(time.Time) error { return nil }

func (s *spring) Read(p []byte) (int, error) {
	n := copy(p, s.text[s.at:])
	s.at = (s.at + n) % len(s.text)
	return n, nil
}

func TestAllocations(t *testing.T) {
	c := &counter{limit: 1 << 60}
	lines := bytes.ReplaceAll(benchText(5000), []byte(",irq="), []byte(",state=\"ok\",irq="))
	l := &listener{cfg: defaults()}
	s := &stream{intake: l.intake(c, "spring"), src: &spring{text: lines}, room: 1}
	s.text = s.small[:]
	steps := func() {
		for range 40 {
			if !s.step(t.Context()) {
				t.Fatal("the stream ends")
			}
		}
	}
	for range 10 {
		steps() // the memory grows to what it needs
	}
	before := c.points
	if n := testing.AllocsPerRun(20, steps); n > 0 {
		t.Errorf("%v allocations for %d points", n, (c.points-before)/20)
	}
}
