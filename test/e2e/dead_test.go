package e2e

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

// A picky is a database that takes line protocol as InfluxDB does and, until it is mended, refuses each write with a bad point.
type picky struct {
	*httptest.Server
	mu     sync.Mutex
	mended bool
	away   bool
	lines  []string
}

func newPicky(t *testing.T) *picky {
	t.Helper()
	p := &picky{}
	p.Server = httptest.NewServer(http.HandlerFunc(p.write))
	t.Cleanup(p.Close)
	return p
}

func (p *picky) write(w http.ResponseWriter, r *http.Request) {
	text, err := io.ReadAll(r.Body)
	p.mu.Lock()
	defer p.mu.Unlock()
	switch {
	case err != nil || r.URL.Path != "/write":
		w.WriteHeader(http.StatusNoContent)
	case p.away:
		w.WriteHeader(http.StatusServiceUnavailable)
	case strings.Contains(string(text), "bad=") && !p.mended:
		w.WriteHeader(http.StatusBadRequest)
		_, _ = io.WriteString(w, `{"error":"unable to parse: no field is called bad here"}`)
	default:
		p.lines = append(p.lines, strings.Fields(string(text))...)
		w.WriteHeader(http.StatusNoContent)
	}
}

// be makes it take what it has refused, or be away.
func (p *picky) be(mended, away bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.mended, p.away = mended, away
}

// count returns how often a point came that has a field.
func (p *picky) count(field string) (n int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, word := range p.lines {
		if strings.HasPrefix(word, field) {
			n++
		}
	}
	return n
}

// A letter is a dead letter as dead list shows it.
type letter struct {
	ID                                uint64
	Plugin, Reason, Error, Host, From string
	Points                            int
}

func (s *system) letters() (list []letter) {
	s.t.Helper()
	if err := json.Unmarshal([]byte(s.do("dead", "list", "-o", "json")), &list); err != nil {
		s.t.Fatal(err)
	}
	return list
}

// upWith runs a config with the publishers in it, in which $URL is the database.
func upWith(t *testing.T, db *picky, publishers string) *system {
	t.Helper()
	return up(t, "collect: { host: { only: [load], every: 1h } }\npublish: { "+strings.ReplaceAll(publishers, "$URL", db.URL)+" }\n")
}

// What a sink refuses is listed with its reason; when the sink is mended it is given again, and stored once.
func TestDeadLetters(t *testing.T) {
	t.Parallel()
	db := newPicky(t)
	s := upWith(t, db, `db: { use: influxdb, from: send, url: "$URL", create_database: false }, file: { use: lines, from: send, path: points.lp }`)
	for _, line := range []string{"job,k=a good=1\n", "job,k=b bad=1\n", "job,k=c good=1\n", "job,k=d bad=1\n"} {
		s.send(line)
	}
	s.await(readyWithin, "both bad points are set aside", func() bool { return len(s.letters()) == 2 && db.count("good=1") == 2 })
	list := s.letters()
	for _, l := range list {
		if l.Plugin != "db" || l.Points != 1 || l.From != "send" || l.Host == "" {
			t.Errorf("letter %+v", l)
		}
	}
	contains(t, "the list", s.do("dead", "list", "--plugin", "db"), "rejected", "unable to parse: no field is called bad here")
	contains(t, "a letter", s.do("dead", "show", fmt.Sprint(list[0].ID)), "job,", "k=b", "bad=1", "rejected")

	r := s.verb("dead", "retry", "--plugin", "db")
	if r.code != 1 {
		t.Fatalf("exit code %d: %s", r.code, r.err)
	}
	contains(t, "while the sink refuses", r.out, "2 letters given again, 0 delivered, 2 refused again")
	if n := len(s.letters()); n != 2 || db.count("bad=") != 0 {
		t.Errorf("%d letters, %d bad points stored", n, db.count("bad="))
	}

	db.be(true, false)
	contains(t, "after it was mended", s.do("dead", "retry", fmt.Sprint(s.letters()[0].ID)), "1 letter given again, 1 delivered, 0 refused again")
	contains(t, "those of all", s.do("dead", "retry", "--all"), "1 delivered")
	if n := len(s.letters()); n != 0 || db.count("bad=") != 2 || db.count("good=") != 2 {
		t.Errorf("%d letters, %d bad and %d good points", n, db.count("bad="), db.count("good="))
	}
	s.await(readyWithin, "the other publisher has written all points", func() bool { return len(lines(t, s.path("points.lp"))) >= 4 })
	hold(t, time.Second) // for what comes too often
	if n := len(lines(t, s.path("points.lp"))); n != 4 {
		t.Errorf("the other publisher has written %d points", n)
	}
	s.drain()
}

// A letter that is under way again when the agent is killed, and the bus with it, arrives when both are back: once.
func TestDeadLetterOutlivesAgent(t *testing.T) {
	t.Parallel()
	db := newPicky(t)
	s := upWith(t, db, `db: { use: influxdb, from: send, url: "$URL", create_database: false }`)
	s.send("job,k=a bad=1\n")
	s.await(readyWithin, "the point is set aside", func() bool { return len(s.letters()) == 1 })
	db.be(true, true)
	limit := 2 * time.Second
	s.await(readyWithin, "the letter is under way, and the verb does not see its end", func() bool {
		r := s.verb("dead", "retry", "--all", "--timeout", limit.String())
		if r.code != 75 {
			t.Fatalf("while the sink is away: exit code %d: %s", r.code, r.err)
		}
		limit *= 2 // it may have been too short to begin
		return strings.Contains(r.err, "it goes on; --timeout")
	})
	if err := s.cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	s.exit(endWithin)
	s = s.start("up", "--plain", s.path("pacewire.yaml"))
	s.awaitRunning()
	db.be(true, false)
	s.await(readyWithin, "the point arrives, and nothing is left to do", func() bool {
		return db.count("bad=") == 1 && strings.Contains(s.text(), "has been given again all that was asked for")
	})
	if n := len(s.letters()); n != 0 {
		t.Errorf("%d letters are left", n)
	}
	s.drain()
	if n := db.count("bad="); n != 1 {
		t.Errorf("it arrived %d times", n)
	}
}

