package lines

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/pacewire/pacewire/plugin"
	"github.com/pacewire/pacewire/telemetry"
)

// in returns a config of another format.
func in(format, listen string, change func(*Config)) Config {
	cfg := config(listen)
	cfg.Format = format
	if change != nil {
		change(&cfg)
	}
	return cfg
}

// linesOf returns points as line protocol, in the order of their texts.
func linesOf(points []telemetry.Point) (lines []string) {
	for _, p := range points {
		var b telemetry.Batch
		b.Append(p)
		lines = append(lines, strings.TrimSuffix(string(b.AppendLines(nil)), "\n"))
	}
	slices.Sort(lines)
	return lines
}

const (
	graphiteText = "servers.web-1.cpu.idle 97.5 1700000000\r\n\n" +
		"servers.web-2.cpu.idle 3 1700000001\n" +
		"free.path;dc=ams 1e3 1700000002\n"
	graphitePoints = `cpu,host=web-1 idle=97.5 1700000000000000000
cpu,host=web-2 idle=3 1700000001000000000
free.path,dc=ams value=1000 1700000002000000000`
)

func byTemplates(c *Config) { c.Templates = []string{"servers.* .host.series.field*"} }

// What senders of each format send comes out as points, over each transport that they use.
func TestFormats(t *testing.T) {
	f := func(format, listen string, change func(*Config), text, want string) {
		t.Helper()
		r := start(t, in(format, listen, change))
		r.send(r.dial(), text)
		wanted := strings.Split(want, "\n")
		if got := linesOf(r.take(t, len(wanted))); !slices.Equal(got, wanted) {
			t.Errorf("%s over %s:\n%s\nwant\n%s", format, listen, strings.Join(got, "\n"), want)
		}
		r.stop()
	}
	const tcp, udp = "tcp://127.0.0.1:0", "udp://127.0.0.1:0"
	unix := func() string { return "unix://" + filepath.Join(t.TempDir(), "s") }
	for _, listen := range []string{tcp, udp, unix()} {
		f("graphite", listen, byTemplates, graphiteText, graphitePoints)
		f("graphite_plaintext", listen, byTemplates, graphiteText, graphitePoints)
		f("opentsdb", listen, nil, "put cpu.idle 1700000000 97.5 host=web-1 cpu=0\nput cpu.idle 1700000001500 3 host=web-1\n",
			"cpu.idle,cpu=0,host=web-1 value=97.5 1700000000000000000\ncpu.idle,host=web-1 value=3 1700000001500000000")
		f("json", listen, func(c *Config) { c.Series, c.JSON.TimeKey = "door", "at" }, `{"open": true, "at": 1700000000}`+"\n"+`[{"n": 3, "at": 1700000001}, {"n": 4, "at": 1700000002}]`+"\n",
			"door n=3 1700000001000000000\ndoor n=4 1700000002000000000\ndoor open=true 1700000000000000000")
		f("collectd", listen, nil, "PUTVAL web-1/disk-sda/disk_ops interval=10 1700000000:1:2 1700000010:3:U\n# a comment\nPUTVAL localhost/load/load 1700000000:0.5\n",
			"disk_disk_ops,host=web-1,instance=sda value0=1,value1=2 1700000000000000000\n"+
				"disk_disk_ops,host=web-1,instance=sda value0=3 1700000010000000000\nload_load value=0.5 1700000000000000000")
	}
	// A document of several lines is one where it is a datagram.
	f("json", udp, nil, "{\n \"series\": \"door\",\n \"time\": 1700000000000000000, \"fields\": {\"n\": 3}\n}", "door n=3 1700000000000000000")
}

