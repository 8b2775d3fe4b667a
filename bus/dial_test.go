package bus_test

import (
	"context"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/pacewire/pacewire/bus"
	"github.com/pacewire/pacewire/bus/bustest"
)

// credentials writes the file that an agent gives its plugin.
func credentials(t testing.TB, user, password string) string {
	t.Helper()
	text, err := json.Marshal(map[string]string{"user": user, "password": password})
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "creds")
	if err := os.WriteFile(path, text, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// fails dials with o until the reason why it does not connect is known: want is a part of it.
func fails(t *testing.T, o bus.Options, want string) (err error) {
	t.Helper()
	o.Wait = 300 * time.Millisecond
	bustest.Wait(t, limit, want, func() bool {
		var c *bus.Conn
		if c, err = bus.Dial(t.Context(), o); err == nil {
			c.Close()
			t.Fatalf("%+v: connected; want %q", o, want)
		}
		return strings.Contains(err.Error(), want)
	})
	return err
}

func TestDialRefuses(t *testing.T) {
	f := func(o bus.Options, want string) {
		t.Helper()
		c, err := bus.Dial(t.Context(), o)
		if err == nil {
			c.Close()
		}
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%+v: %v; want %q", o, err, want)
		}
	}
	open := credentials(t, "u", "p")
	if err := os.Chmod(open, 0o644); err != nil {
		t.Fatal(err)
	}
	garbage := credentials(t, "", "p")
	f(bus.Options{URL: "nats://127.0.0.1:1"}, "user")
	f(bus.Options{URL: "nats://127.0.0.1:1", User: "a.b"}, "user")
	f(bus.Options{URL: "nats://127.0.0.1:1", User: "u", CredsFile: "/nonexistent"}, "no such file")
	f(bus.Options{URL: "nats://127.0.0.1:1", User: "u", CredsFile: open}, "chmod 600")
	f(bus.Options{URL: "nats://127.0.0.1:1", User: "u", CredsFile: garbage}, "want {")
	f(bus.Options{URL: "nats://me:hidden@127.0.0.1:1", User: "u", Wait: 50 * time.Millisecond}, "nats://127.0.0.1:1: bus is not connected after 50ms: ")
}

func TestDialDoesNotTellSecrets(t *testing.T) {
	_, err := bus.Dial(t.Context(), bus.Options{URL: "nats://me:hidden@127.0.0.1:1", User: "u", Wait: time.Millisecond})
	if err == nil || strings.Contains(err.Error(), "hidden") {
		t.Errorf("error shows the password: %v", err)
	}
}

// The connection outlives the server, whoever was there first.
func TestConnectLater(t *testing.T) {
	b := bustest.New(t)
	b.Stop(t)
	ups, downs := make(chan struct{}, 10), make(chan struct{}, 10)
	c, err := bus.Dial(t.Context(), bus.Options{
		URL: b.URL, User: "u", Log: bustest.Log(t),
		OnConnect:    func() { ups <- struct{}{} },
		OnDisconnect: func(error) { downs <- struct{}{} },
	})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if c.Connected() || c.MaxPayload() != 0 {
		t.Error("connected to a stopped server")
	}
	if err := c.Tell("pw.log.h.p", []byte("x")); !errors.Is(err, bus.ErrDisconnected) {
		t.Errorf("Tell while away: %v", err)
	}
	b.Start(t)
	<-ups
	if !c.Connected() || c.MaxPayload() != 1<<20 || c.ServerVersion() == "" || c.User() != "u" {
		t.Errorf("connected %v, payload %d", c.Connected(), c.MaxPayload())
	}
	if _, err := c.RTT(); err != nil {
		t.Error(err)
	}
	b.Restart(t)
	<-downs
	<-ups
}

func TestInProcess(t *testing.T) {
	b := bustest.New(t)
	c := b.Dial(t, bus.Options{User: "hub", InProcess: b.Server()})
	if s := streamState(t, c, bus.StreamMetrics); s.Messages != 0 {
		t.Errorf("%+v", s)
	}
}

func TestWrongPassword(t *testing.T) {
	b := bustest.Guarded(t)
	err := fails(t, bus.Options{URL: b.URL, User: "h1_cpu", CredsFile: credentials(t, "h1_cpu", "wrong")}, "uthorization")
	if !errors.Is(err, bus.ErrDisconnected) {
		t.Errorf("dial with a wrong password: %v", err)
	}
}

func TestDrain(t *testing.T) {
	b := bustest.New(t)
	c := b.Conn(t, "u")
	if err := c.Drain(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := c.Drain(t.Context()); err != nil {
		t.Errorf("again: %v", err)
	}
	if err := c.Tell("pw.log.h.p", nil); !errors.Is(err, bus.ErrClosed) {
		t.Errorf("after: %v", err)
	}
}

func TestRequestErrors(t *testing.T) {
	b := bustest.New(t)
	c := b.Conn(t, "u")
	ctx, cancel := context.WithTimeout(t.Context(), limit)
	defer cancel()
	if _, err := c.Request(ctx, bus.HubSubject("get"), []byte("x")); !errors.Is(err, bus.ErrNoResponders) {
		t.Errorf("nobody: %v", err)
	}
	deaf, err := bus.Handle(b.Conn(t, "hub"), bus.HubSubject("get"), bus.Rules{}, text,
		func(context.Context, bus.Subject, string) ([]byte, error) { return nil, nil })
	if err != nil {
		t.Fatal(err)
	}
	defer deaf.Stop()
	bustest.Wait(t, limit, "a listener", func() bool {
		short, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
		defer cancel()
		_, err := c.Request(short, bus.HubSubject("get"), []byte("x"))
		return errors.Is(err, bus.ErrTimeout)
	})
	b.Stop(t)
	bustest.Wait(t, limit, "disconnect", func() bool { return !c.Connected() })
	if _, err := c.Request(ctx, bus.HubSubject("get"), []byte("x")); !errors.Is(err, bus.ErrDisconnected) {
		t.Errorf("away: %v", err)
	}
}

// text decodes any body.
func text(body []byte) (string, error) { return string(body), nil }