func TestDropDeadLetters(t *testing.T) {
	t.Parallel()
	db := newPicky(t)
	s := upWith(t, db, `db: { use: influxdb, from: send, url: "$URL", create_database: false }`)
	for i := range 3 {
		s.send(fmt.Sprintf("job,k=%d bad=1\n", i))
	}
	s.await(readyWithin, "three points are set aside", func() bool { return len(s.letters()) == 3 })
	list := s.letters()
	contains(t, "one", s.do("dead", "drop", fmt.Sprint(list[1].ID)), "1 letter dropped")
	if left := s.letters(); len(left) != 2 || slices.ContainsFunc(left, func(l letter) bool { return l.ID == list[1].ID }) {
		t.Errorf("left are %+v", left)
	}
	r := s.verb("dead", "drop", fmt.Sprint(list[1].ID))
	if r.code != 64 {
		t.Errorf("a second time: exit code %d: %s", r.code, r.err)
	}
	contains(t, "a second time", r.err, "no such dead letter", "pacewire dead list")
	contains(t, "the others", s.do("dead", "drop", "--plugin", "db", "--reason", "rejected"), "2 letters dropped")
	if left := s.letters(); len(left) != 0 {
		t.Errorf("left are %+v", left)
	}
	s.drain()
}

// A replay brings a part of the past to one publisher again, and to no other.
func TestReplay(t *testing.T) {
	t.Parallel()
	db := newPicky(t)
	s := upWith(t, db, `db: { use: influxdb, from: send, url: "$URL", create_database: false }, file: { use: lines, from: send, path: points.lp }`)
	s.send("job,k=a early=1\n")
	from := time.Now()
	s.send("job,k=b late=1\n")
	s.await(readyWithin, "both are stored", func() bool { return db.count("early=") == 1 && db.count("late=") == 1 })
	out := s.do("replay", "db", "--since", from.UTC().Format(time.RFC3339Nano))
	contains(t, "a replay", out, "db was given 1 batch again")
	if early, late := db.count("early="), db.count("late="); early != 1 || late != 2 {
		t.Errorf("%d and %d points", early, late)
	}
	s.do("replay", "db", "--since", "1h")
	if early, late := db.count("early="), db.count("late="); early != 2 || late != 3 {
		t.Errorf("%d and %d points", early, late)
	}
	s.await(readyWithin, "the other publisher has written both points", func() bool { return len(lines(t, s.path("points.lp"))) >= 2 })
	if n := len(lines(t, s.path("points.lp"))); n != 2 {
		t.Errorf("the other publisher has written %d points", n)
	}
	contains(t, "one that is over", s.do("replay", "db", "--stop"), "no replay is under way")
	f := func(code int, want string, args ...string) {
		t.Helper()
		r := s.verb(append([]string{"replay"}, args...)...)
		if r.code != code {
			t.Errorf("replay %v: exit code %d", args, r.code)
		}
		contains(t, "replay "+strings.Join(args, " "), r.err, want)
	}
	f(64, `did you mean db?`, "dbb", "--since", "1h")
	f(64, "--since", "db")
	f(64, "yesterday", "db", "--since", "yesterday")
	f(78, "reads nothing", "host", "--since", "1h")
	s.drain()
}

// A publisher that is new begins where its config says: with all there is, some time ago, at a time, or with what is new.
func TestStart(t *testing.T) {
	t.Parallel()
	s := up(t, "publish: { first: { use: lines, from: send, path: first.lp } }\n")
	s.send("job,k=a early=1\n")
	since := time.Now().UTC().Format(time.RFC3339Nano)
	s.send("job,k=b late=1\n")
	s.write("pacewire.yaml", `publish:
  first: { use: lines, from: send, path: first.lp }
  whole: { use: lines, from: send, path: whole.lp, start: all }
  day: { use: lines, from: send, path: day.lp, start: 24h ago }
  time: { use: lines, from: send, path: time.lp, start: `+since+` }
  new: { use: lines, from: send, path: new.lp, start: new }
  usual: { use: lines, from: send, path: usual.lp }
`)
	s.do("reload")
	s.awaitRunning()
	s.send("job,k=c last=1\n")
	f := func(name string, want ...string) {
		t.Helper()
		var got []string
		s.await(readyWithin, name+" has what it wants", func() bool {
			got = lines(t, s.path(name+".lp"))
			return len(got) >= len(want)
		})
		for i, line := range got {
			if i >= len(want) || !strings.Contains(line, want[i]) {
				t.Errorf("%s has %q, want %q", name, got, want)
			}
		}
	}
	f("first", "early", "late", "last")
	f("whole", "early", "late", "last")
	f("day", "early", "late", "last")
	f("time", "late", "last")
	f("new", "last")
	f("usual", "last")
	s.drain()
}