// What a line gets wrong costs itself, and is counted by its reason; so are lines that are too long or have no end.
func TestOthersBadLines(t *testing.T) {
	f := func(format, text string, points int, want map[string]int) {
		t.Helper()
		for _, listen := range []string{"tcp://127.0.0.1:0", "udp://127.0.0.1:0"} {
			r := start(t, in(format, listen, func(c *Config) { c.MaxLine = 200 }))
			c := r.dial()
			r.send(c, text)
			_ = c.Close()
			r.take(t, points)
			until(t, fmt.Sprintf("%s over %s: the drops %v", format, listen, want), func() bool {
				r.mu.Lock()
				defer r.mu.Unlock()
				return fmt.Sprint(r.drops) == fmt.Sprint(want)
			})
		}
	}
	long := strings.Repeat("x", 201)
	f("graphite", "a.b 1 1700000000\nrubbish\na.b NaN 1\n\xff\xfe\na.b 2 99999999999\n"+long+"\na.b 3 1700000001\n", 2,
		map[string]int{"line": 2, "nan": 1, "time_range": 1, "too_long": 1})
	f("opentsdb", "put a 1700000000 1 t=u\nput a 1700000000 1\nput a 12345678901 1 t=u\nput b 1700000000 2 t=u\n", 2, map[string]int{"line": 2})
	f("collectd", "PUTVAL h/a/b 1:2\nGETVAL h/a/b\nPUTVAL h/a/b 1:x\nPUTVAL h/a 1:2\nPUTVAL \"h/a/b 1:2\nPUTVAL h/a/b 2:2\n", 2,
		map[string]int{"unknown_command": 1, "bad_value": 1, "line": 2})
	f("json", "{\"series\":\"a\",\"fields\":{\"n\":1}}\n{\"series\":\n[1\n{\"series\":\"a\",\"fields\":{\"n\":2}}\n", 2, map[string]int{"line": 2})
}

// A last line without an end does not count: half a number is a number, too.
func TestOthersUnfinished(t *testing.T) {
	r := start(t, in("graphite", "tcp://127.0.0.1:0", nil))
	c := r.dial()
	r.send(c, "a.b 1 1700000000\na.b 12")
	_ = c.Close()
	r.take(t, 1)
	until(t, "the half line is counted", func() bool { return r.dropped("unfinished") == 1 })
}

// However the text is cut, the same points come out.
func TestOthersSplit(t *testing.T) {
	r := start(t, in("graphite", "tcp://127.0.0.1:0", func(c *Config) { c.Flush = 0 }))
	c := r.dial()
	const n = 5000
	var text strings.Builder
	for i := range n {
		fmt.Fprintf(&text, "some.longer.path.number %d %d\n", i, 1700000000+i)
	}
	for left := text.String(); left != ""; {
		k := min(len(left), 1+len(left)%9973)
		r.send(c, left[:k])
		left = left[k:]
	}
	for i, p := range r.take(t, n) {
		if p.Fields["value"] != float64(i) || p.Time.Unix() != int64(1700000000+i) {
			t.Fatalf("point %d: %v", i, p)
		}
	}
}

