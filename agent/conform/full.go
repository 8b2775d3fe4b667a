package conform

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/pacewire/pacewire/bus"
)

// full is the scene of a plugin whose stream takes nothing for a while, and which is killed with work in hand.
func full(s *stage) {
	switch s.kit.kind() {
	case "collector":
		fullCollector(s)
	case "processor":
		fullProcessor(s)
	case "publisher":
		killedPublisher(s)
	}
}

const (
	fullBeats = 3               // heartbeats for which the stream takes nothing, at least,
	fullTime  = 3 * time.Second // and how long
	mostMore  = 256 << 20       // bytes that a plugin may take meanwhile: its window is 4 MiB, its queue 16
)

// close lets the stream take nothing, open lets it take all again.
func (s *stage) close() error { return s.limit("new", true) }

func (s *stage) open() error { return s.limit("old", false) }

// limit changes what the stream METRICS does with what is more than it has.
func (s *stage) limit(discard string, full bool) error {
	info, err := s.g.info(s.ctx)
	if err != nil {
		return err
	}
	info.Config["discard"], info.Config["max_msgs"] = discard, int64(-1)
	if full {
		info.Config["max_msgs"] = max(info.State.Messages, 1)
	}
	text, err := json.Marshal(info.Config)
	if err != nil {
		return err
	}
	reply, err := s.g.conn.Request(s.ctx, "$JS.API.STREAM.UPDATE."+bus.StreamMetrics, text)
	if err == nil && strings.Contains(string(reply), `"error"`) {
		err = fmt.Errorf("%s", short(reply))
	}
	if err != nil {
		return skipped("the stream cannot be changed: %v", err)
	}
	return nil
}

// fill stores one message of somebody else's: a stream that has none cannot be full.
func (s *stage) fill() error {
	body, err := (&kit{}).sample(1)
	if err != nil {
		return err
	}
	m := bus.Message{Subject: bus.MetricsSubject(hostName, source), ID: "fill/" + s.name, Body: body}
	return s.g.out.Publish(s.ctx, m)
}

// endures waits for some heartbeats while the stream is full, and looks at them and at the memory.
func (s *stage) endures() error {
	before := s.memory()
	since := time.Now()
	if err := s.until(s.ctx, 10*fullBeats*interval, "heartbeats while the stream takes nothing", func() bool {
		return len(s.steady(since)) >= fullBeats && time.Since(since) > fullTime
	}); err != nil {
		return err
	}
	if more := s.memory() - before; more > mostMore {
		return broken(s.lastBody(), "it has taken %d MiB more while the stream took nothing: want a bound", more>>20)
	}
	b, _ := s.last()
	if b.State == "failed" {
		return broken(b.body, "state is failed while the stream takes nothing: want it to wait")
	}
	return nil
}

func (s *stage) memory() int64 {
	u, err := s.proc.Usage()
	if err != nil {
		return 0
	}
	return u.RSS
}

func fullCollector(s *stage) {
	ok := s.need("back_pressure", s.fill) && s.need("back_pressure", s.close) && s.need("back_pressure", s.begins)
	if !ok {
		return
	}
	s.check("back_pressure", s.waitsForStream)
	s.need("redelivery", s.open)
	s.check("redelivery", s.otherIDs)
}

// waitsForStream looks whether a collector keeps what it cannot store.
func (s *stage) waitsForStream() error {
	if err := s.endures(); err != nil {
		return err
	}
	if len(s.own()) > 0 {
		return skipped("the stream was not full: it has taken a batch")
	}
	opened := time.Now()
	if err := s.open(); err != nil {
		return err
	}
	err := s.until(s.ctx, 3*s.patience(), "its batches, as the stream takes them again", func() bool { return len(s.own()) >= 2 || s.kit.isQuiet() })
	if len(s.own()) == 0 {
		return s.nothingCame(err)
	}
	if err := s.whole(); err != nil {
		return err
	}
	return s.oldest(opened)
}

// oldest looks whether what was measured while the stream was full is there.
func (s *stage) oldest(opened time.Time) error {
	for _, t := range s.own() {
		for at := range s.times(t) {
			if at.Before(opened) {
				return nil
			}
		}
	}
	return broken(s.own()[0].Body, "of what it collected while the stream took nothing, nothing was stored later")
}

// otherIDs kills a collector, and looks whether the ids of its next process are others.
func (s *stage) otherIDs() error {
	_ = s.until(s.ctx, s.patience(), "a batch", func() bool { return len(s.own()) > 0 })
	s.kill()
	if err := s.g.catchUp(s.ctx); err != nil {
		return err
	}
	before := s.own()
	if len(before) == 0 {
		return skipped("it has sent nothing")
	}
	if err := s.begins(); err != nil {
		return err
	}
	if err := s.until(s.ctx, dataWait, "a batch of its next process: with ids that the one before has used it is not stored", func() bool {
		return len(s.own()) > len(before)
	}); err != nil {
		return err
	}
	for _, t := range s.own()[len(before):] {
		stem := t.ID[:strings.LastIndexByte(t.ID, '/')+1]
		if stem != "" && slices.ContainsFunc(before, func(b bus.Tapped) bool { return strings.HasPrefix(b.ID, stem) }) {
			return broken(t.Body, "the id %s begins as those of the process before did: what has an id that was used is not stored", t.ID)
		}
	}
	return s.whole()
}

