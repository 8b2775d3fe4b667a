package hub

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/pacewire/pacewire/bus"
	"github.com/pacewire/pacewire/telemetry"
)

// voice is who speaks: of several hubs one, by a lease in the bucket HUB. All hear everything, so that any of them can take over
// at once. The lock of the hub guards it.
type voice struct {
	mine     bool
	term     uint64 // of the speaker, grows with each change
	speaker  string // id of the hub that speaks; "": none is known
	at       string // where its API is
	before   string // id of another one that spoke last
	revision uint64 // of the key
	renewed  time.Time
	told     uint64        // events of this term
	ahead    time.Duration // of the clock here: that of the bus
}

// speaker is the value of keyVoice.
type speaker struct {
	ID     string `json:"id"`
	Term   uint64 `json:"term"`
	Host   string `json:"host,omitempty"`   // name of its machine
	Listen string `json:"listen,omitempty"` // of its API there
}

// speakerOf returns who has a voice; ok is false for what is none, see spoilt.
func speakerOf(v bus.KV) (s speaker, ok bool) {
	err := json.Unmarshal(v.Value, &s)
	return s, err == nil && s.ID != ""
}

const (
	keyVoice   = "voice"
	aliveEvery = time.Minute
)

// ttl is how long a voice lasts that is not renewed.
func (h *Hub) ttl() time.Duration { return h.o.Times.Renew * 10 / 3 }

// quiet is after how long a speaker that could not renew its voice falls silent by itself: before anybody else can have it.
func (h *Hub) quiet() time.Duration { return h.o.Times.Renew * 7 / 3 }

// speak gets the voice when it is free, and keeps it.
func (h *Hub) speak(ctx context.Context) error {
	var alive time.Time
	for {
		h.mu.Lock()
		mine := h.voice.mine
		h.mu.Unlock()
		wait := h.o.Times.Renew
		switch {
		case mine && h.renew(ctx), !mine && h.acquire(ctx):
		default:
			wait = h.o.Times.Renew / 3
		}
		if now := time.Now(); h.Speaks() && now.Sub(alive) >= aliveEvery {
			alive = now
			h.noteAlive(ctx)
		}
		if !sleep(ctx, wait) {
			h.noteAlive(context.WithoutCancel(ctx))
			return nil
		}
	}
}

// spoken reports whether another hub speaks, as far as is known.
func (h *Hub) spoken() bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.voice.speaker != "" && h.voice.speaker != h.o.ID && time.Since(h.voice.renewed) < h.ttl()
}

// Speaks reports whether this hub is the one that answers beats and gives verdicts.
func (h *Hub) Speaks() bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.voice.mine
}

func (h *Hub) noteAlive(ctx context.Context) {
	if !h.Speaks() {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, time.Second)
	defer cancel()
	if _, err := h.kv.state.Load().Put(ctx, keyAlive, []byte(time.Now().UTC().Format(time.RFC3339Nano))); err != nil {
		h.log.Debug("note of being alive not written", "error", err)
	}
}

// renew keeps the voice, and reports whether it did.
func (h *Hub) renew(ctx context.Context) bool {
	h.mu.Lock()
	v := h.voice
	h.mu.Unlock()
	ctx, cancel := context.WithTimeout(ctx, h.o.Times.Renew/2) // so that there is time for another attempt before it lapses
	defer cancel()
	asked := time.Now()
	revision, err := h.kv.hub.Load().Update(ctx, keyVoice, h.says(v.term), v.revision)
	if errors.Is(err, bus.ErrConflict) && h.renewed(ctx, v.term) {
		h.mu.Lock()
		v = h.voice
		h.mu.Unlock()
		if revision, err = h.kv.hub.Load().Update(ctx, keyVoice, h.says(v.term), v.revision); errors.Is(err, bus.ErrConflict) {
			h.lapse(time.Now())
			return false
		}
	}
	switch {
	case err == nil:
		h.mu.Lock()
		h.voice.revision, h.voice.renewed = revision, asked
		h.mu.Unlock()
	case errors.Is(err, bus.ErrConflict), errors.Is(err, bus.ErrNoStream):
		h.lose("somebody else has it")
	default:
		h.lapse(time.Now())
	}
	return err == nil
}