// Types of a types.db name the values.
func TestTypesDB(t *testing.T) {
	path := filepath.Join(t.TempDir(), "types.db")
	if err := os.WriteFile(path, []byte("disk_ops read:DERIVE:0:U, write:DERIVE:0:U\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	r := start(t, in("collectd", "udp://127.0.0.1:0", func(c *Config) { c.TypesDB = []string{path} }))
	r.send(r.dial(), "PUTVAL web-1/disk-sda/disk_ops 1700000000:1:2")
	want := "disk_disk_ops,host=web-1,instance=sda read=1i,write=2i 1700000000000000000"
	if got := linesOf(r.take(t, 1)); got[0] != want {
		t.Errorf("%s, want %s", got[0], want)
	}
}

// A talk is what a client of collectd's socket has with us.
type talk struct {
	*testing.T
	net.Conn
	answers *bufio.Scanner
}

func (r *rig) talk(t *testing.T) talk {
	t.Helper()
	c := r.dial()
	if err := c.SetDeadline(time.Now().Add(patience)); err != nil {
		t.Fatal(err)
	}
	return talk{t, c, bufio.NewScanner(c)}
}

// ask sends a text and returns so many answers to it.
func (c talk) ask(text string, n int) (answers []string) {
	c.Helper()
	if _, err := io.WriteString(c, text); err != nil {
		c.Fatal(err)
	}
	for range n {
		if !c.answers.Scan() {
			c.Fatalf("no answer to %q: %v", text, c.answers.Err())
		}
		answers = append(answers, c.answers.Text())
	}
	return answers
}

// Clients of collectd's socket wait for the answer to each line before they send the next, and look at its number.
func TestAnswers(t *testing.T) {
	path := "unix://" + filepath.Join(t.TempDir(), "s")
	r := start(t, in("collectd", path, func(c *Config) { c.Flush, c.MaxLine = plugin.Duration(time.Minute), 200 })) // answers do not wait for others
	c := r.talk(t)
	f := func(text string, want ...string) {
		t.Helper()
		got := c.ask(text, len(want))
		for i, w := range want {
			if got[i] != w && (!strings.HasSuffix(w, "...") || !strings.HasPrefix(got[i], strings.TrimSuffix(w, "..."))) {
				t.Errorf("%q: the answer is %q, want %q", text, got[i], w)
			}
		}
	}
	f("PUTVAL h/load/load interval=10 N:0.5\n", "0 Success: 1 value has been dispatched.")
	f("putval h/load/load 1700000000:1 1700000010:2\r\n", "0 Success: 2 values have been dispatched.")
	f("PUTVAL h/load/load N:U\n", "0 Success: 0 values have been dispatched.")
	f("\n# nothing to answer\nPUTNOTIF severity=failure time=1700000000 host=web-1 plugin=df message=it is full\n", "0 Success")
	f("LISTVAL\n", `-1 "LISTVAL": want PUTVAL or PUTNOTIF`)
	f("PUTVAL h/load N:1\nPUTVAL h/load/load N:1\n", `-1 identifier "h/load": want host/plugin/type...`, "0 Success: 1 value has been dispatched.")
	f("PUTVAL h/load/load N:x\n", "-1 load/load: value \"x\" of value: want a number, or U")
	f(strings.Repeat("x", 300)+"\nPUTVAL h/load/load N:1\n", `-1 longer than 200 bytes, begins with "xxx...`, "0 Success: 1 value has been dispatched.")
	f("PUTVAL h/load/load ")
	f("N:1\n", "0 Success: 1 value has been dispatched.")
	r.stop()
	r.take(t, 1+2+2+3) // a notification is a state and an event
}

// Senders of OpenTSDB ask whether somebody is there, and hear nothing else.
func TestVersion(t *testing.T) {
	for _, format := range []string{"opentsdb", "opentsdb_line"} {
		r := start(t, in(format, "tcp://127.0.0.1:0", nil))
		c := r.talk(t)
		if got := c.ask("put a 1700000000 1 t=u\nput\nversion\r\n", 1); got[0] != "pacewire takes put" {
			t.Errorf("%s: %q", format, got)
		}
		r.take(t, 1)
		until(t, "the bad line is counted, and no other", func() bool { return r.dropped("line") == 1 })
	}
}

// One who does not read its answers gets no more of them, and is heard all the same.
func TestAnswersUnread(t *testing.T) {
	r := start(t, in("collectd", "unix://"+filepath.Join(t.TempDir(), "s"), nil))
	c := r.dial()
	const n = 50_000 // whose answers no socket holds
	for range n / 1000 {
		r.send(c, strings.Repeat("PUTVAL h/load/load 1700000000:1\n", 1000))
	}
	r.take(t, n)
	other := r.talk(t)
	if got := other.ask("PUTVAL h/load/load N:1\n", 1); got[0] != "0 Success: 1 value has been dispatched." {
		t.Errorf("another one is told %q", got)
	}
}
