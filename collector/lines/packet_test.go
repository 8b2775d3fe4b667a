package lines

import (
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/pacewire/pacewire/telemetry"
)

func TestDatagrams(t *testing.T) {
	r := start(t, config("udp://127.0.0.1:0"))
	c := r.dial()
	for i := range 50 { // without the last newline, one and several lines
		r.send(c, strings.TrimSuffix(text(3*i, 1), "\n"))
		r.send(c, strings.TrimSuffix(text(3*i+1, 2), "\n"))
	}
	check(t, r.take(t, 150), 0)

	r.send(c, "")
	r.send(c, "bad")
	r.send(c, "cpu v=\x00\xff")
	r.send(c, text(0, 1)+"worse\n"+text(1, 1))
	check(t, r.take(t, 2), 0)
	until(t, "bad lines", func() bool { return r.dropped("line") == 3 })
}

// Each datagram is a text of its own: what one leaves open does not reach into the next.
func TestOpenDatagram(t *testing.T) {
	r := start(t, config("udp://127.0.0.1:0"))
	c := r.dial()
	r.send(c, "log text=\"one")
	r.send(c, text(0, 1))
	check(t, r.take(t, 1), 0)
}

// Lines are numbered in each datagram, also behind one that is too long.
func TestDatagramNumbers(t *testing.T) {
	cfg := defaults()
	cfg.MaxLine = 100
	l := &listener{cfg: cfg, unit: units[cfg.Precision], log: env(t).Log}
	in := l.intake(newEmitter(t), "test")
	in.apart = true
	for range 2 {
		_, err := in.take(&telemetry.Batch{}, []byte("#\n"+strings.Repeat("x", 101)+"\n\nbad\n"), true)
		if err == nil || !strings.Contains(err.Error(), "line 4: ") {
			t.Errorf("%v", err)
		}
	}
}

func TestLargestDatagram(t *testing.T) {
	r := start(t, config("udp://127.0.0.1:0"))
	c := r.dial()
	const largest = 65507
	line := "a v=\"" + strings.Repeat("x", largest-6) + "\""
	r.send(c, line)
	if got := len(r.take(t, 1)[0].Fields["v"].(string)); got != largest-6 {
		t.Errorf("%d bytes", got)
	}
	if _, err := c.Write([]byte(line + "x")); err == nil {
		t.Error("a larger one was sent")
	}
	r.send(c, text(0, 1))
	check(t, r.take(t, 1), 0)

	cfg := config("udp://127.0.0.1:0")
	cfg.MaxLine = 100
	r = start(t, cfg)
	c = r.dial()
	r.send(c, line)
	r.send(c, text(0, 1))
	check(t, r.take(t, 1), 0)
	if n := r.dropped("too_long"); n != 1 {
		t.Errorf("%d lines too long", n)
	}
}

// What the kernel has no room for is counted.
func TestDatagramsLost(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("only Linux tells")
	}
	r := start(t, config("udp://127.0.0.1:0"))
	if err := r.l.sockets[0].Packets.SetReadBuffer(4 << 10); err != nil {
		t.Fatal(err)
	}
	c := r.dial()
	r.blocked.Lock()
	sent := 0
	for ; sent < 2000; sent++ {
		r.send(c, strings.Repeat(text(sent, 1), 20))
	}
	r.blocked.Unlock()
	until(t, "all are stored or counted", func() bool {
		r.send(c, text(0, 20)) // the kernel tells with the next one
		sent++
		for end := time.Now().Add(time.Second); time.Now().Before(end); time.Sleep(time.Millisecond) {
			if r.dropped("udp_overflow") > 0 && r.count()/20+r.dropped("udp_overflow") == sent {
				return true
			}
		}
		return false
	})
}