const held = 12 // batches that are in the hands of who is killed

func fullProcessor(s *stage) {
	expected := 0
	if !s.need("back_pressure", func() error { return s.trial(&expected) }) {
		return
	}
	if !s.check("back_pressure", func() error { return s.holdsInputs(expected) }) {
		s.over = skipped("what it has lost cannot come again: see back_pressure")
	}
	s.check("redelivery", func() error { return s.sameAgain(expected) })
}

// trial lets the processor work on some batches, to learn how many it makes of them, and on more once the stream is full.
func (s *stage) trial(expected *int) error {
	if err := s.begins(); err != nil {
		return err
	}
	if _, err := s.feed(held); err != nil {
		return err
	}
	if err := s.done(); err != nil {
		return err
	}
	_ = s.until(s.ctx, time.Second, "what it makes of them", func() bool { return len(s.derivedFrom(1, held)) >= held }) // it need not make so many
	*expected = len(s.derivedFrom(1, held))
	s.kill()
	if _, err := s.feed(held); err != nil {
		return err
	}
	return s.close()
}

// derivedFrom returns the ids that are derived from the batches from to to, with how often each is in the stream.
func (s *stage) derivedFrom(from, to int) map[string]int {
	ids := map[string]int{}
	for _, t := range s.own() {
		at := origin(t.ID, s.name)
		var n int
		if i := strings.LastIndexByte(at, '/'); i >= 0 {
			_, _ = fmt.Sscan(at[i+1:], &n)
		}
		if n >= from && n <= to {
			ids[t.ID]++
		}
	}
	return ids
}

// holdsInputs lets a process work while the stream takes nothing, kills it, and looks what the next one makes of it.
func (s *stage) holdsInputs(expected int) error {
	if err := s.begins(); err != nil {
		return err
	}
	if err := s.endures(); err != nil {
		return err
	}
	want := min(expected, held)
	waiting, err := s.waiting(want)
	if err != nil {
		return skipped("%v", err)
	}
	s.kill()
	if err := s.open(); err != nil {
		return err
	}
	if err := s.begins(); err != nil {
		return err
	}
	if err := s.done(); err != nil {
		return err
	}
	err = s.made(held+1, 2*held, expected)
	if err != nil && waiting < want {
		return broken(s.lastBody(), "it has acknowledged %d batches while the stream took nothing of what it made of them: %v", held-waiting, err)
	}
	return err
}

// waiting returns how many of its inputs are not settled, once that are so many as wanted or a while has passed: the server counts what
// is new behind our backs.
func (s *stage) waiting(want int) (n int, err error) {
	_ = s.until(s.ctx, s.patience(), "the count of what waits", func() bool {
		var state bus.ConsumerState
		state, err = s.g.conn.ConsumerInfo(s.ctx, bus.StreamMetrics, s.name)
		n = state.AckPending + int(state.Pending)
		return err != nil || n >= want
	})
	return n, err
}

// made looks whether of the batches from to to as much has been made as of others before.
func (s *stage) made(from, to, expected int) error {
	var ids map[string]int
	err := s.until(s.ctx, soon, "what it makes of its inputs", func() bool {
		ids = s.derivedFrom(from, to)
		return len(ids) >= expected
	})
	for _, id := range slices.Sorted(maps.Keys(ids)) {
		if n := ids[id]; n > 1 {
			return broken(nil, "the stream has %d messages with the id %s", n, id)
		}
	}
	if err != nil && s.ctx.Err() == nil {
		return broken(nil, "it has made %d messages of %d batches, and made %d of as many before: the rest is lost", len(ids), held, expected)
	}
	return err
}

// sameAgain gives all inputs to another process again: what it makes of them has to be what is there.
func (s *stage) sameAgain(expected int) error {
	if expected == 0 {
		return s.survives()
	}
	before := len(s.own())
	s.kill()
	if err := s.g.conn.DeleteConsumer(s.ctx, bus.StreamMetrics, s.name); err != nil {
		return skipped("%v", err)
	}
	if err := s.connectInput(); err != nil { // a new one gives out all that there is
		return skipped("%v", err)
	}
	if err := s.begins(); err != nil {
		return err
	}
	if err := s.done(); err != nil {
		return err
	}
	own := s.own()
	if len(own) > before {
		return broken(own[before].Body, "the same inputs, given again, are stored twice: id %s is not the one that was derived before", own[before].ID)
	}
	return nil
}

func killedPublisher(s *stage) {
	if s.need("redelivery", s.begins) {
		s.check("redelivery", s.survives)
	}
}

// survives stops a process, so that it has batches in hand for sure, kills it, and looks whether the next one has them all.
func (s *stage) survives() error {
	if _, err := s.feed(held); err != nil {
		return err
	}
	if err := s.done(); err != nil {
		return err
	}
	_ = s.proc.Signal(syscall.SIGSTOP) // the only error is that it has ended
	pause(s.ctx, 100*time.Millisecond) // until each of its threads has heard of it
	if _, err := s.feed(held); err != nil {
		return err
	}
	pause(s.ctx, 200*time.Millisecond)
	waiting, err := s.waiting(held)
	if err != nil {
		return skipped("%v", err)
	}
	s.kill()
	if waiting < held {
		return broken(nil, "batches are acknowledged that nobody could have worked on")
	}
	if err := s.begins(); err != nil {
		return err
	}
	return s.done()
}