// renewed reports whether a renewal whose answer was lost has come to pass, or what lies there is nobody's while no other hub can have
// taken the voice yet: then the next one goes on from its revision.
func (h *Hub) renewed(ctx context.Context, term uint64) bool {
	v, err := h.kv.hub.Load().Get(ctx, keyVoice)
	if err != nil {
		return false
	}
	s, ok := speakerOf(v)
	h.mu.Lock()
	defer h.mu.Unlock()
	if ok && (s.ID != h.o.ID || s.Term != term) || !ok && time.Since(h.voice.renewed) > h.quiet() {
		return false
	}
	h.voice.revision = v.Revision
	return true
}

// lapse ends a voice that could not be renewed for too long: somebody else may have it by now.
func (h *Hub) lapse(now time.Time) {
	h.mu.Lock()
	over := h.voice.mine && now.Sub(h.voice.renewed) > h.quiet()
	h.mu.Unlock()
	if over {
		h.lose("it could not be renewed")
	}
}

func (h *Hub) lose(why string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.loseNow(why)
}

// loseNow is lose for a caller that has the lock.
func (h *Hub) loseNow(why string) {
	if !h.voice.mine {
		return
	}
	h.voice.mine, h.voice.speaker = false, ""
	h.watch.Speak(false, h.now())
	for _, x := range h.fleet {
		x.unsure = x.unsure || len(x.pending) > 0
		x.silenced()
	}
	h.log.Warn("hub speaks no more", "reason", why, "term", h.voice.term)
}

// acquire takes the voice if it is free, and reports whether it did.
func (h *Hub) acquire(ctx context.Context) bool {
	asking, cancel := context.WithTimeout(ctx, max(h.o.Times.Renew, writeTime)) // a bucket that is gone says so after half a second
	defer cancel()
	err := h.recall(asking)
	if err == nil && h.spoken() {
		return false
	}
	var term, revision uint64
	if err == nil {
		term, err = h.nextTerm(asking)
	}
	asked := time.Now()
	if err == nil {
		revision, err = h.takeVoice(asking, term)
	}
	if errors.Is(err, bus.ErrNoStream) { // it was in the memory of a bus that has ended, or somebody has removed it
		err = errors.Join(err, h.provideAgain(ctx)) // the next attempt finds it
	}
	if err != nil {
		if !errors.Is(err, bus.ErrConflict) {
			h.log.Debug("voice cannot be taken", "error", err)
		}
		return false
	}
	if _, err := h.kv.state.Load().Put(asking, keyTerm, strconv.AppendUint(nil, term, 10)); err != nil {
		h.log.Warn("term not noted", "error", err)
	}
	h.mark(asking)
	ahead := h.ahead(asking)
	h.mu.Lock()
	defer h.mu.Unlock()
	before := h.voice.before
	h.voice = voice{mine: true, term: term, speaker: h.o.ID, revision: revision, renewed: asked, ahead: ahead}
	h.watch.Speak(true, h.now())
	h.log.Info("hub speaks", "term", term, "hosts", len(h.fleet))
	if before != "" {
		h.noteVoice(before)
	}
	for _, x := range h.fleet {
		if x.unsure { // a writer recalls it
			h.todo.put(x)
			continue
		}
		h.resume(x)
	}
	return true
}

// takeVoice takes the voice if nobody has it, or if it is ours by an attempt whose answer was lost. What lies there and is nobody's may
// lie over the voice of one who speaks: then it is free when nobody was heard for as long as a voice lasts.
func (h *Hub) takeVoice(ctx context.Context, term uint64) (revision uint64, err error) {
	revision, err = h.kv.hub.Load().Update(ctx, keyVoice, h.says(term), 0)
	if !errors.Is(err, bus.ErrConflict) {
		return revision, err
	}
	v, get := h.kv.hub.Load().Get(ctx, keyVoice)
	if get != nil {
		return 0, err
	}
	h.mu.Lock()
	silent := time.Since(h.voice.renewed) > h.ttl()
	h.mu.Unlock()
	if s, ok := speakerOf(v); ok && s.ID != h.o.ID || !ok && !silent {
		return 0, err
	}
	return h.kv.hub.Load().Update(ctx, keyVoice, h.says(term), v.Revision)
}

