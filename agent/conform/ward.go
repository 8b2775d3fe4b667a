package conform

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/pacewire/pacewire/bus"
	"github.com/pacewire/pacewire/telemetry"
)

// A ward is a plugin as its agent sees it: a name on a bus, and the processes that have it, one after the other.
type ward struct {
	kit  *kit
	g    *ground
	name string
	in   []bus.Input

	mu     sync.Mutex
	silent bool            // heartbeats get no answer
	refuse bool            // they are refused
	work   *telemetry.Work // it is to do
	rev    uint64
	junk   [][]byte // answers to the next heartbeats, instead of good ones
	beats  []beat
	data   []message
	json   bool // it beats in JSON
	tags   map[string]string

	fed int // batches that were stored for it

	proc *running
}

// A beat is a heartbeat that came.
type beat struct {
	telemetry.Heartbeat
	at   time.Time
	body []byte
	err  error // it cannot be read
}

// A message came on a subject of the plugin.
type message struct {
	at   time.Time
	body []byte
}

// interval is the one of heartbeats that the kit asks for: the shortest there is.
const interval = time.Second

// ward makes a plugin of a name on g.
func (k *kit) ward(g *ground, name string) *ward {
	w := &ward{kit: k, g: g, name: name}
	g.mu.Lock()
	g.wards[bus.Token(name)] = w
	g.mu.Unlock()
	return w
}

// hear takes a heartbeat, and returns its answer.
func (w *ward) hear(body []byte) []byte {
	at := time.Now()
	w.mu.Lock()
	defer w.mu.Unlock()
	h, enc, err := telemetry.DecodeHeartbeat(body)
	w.beats = append(w.beats, beat{h, at, slices.Clone(body), err})
	w.json = enc == telemetry.JSON
	if err != nil || w.silent {
		return nil
	}
	if len(w.junk) > 0 {
		j := w.junk[0]
		w.junk = w.junk[1:]
		return j
	}
	ack := telemetry.Ack{
		Version: telemetry.ProtocolVersion, Server: "conform", Term: 1, Seq: h.Seq, T1: h.T1, T2: at.UnixNano(),
		State: telemetry.Accepted, Received: uint64(len(w.beats)), NextMS: interval.Milliseconds(), Digest: h.Digest, ConfigRev: w.rev,
	}
	if w.refuse {
		ack.State, ack.Reason, ack.NextMS, ack.ConfigRev = telemetry.Refused, "not_allowed", 0, 0
	} else if w.work != nil && w.rev != h.ConfigRev {
		ack.Work = w.work
	}
	ack.T3 = time.Now().UnixNano()
	answer, _ := telemetry.EncodeControl(ack, enc) // it is a good one
	return answer
}

// keep takes plugin data.
func (w *ward) keep(body []byte) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.data = append(w.data, message{time.Now(), slices.Clone(body)})
}

// give offers settings under a revision of their own, and returns it.
func (w *ward) give(config json.RawMessage) uint64 {
	w.mu.Lock()
	w.rev++
	w.work = w.workWith(config)
	rev := w.rev
	w.mu.Unlock()
	return rev
}

// takeBack offers what was in force before again.
func (w *ward) takeBack(rev uint64, config json.RawMessage) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.rev, w.work = rev, w.workWith(config)
}

func (w *ward) workWith(config json.RawMessage) *telemetry.Work {
	work := &telemetry.Work{Config: bytes.ReplaceAll(config, []byte("{dir}"), []byte(w.dir())), Tags: w.tags}
	if w.kit.kind() == "collector" {
		work.EveryMS = 1000
	}
	for _, in := range w.in {
		work.Inputs = append(work.Inputs, inputOf(in))
	}
	return work
}

// all returns the heartbeats of the process that runs, or ran last.
func (w *ward) all() []beat {
	w.mu.Lock()
	defer w.mu.Unlock()
	var own []beat
	for _, b := range w.beats {
		if w.proc == nil || b.err != nil || !b.at.Before(w.proc.began) {
			own = append(own, b)
		}
	}
	return own
}

// last returns the last heartbeat that could be read; false if there is none.
func (w *ward) last() (beat, bool) {
	for _, b := range slices.Backward(w.all()) {
		if b.err == nil {
			return b, true
		}
	}
	return beat{}, false
}

