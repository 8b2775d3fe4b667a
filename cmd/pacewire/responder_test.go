package main

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/pacewire/pacewire/bus"
	"github.com/pacewire/pacewire/bus/bustest"
	"github.com/pacewire/pacewire/bus/embedded"
	"github.com/pacewire/pacewire/internal/texttest"
	"github.com/pacewire/pacewire/telemetry"
)

// soon is for what happens at once on a machine that has time.
const soon = time.Minute

// A responder is an agent on a real bus that answers as the test says.
type responder struct {
	mu    sync.Mutex
	asked []string // verb and arguments
	verbs map[string]answer
	stop  func()
}

// answer returns a payload, or why there is none. A nil payload without a fault is silence.
type answer func(args map[string]any) (any, *telemetry.Fault)

// respond starts a responder for a host on a bus.
func respond(t testing.TB, b *bustest.Bus, host string, verbs map[string]answer) *responder {
	t.Helper()
	r := &responder{verbs: verbs}
	conn := b.Conn(t, bus.User(host, bus.Agent))
	decode := func(body []byte) (telemetry.CtlRequest, error) {
		q, _, err := telemetry.DecodeCtlRequest(body)
		return q, err
	}
	rules := bus.Rules{Responders: []string{operator}, Reply: true, Parallel: 4}
	s, err := bus.Handle(conn, bus.Pattern(bus.AreaCtl, bus.Name(host), bus.Agent, bus.Any), rules, decode,
		func(_ context.Context, s bus.Subject, q telemetry.CtlRequest) ([]byte, error) {
			return r.answer(s.Verb, q)
		})
	if err != nil {
		t.Fatal(err)
	}
	r.stop = func() {
		s.Stop()
		_ = conn.Flush(t.Context()) // the server knows that nobody listens; where it is away nobody does
	}
	if err := conn.Flush(t.Context()); err != nil { // the server knows who listens
		t.Fatal(err)
	}
	return r
}

func (r *responder) answer(verb string, q telemetry.CtlRequest) ([]byte, error) {
	args, _ := json.Marshal(q.Args)
	r.mu.Lock()
	r.asked = append(r.asked, verb+" "+string(args))
	do := r.verbs[verb]
	r.mu.Unlock()
	if do == nil {
		return refusal(q, &telemetry.Fault{Code: telemetry.FaultNotFound, Message: "the agent has no verb " + verb})
	}
	v, fault := do(q.Args)
	if fault != nil {
		return refusal(q, fault)
	}
	if v == nil {
		return nil, nil
	}
	payload, err := telemetry.EncodeControl(v, telemetry.MsgPack)
	if err != nil {
		return nil, err
	}
	return telemetry.EncodeControl(telemetry.CtlReply{ID: q.ID, OK: true, Payload: payload}, telemetry.MsgPack)
}

func refusal(q telemetry.CtlRequest, fault *telemetry.Fault) ([]byte, error) {
	return telemetry.EncodeControl(telemetry.CtlReply{ID: q.ID, Error: fault}, telemetry.MsgPack)
}

// set changes how a verb is answered.
func (r *responder) set(verb string, do answer) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.verbs[verb] = do
}

// got returns what was asked since the last call.
func (r *responder) got() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	asked := r.asked
	r.asked = nil
	return asked
}

// did answers that an operation had these effects.
func did(changes ...telemetry.Change) answer {
	return func(map[string]any) (any, *telemetry.Fault) { return telemetry.ChangeList{Changes: changes}, nil }
}

// fails answers with a fault.
func fails(code, message string) answer {
	return func(map[string]any) (any, *telemetry.Fault) {
		return nil, &telemetry.Fault{Code: code, Message: message}
	}
}

// agentOf gives the test a host h1 whose agent answers verbs, found by its note as that of this machine.
func agentOf(t *testing.T, verbs map[string]answer) (*responder, func(args ...string) said) {
	t.Helper()
	run := place(t)
	b := bustest.Bare(t, embedded.Options{})
	noted(t, b.URL, "")
	return respond(t, b, "h1", verbs), run
}

// noted leaves the note of an agent of h1.
func noted(t *testing.T, url, creds string) {
	t.Helper()
	leave(t, note{URL: url, Creds: creds, Host: "h1", PID: 1})
}

// leave leaves a note until the test ends.
func leave(t *testing.T, n note) {
	t.Helper()
	gone, err := leaveNote(n)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(gone)
}

// expect fails the test unless r ended with code, and printed each of words; one that begins with ! it must not.
func expect(t *testing.T, r said, code int, words ...string) {
	t.Helper()
	if r.code != code {
		t.Errorf("exit code %d, want %d", r.code, code)
	}
	all := r.out + "\n--- stderr\n" + r.err
	for _, w := range words {
		if not, isNot := strings.CutPrefix(w, "!"); strings.Contains(all, not) == isNot {
			t.Errorf("%q is there: %v", not, isNot)
		}
	}
	if t.Failed() {
		t.Log(all)
		t.FailNow()
	}
}

// eventually runs a verb that has little time for an answer until it has got one: then it prints each of words.
func eventually(t *testing.T, do func() said, words ...string) (r said) {
	t.Helper()
	bustest.Wait(t, soon, fmt.Sprintf("it prints %q", words), func() bool {
		r = do()
		return !slices.ContainsFunc(words, func(w string) bool { return !strings.Contains(r.out+r.err, w) })
	})
	return r
}

// expect fails the test unless the agent was asked for these, in that order. What nobody waits for may come a moment later.
func (r *responder) expect(t *testing.T, want ...string) {
	t.Helper()
	bustest.Wait(t, soon, fmt.Sprintf("%q are asked", want), func() bool {
		r.mu.Lock()
		defer r.mu.Unlock()
		return len(r.asked) >= len(want)
	})
	if got := r.got(); !slices.Equal(got, want) {
		t.Fatalf("asked %q, want %q", got, want)
	}
}

// background runs a verb until stop, which returns its exit code.
func background(t *testing.T, args ...string) (out, err *texttest.Buffer, stop func() int) {
	t.Helper()
	out, err = &texttest.Buffer{}, &texttest.Buffer{}
	a := &app{in: strings.NewReader(""), out: out, err: err}
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	code := make(chan int, 1)
	go func() { code <- a.run(ctx, func() {}, args) }()
	stop = sync.OnceValue(func() int {
		cancel()
		select {
		case c := <-code:
			return c
		case <-time.After(soon):
			t.Error(fmt.Sprint(args) + " does not end")
			return -1
		}
	})
	t.Cleanup(func() { stop() })
	return out, err, stop
}
