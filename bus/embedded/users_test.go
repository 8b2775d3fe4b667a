package embedded_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/pacewire/pacewire/bus/embedded"
	"github.com/pacewire/pacewire/internal/texttest"
)

// as connects with a grant.
func as(g embedded.Grant) nats.Option { return nats.UserInfo(g.User, g.Password) }

func refused(t *testing.T, url string, o ...nats.Option) {
	t.Helper()
	nc, err := nats.Connect(url, append(o, nats.Timeout(limit))...)
	if !errors.Is(err, nats.ErrAuthorization) {
		t.Errorf("connect: %v; want a refusal", err)
		nc.Close()
	}
}

// refusedInside is refused without a socket. There both sides write at a time and
// wait for each other, so all the client sees is that it cannot go on.
func refusedInside(t *testing.T, s *embedded.Server, o ...nats.Option) {
	t.Helper()
	if nc, err := nats.Connect("", append(o, nats.InProcessServer(s), nats.FlusherTimeout(time.Second))...); err == nil {
		t.Error("connected in this process")
		nc.Close()
	}
}

func dial(t *testing.T, url string, o ...nats.Option) *nats.Conn {
	t.Helper()
	nc, err := nats.Connect(url, append(o, nats.Timeout(limit), nats.NoReconnect())...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(nc.Close)
	return nc
}

func TestPassword(t *testing.T) {
	users := new(embedded.Users)
	g := users.Grant("pacewire", nil)
	s := start(t, embedded.Options{Users: users})
	stream(t, connect(t, s.URL(), as(g)))
	stream(t, connect(t, "", nats.InProcessServer(s), as(g)))
	refused(t, s.URL())
	refused(t, s.URL(), nats.UserInfo("pacewire", "wrong"))
	refused(t, s.URL(), nats.UserInfo("pacewire", ""))
	refused(t, s.URL(), nats.UserInfo("other", g.Password))
	refused(t, s.URL(), nats.Token(g.Password))
	refusedInside(t, s, nats.UserInfo("pacewire", "wrong"))
	if users.Refused() != 6 {
		t.Errorf("%d refused", users.Refused())
	}
}

// Nobody is admitted by a server that knows nobody, nor by an empty password.
func TestNoUsers(t *testing.T) {
	users := new(embedded.Users)
	users.Restore("empty", "", nil)
	s := start(t, embedded.Options{Users: users})
	refused(t, s.URL())
	refused(t, s.URL(), nats.UserInfo("empty", ""))
	embedded.Grant{}.Revoke()
}

// Two processes of one user have grants of their own: the end of one is not the
// end of the other.
func TestRevoke(t *testing.T) {
	users := new(embedded.Users)
	old, fresh := users.Grant("h1_cpu", nil), users.Grant("h1_cpu", nil)
	if old.Password == fresh.Password || len(old.Password) < 43 {
		t.Fatal("passwords are not 256 random bits")
	}
	s := start(t, embedded.Options{Users: users})
	gone := []*nats.Conn{dial(t, s.URL(), as(old)), dial(t, s.URL(), as(old)), dial(t, "", nats.InProcessServer(s), as(old))}
	stays := dial(t, s.URL(), as(fresh))
	old.Revoke()
	for _, nc := range gone {
		wait(t, "the end of a connection", nc.IsClosed)
	}
	refused(t, s.URL(), as(old))
	refusedInside(t, s, as(old))
	if err := stays.Flush(); err != nil {
		t.Errorf("the other grant: %v", err)
	}
	old.Revoke()
	// An agent that comes back knows only the password.
	fresh.Revoke()
	again := users.Restore(fresh.User, fresh.Password, nil)
	if err := dial(t, s.URL(), as(fresh)).Flush(); err != nil {
		t.Errorf("restored: %v", err)
	}
	again.Revoke()
	refused(t, s.URL(), as(fresh))
}

// Connections that begin while their grant is revoked are refused or closed: none
// stays.
func TestRevokeWhileConnecting(t *testing.T) {
	users := new(embedded.Users)
	s := start(t, embedded.Options{Users: users})
	for range 20 {
		g := users.Grant("u", nil)
		first := dial(t, s.URL(), as(g))
		var mu sync.Mutex
		made := []*nats.Conn{first}
		var all sync.WaitGroup
		for range 4 {
			all.Go(func() {
				nc, err := nats.Connect(s.URL(), as(g), nats.NoReconnect(), nats.Timeout(limit))
				if err != nil {
					return // refused, or closed while it began
				}
				mu.Lock()
				defer mu.Unlock()
				made = append(made, nc)
			})
		}
		g.Revoke()
		all.Wait()
		for _, nc := range made {
			wait(t, "the end of a connection", nc.IsClosed)
		}
	}
}

// A user may come back very often: old connections are forgotten, living ones are
// not.
func TestRevokeAfterMany(t *testing.T) {
	users := new(embedded.Users)
	s := start(t, embedded.Options{Users: users})
	g := users.Grant("u", nil)
	keep := dial(t, s.URL(), as(g))
	for range 100 {
		nc := dial(t, s.URL(), as(g))
		nc.Close()
	}
	g.Revoke()
	wait(t, "the end of the first connection", keep.IsClosed)
}

// A restarted server counts its connections anew, and must not close those of
// others by numbers of before.
func TestRevokeAfterRestart(t *testing.T) {
	users := new(embedded.Users)
	old, other := users.Grant("old", nil), users.Grant("other", nil)
	dir := t.TempDir()
	s := start(t, embedded.Options{Users: users, Dir: dir})
	dial(t, s.URL(), as(old))
	s.Shutdown()
	s = start(t, embedded.Options{Users: users, Dir: dir})
	nc := dial(t, s.URL(), as(other)) // has the number that the one of old had
	old.Revoke()
	if err := nc.Flush(); err != nil || nc.IsClosed() {
		t.Errorf("the other user was disconnected: %v", err)
	}
}

func TestRights(t *testing.T) {
	users := new(embedded.Users)
	tried := make(chan string, 10)
	s := start(t, embedded.Options{Users: users, OnDenied: func(user string) { tried <- user }})
	client := func(user string, r *embedded.Rights) (*nats.Conn, chan error) {
		t.Helper()
		errs := make(chan error, 10)
		return dial(t, s.URL(), as(users.Grant(user, r)), nats.ErrorHandler(func(_ *nats.Conn, _ *nats.Subscription, err error) { errs <- err })), errs
	}
	denied := func(nc *nats.Conn, errs chan error, subject string) {
		t.Helper()
		if err := nc.Publish(subject, []byte("x")); err != nil {
			t.Fatal(err)
		}
		select {
		case err := <-errs:
			if !errors.Is(err, nats.ErrPermissionViolation) || !strings.Contains(err.Error(), subject) {
				t.Errorf("publish on %s: %v", subject, err)
			}
		case <-time.After(limit):
			t.Errorf("publish on %s was let through", subject)
		}
	}
	told := func(user string) {
		t.Helper()
		select {
		case got := <-tried:
			if got != user {
				t.Errorf("told of %s, want %s", got, user)
			}
		case <-time.After(limit):
			t.Errorf("not told of %s", user)
		}
	}
	some, someErrs := client("some", &embedded.Rights{Publish: []string{"a"}, Subscribe: []string{"_INBOX.>", "q"}, Responses: 1, ResponseTime: limit})
	none, noneErrs := client("none", &embedded.Rights{})
	all, _ := client("all", nil)
	denied(some, someErrs, "b")
	told("some")
	denied(none, noneErrs, "a")
	told("none")
	if _, err := some.Subscribe("q", func(m *nats.Msg) { _ = m.Respond([]byte("answer")) }); err != nil {
		t.Fatal(err)
	}
	if err := some.Flush(); err != nil {
		t.Fatal(err)
	}
	if m, err := all.Request("q", nil, limit); err != nil || string(m.Data) != "answer" {
		t.Errorf("response right: %v", err)
	}
}

// The log names who was refused once a minute, and never a password. A client that
// floods with what it may not do floods no log.
func TestRefusalsInTheLog(t *testing.T) {
	var out texttest.Buffer
	users := new(embedded.Users)
	s := start(t, embedded.Options{Users: users, Log: slog.New(slog.NewTextHandler(&out, nil))})
	for range 10 {
		refused(t, s.URL(), nats.UserInfo("h1_cpu", "guess-4711"))
	}
	refused(t, s.URL(), nats.UserInfo("h1_mem", "guess-4711"))
	quiet := nats.ErrorHandler(func(*nats.Conn, *nats.Subscription, error) {})
	nc := dial(t, s.URL(), as(users.Grant("bad", &embedded.Rights{})), nats.Name("authentication error"), quiet)
	for range 10 {
		if err := nc.Publish("pw.x", nil); err != nil {
			t.Fatal(err)
		}
	}
	if err := nc.Flush(); err != nil {
		t.Fatal(err)
	}
	text := out.String()
	f := func(part string, want int) {
		t.Helper()
		if n := strings.Count(text, part); n != want {
			t.Errorf("log has %d x %q; want %d:\n%s", n, part, want, text)
		}
	}
	f("user=h1_cpu", 1)
	f("user=h1_mem", 1)
	f("guess-4711", 0)
	f("Publish Violation", 1)
	f("level=ERROR", 0)
}

// A grant shows its user and hides its password, but is a credentials file.
func TestGrantIsPrintedWithoutPassword(t *testing.T) {
	g := new(embedded.Users).Grant("h1_cpu", nil)
	var out bytes.Buffer
	slog.New(slog.NewJSONHandler(&out, nil)).Info("grant", "grant", g)
	fmt.Fprintf(&out, "%v %+v %s %#v", g, g, g, g)
	if text := out.String(); strings.Contains(text, g.Password) || strings.Count(text, "h1_cpu") != 5 {
		t.Errorf("printed: %s", text)
	}
	file, err := json.Marshal(g)
	if err != nil || string(file) != `{"user":"h1_cpu","password":"`+g.Password+`"}` {
		t.Errorf("file %s, %v", file, err)
	}
}

// A wrong password costs the server little: no wait, no lock held.
func BenchmarkRefused(b *testing.B) {
	users := new(embedded.Users)
	users.Grant("u", nil)
	s, err := embedded.Start(b.Context(), embedded.Options{Dir: b.TempDir(), Listen: "127.0.0.1:0", Users: users})
	if err != nil {
		b.Fatal(err)
	}
	defer s.Shutdown()
	for b.Loop() {
		if nc, err := nats.Connect(s.URL(), nats.UserInfo("u", "wrong")); err == nil {
			nc.Close()
		}
	}
}