// ask sends a control request, and returns the answer and its bytes.
func (w *ward) ask(ctx context.Context, verb string, r telemetry.CtlRequest) (telemetry.CtlReply, []byte, error) {
	r.ID = "conform-" + verb
	enc := telemetry.MsgPack
	w.mu.Lock()
	if w.json {
		enc = telemetry.JSON
	}
	w.mu.Unlock()
	body, err := telemetry.EncodeControl(r, enc)
	if err != nil {
		return telemetry.CtlReply{}, nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, askWait)
	defer cancel()
	reply, err := w.g.conn.Request(ctx, bus.CtlSubject(hostName, w.name, verb), body)
	if err != nil {
		return telemetry.CtlReply{}, nil, unanswered(verb, err)
	}
	got, _, err := telemetry.DecodeCtlReply(reply)
	switch {
	case err != nil:
		return got, reply, broken(reply, "the answer to %s cannot be read: %v", verb, err)
	case got.ID != r.ID:
		return got, reply, broken(reply, "the answer to %s has the id %q, and not that of the request, %q", verb, got.ID, r.ID)
	}
	return got, reply, nil
}

const askWait = 12 * time.Second // a collection may take 10

func unanswered(verb string, err error) error {
	if errors.Is(err, bus.ErrNoResponders) {
		return broken(nil, "nobody listens for %s on its subject pw.ctl.<host>.<plugin>.%s", verb, verb)
	}
	return broken(nil, "%s is not answered: %v", verb, err)
}

// until waits until ok, for limit at most. The error says what was waited for, and what has become of the plugin.
func (w *ward) until(ctx context.Context, limit time.Duration, what string, ok func() bool) error {
	for end := time.Now().Add(limit); !ok(); pause(ctx, 5*time.Millisecond) {
		switch {
		case ctx.Err() != nil:
			return skipped("the run was ended")
		case w.proc.ended() && !ok():
			return w.gone(what)
		case time.Now().After(end):
			return w.inVain(limit, what)
		}
	}
	return nil
}

func (w *ward) gone(what string) error {
	return broken(w.lastBody(), "it ended with %s before %s%s", w.proc.exit(), what, w.proc.lastWords())
}

func (w *ward) inVain(limit time.Duration, what string) error {
	text := fmt.Sprintf("waited %v in vain: %s", limit, what)
	if b, ok := w.last(); ok && b.Error != nil {
		text += fmt.Sprintf("; it says %s: %s", b.Error.Code, b.Error.Message)
	}
	if v := w.g.denied(w.user()); len(v) > 0 {
		text += "; the bus says " + violation(v[0])
	}
	return broken(w.lastBody(), "%s", text)
}

// lastBody returns the last heartbeat as it came.
func (w *ward) lastBody() []byte {
	if all := w.all(); len(all) > 0 {
		return all[len(all)-1].body
	}
	return nil
}

// dir is the folder for the state of the plugin.
func (w *ward) dir() string { return filepath.Join(w.g.dir, "state", bus.Token(w.name)) }

func (w *ward) user() string { return bus.User(hostName, w.name) }

// violation shortens what the server says of one: whose connection it is goes before.
func violation(text string) string {
	before, after, ok := strings.Cut(text, " Violation - ")
	if !ok {
		return text
	}
	return before[strings.LastIndex(before, " - ")+len(" - "):] + " Violation - " + after
}

// inForce waits until the revision is in force, and the work has begun.
func (w *ward) inForce(ctx context.Context, rev uint64) error {
	err := w.until(ctx, configWait, fmt.Sprintf("a heartbeat with cfg_rev %d and state running (or idle)", rev), func() bool {
		b, ok := w.last()
		return ok && (b.ConfigRev == rev && (b.State == "running" || b.State == "idle") || invalid(b))
	})
	if b, _ := w.last(); err == nil && invalid(b) {
		return broken(b.body, "it cannot use the settings %s: %s: give it others by --config", short(w.kit.o.Config), b.Error.Message)
	}
	return err
}

// invalid reports whether a plugin says that it cannot work with its settings.
func invalid(b beat) bool {
	return b.State == "failed" && b.Error != nil && b.Error.Code == "config_invalid"
}

const (
	helloWait  = 20 * time.Second
	configWait = 30 * time.Second
	drainWait  = 12 * time.Second // 10 for the work, and then some for the goodbye
)