// ahead returns how far the clock of the bus is ahead of the one here: it has just written the voice.
func (h *Hub) ahead(ctx context.Context) time.Duration {
	v, err := h.kv.hub.Load().Get(ctx, keyVoice)
	if err != nil {
		return 0
	}
	return time.Until(v.Written)
}

// resume has written what there is to tell of x, now that the voice is ours. The caller has the lock.
func (h *Hub) resume(x *host) {
	x.kept = false
	if len(x.pending) == 0 {
		x.repeat = h.repeatable(x)
		x.event = x.repeat // an older one was told
	}
	x.dirty = x.dirty || x.revision == 0
	if x.waits() {
		h.todo.put(x)
	}
}

// noteVoice tells that this hub speaks instead of another one: nobody else will say that there is one less. The caller has the lock.
func (h *Hub) noteVoice(before string) {
	x := &host{}
	h.voice.told++
	x.pending = []pending{{event: &telemetry.Event{
		ID: fmt.Sprintf("hub/%d/%d", h.voice.term, h.voice.told), Time: time.Now().UnixNano(), Host: fleetName, Plugin: bus.Hub, Type: typeVoice,
		From: before, To: h.o.ID, Term: h.voice.term,
		Message: fmt.Sprintf("hub %s on %s speaks, because %s has fallen silent", h.o.ID, cmp.Or(h.o.Host, "a machine without a name"), before),
	}}}
	h.todo.put(x)
}

// typeVoice is the type of the event that another hub speaks.
const typeVoice = "voice"

// recall looks after hosts whose last changes were not written when the voice was lost. What they have said themselves waits to be
// written, where nobody has spoken of them since; else what is recorded counts. A fleet must not wait for its voice: what takes
// too long is left to the writers.
func (h *Hub) recall(ctx context.Context) error {
	h.mu.Lock()
	var unsure []*host
	for _, x := range h.fleet {
		if x.unsure {
			unsure = append(unsure, x)
		}
	}
	h.mu.Unlock()
	ctx, cancel := context.WithTimeout(ctx, recallTime)
	defer cancel()
	g, asking := errgroup.WithContext(ctx)
	g.SetLimit(recalls)
	for _, x := range unsure {
		if asking.Err() != nil {
			break
		}
		g.Go(func() error { return h.recallHost(asking, x) })
	}
	if err := g.Wait(); ctx.Err() == nil {
		return err
	}
	return nil
}

const (
	recalls    = 64 // under way at a time
	recallTime = time.Second
)

// recallHost looks after one host.
func (h *Hub) recallHost(ctx context.Context, x *host) error {
	v, err := h.kv.hosts.Load().Get(ctx, x.key())
	if err != nil && !errors.Is(err, bus.ErrNoKey) {
		return err
	}
	h.recallOne(x, v)
	return nil
}

// recallLate looks after a host for which there was no time before the voice was taken.
func (h *Hub) recallLate(ctx context.Context, x *host) error {
	h.mu.Lock()
	late := x.unsure && h.voice.mine
	h.mu.Unlock()
	if !late {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, h.o.Times.Write)
	defer cancel()
	if err := h.recallHost(ctx, x); err != nil {
		return err
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	h.resume(x)
	return nil
}

func (h *Hub) recallOne(x *host, v bus.KV) {
	r, _, err := telemetry.DecodeHostRecord(v.Value)
	h.mu.Lock()
	defer h.mu.Unlock()
	x.unsure = false
	switch {
	case v.Revision == x.revision && !slices.ContainsFunc(x.pending, bySilence):
		x.kept = true
	case err != nil && v.Revision > 0: // what lies there is none: nobody has spoken
		x.pending = slices.DeleteFunc(x.pending, bySilence)
		x.revision, x.kept, x.dirty = v.Revision, true, true
	case err == nil && r.Event != nil && len(x.pending) > 0 && r.Event.ID == x.pending[0].event.ID: // written after all
		x.revision, x.repeat, x.kept = v.Revision, r.Event, true
		x.pending = x.pending[1:]
	case err == nil:
		x.pending = nil
		h.remember(r, v)
		h.watch.Adopt(r, h.now())
	default: // somebody has dropped it
		x.pending, x.revision, x.event = nil, v.Revision, nil
		h.watch.Forget(x.id, h.now())
	}
}

// bySilence reports whether a change says that nothing was heard: of a hub that was cut off that proves nothing.
func bySilence(p pending) bool {
	return p.event.To == telemetry.HostOverdue || p.event.To == telemetry.HostDown
}

// repeatFor is how old an event may be that a new speaker publishes again, in case the one before died between the record and
// it: shorter than the stream's window for duplicates, which keeps one of both.
const repeatFor = 100 * time.Second

// repeatable returns the event of x's record if that is young by the clock of the bus, which has written both the record and the voice.
// The event's own time is by the clock of a hub, which may be wrong. The caller has the lock.
func (h *Hub) repeatable(x *host) *telemetry.Event {
	if age := time.Since(x.written) + h.voice.ahead; age.Abs() >= repeatFor {
		return nil
	}
	return x.event
}

// nextTerm returns a term above all before it. The clock is in it for the case that the registry was removed: agents
// remember the highest term that they have obeyed.
func (h *Hub) nextTerm(ctx context.Context) (uint64, error) {
	v, err := h.kv.state.Load().Get(ctx, keyTerm)
	if err != nil && !errors.Is(err, bus.ErrNoKey) {
		return 0, err
	}
	last, _ := strconv.ParseUint(string(v.Value), 10, 63)
	h.mu.Lock()
	defer h.mu.Unlock()
	return max(last+1, h.voice.term+1, uint64(max(0, time.Now().Unix()))), nil
}

func (h *Hub) says(term uint64) []byte {
	text, _ := json.Marshal(speaker{h.o.ID, term, h.o.Host, h.o.Listen}) // strings and a number
	return text
}

// followVoice knows who speaks.
func (h *Hub) followVoice(ctx context.Context) error {
	for ctx.Err() == nil {
		err := h.kv.hub.Load().Watch(ctx, keyVoice, func(v bus.KV) error {
			s, ok := speakerOf(v)
			if !v.Deleted && !ok {
				return nil
			}
			h.mu.Lock()
			defer h.mu.Unlock()
			if h.voice.mine {
				return nil
			}
			h.voice.speaker, h.voice.at, h.voice.renewed = s.ID, strings.Trim(s.Host+" "+s.Listen, " "), time.Now()
			h.voice.term = max(h.voice.term, s.Term)
			if s.ID != "" && s.ID != h.o.ID {
				h.voice.before = s.ID
			}
			return nil
		}, func() {})
		if ctx.Err() != nil {
			return nil
		}
		h.log.Debug("voice cannot be followed", "error", err)
		if errors.Is(err, bus.ErrNoStream) { // it was in the memory of a bus that has ended: another one may have been made
			_ = h.provideAgain(ctx) // else the next round does
		}
		sleep(ctx, retryEvery)
	}
	return nil
}

// fallSilent gives the voice away.
func (h *Hub) fallSilent() {
	h.mu.Lock()
	v := h.voice
	h.voice.mine = false
	h.mu.Unlock()
	if !v.mine {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	if err := h.kv.hub.Load().Delete(ctx, keyVoice, v.revision); err != nil {
		h.log.Debug("voice is left to lapse", "error", err)
	}
}

// answers reports whether this hub answers beats: the speaker does, and another one when no speaker was heard for the whole
// life of a voice, so that agents know that somebody is there. The caller has the lock.
func (h *Hub) answers(now time.Time) (full, bare bool) {
	if h.voice.mine {
		return now.Sub(h.voice.renewed) <= h.quiet(), false
	}
	return false, now.Sub(h.voice.renewed) > h.ttl()
}
