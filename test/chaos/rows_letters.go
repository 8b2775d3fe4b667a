package main

import (
	"bytes"
	"context"
	"fmt"
	"math"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/pacewire/pacewire/bus"
	"github.com/pacewire/pacewire/internal/lab"
	"github.com/pacewire/pacewire/internal/oracle"
)

// rowsOfLetters are the faults while a plugin is given again what it has set aside, or the past.
func rowsOfLetters() []row {
	return []row{
		{name: "D1", title: "dead letters, `dead retry`, `replay` and `dead drop`, with kill -9 of the publisher, then of the agent, in the middle of each", run: givenAgain,
			promise: "what is refused is in one letter; each letter is delivered, or dropped by name, and none twice but what was in a call as its publisher died; a replay arrives whole"},
	}
}

// D1
func givenAgain(t *trial) {
	t.up(pipeline{})
	t.load(load{hosts: letterHosts, batches: 40, points: letterPoints})
	t.hold(2 * time.Second)
	publisher, agent := victim{"the publisher", t.killPublisher}, victim{"the agent", t.killAgent}
	for _, v := range []victim{publisher, agent} {
		t.setAsideWhile(v)
		t.droppedWhile(agent)
		t.retriedWhile(v)
		t.replayedWhile(v)
	}
	t.hold(time.Second)
	t.settle()
}

// The load that goes on meanwhile is small: where the past is given again, all of it comes twice.
const letterHosts, letterPoints = 4, 10

// A victim is who is killed while something is given again. Its death is over when all plugins work.
type victim struct {
	name string
	kill func()
}

func (t *trial) killPublisher() {
	old := t.kill("out", syscall.SIGKILL)
	t.mayDouble(inHand * letterPoints)
	t.awaitPlugin("out", longestPause, "works again", func(p lab.Plugin) bool { return p.State == "running" && p.PID != old.PID })
}

func (t *trial) killAgent() {
	t.system.agent.Kill()
	t.mayDouble(inHand * letterPoints)
	t.startAgent("up", "--plain")
	t.awaitRunning()
}

// A holder is a sink that does not answer what has points of one host in it, until it is let go; some of that it stores all the same.
type holder struct {
	host   string
	stores bool
	free   chan struct{}
	caught atomic.Int64 // calls
	stored *tally       // without an answer
	once   sync.Once
}

func newHolder(host string, stores bool) *holder {
	return &holder{host: host, stores: stores, free: make(chan struct{}), stored: newTally()}
}

// letGo makes it a sink as any other. Again it does nothing.
func (h *holder) letGo() { h.once.Do(func() { close(h.free) }) }

func (h *holder) behave(w http.ResponseWriter, r *http.Request, body []byte, take func([]byte)) {
	if !bytes.Contains(body, []byte(",host="+h.host+" ")) {
		well(w, r, body, take)
		return
	}
	first := h.caught.Add(1) == 1
	if h.stores && first {
		take(body)
		h.stored.add(body)
	}
	select {
	case <-h.free:
		if !h.stores || !first {
			take(body)
		}
		w.WriteHeader(http.StatusNoContent)
	case <-r.Context().Done():
		panic(http.ErrAbortHandler)
	}
}

// interrupted runs a verb until the sink holds what it gives to the publisher, and kills somebody then; with the agent the verb dies
// too. It returns when all works again and the sink is well.
func (t *trial) interrupted(v victim, h *holder, args ...string) {
	t.sink.Behave(h.behave)
	defer t.sink.Behave(nil)
	defer h.letGo()
	ctx, cancel := context.WithCancel(t.ctx)
	defer cancel()
	ended := make(chan error, 1)
	go func() {
		_, err := t.place.Verb(ctx, args...)
		ended <- err
	}()
	t.await(time.Minute, "the sink is given something again", func() error { return yet(h.caught.Load() > 0) })
	v.kill()
	t.bite("%s was killed in the middle of %v", v.name, args)
	h.letGo()
	t.mayDouble(h.stored.points())
	if v.name == "the agent" { // its bus may be elsewhere now
		cancel()
		if <-ended == nil {
			t.note("the verb was through before it was cut off")
		}
		return
	}
	if err := <-ended; err != nil {
		t.errorf("%v, as %s was killed: %v", args, v.name, err)
	}
}

// retriedWhile sets points aside, mends the sink, and has them given again while somebody is killed: each has to arrive.
func (t *trial) retriedWhile(v victim) {
	before := t.oracle.Count().Buried
	batches := t.refuses(gourmet{code: http.StatusBadRequest}, "rejected", before)
	begin, h := time.Now(), newHolder("bad", v.name == "the publisher")
	t.interrupted(v, h, "dead", "retry", "--plugin", "out", "--timeout", "1m")
	t.await(time.Minute, "each letter is delivered", func() error { return yet(leastOf(batches) > 0) })
	left := len(t.bury("out", 0))
	t.note("%s was killed: all letters were delivered %s after the retry began, %d were in the list still", v.name, round(time.Since(begin)), left)
	if left > 0 { // who gives them again was cut off before it could remove them
		t.verb("dead", "retry", "--plugin", "out", "--timeout", "1m")
	}
	t.await(time.Minute, "no letter is left", t.noLetters)
	once := 1
	if h.stores || left > 0 {
		once = 2
	}
	for _, b := range batches {
		if _, most := b.Times(); most > once {
			t.errorf("a point whose letter was given again, as %s was killed, has arrived %d times", v.name, most)
		}
	}
}

// leastOf returns how often that point of batches has arrived which came least often.
func leastOf(batches []oracle.Batch) int {
	fewest := math.MaxInt
	for _, b := range batches {
		least, _ := b.Times()
		fewest = min(fewest, least)
	}
	return fewest
}

func (t *trial) noLetters() error {
	if left := t.bury("out", 0); len(left) > 0 {
		first := left[0]
		return fmt.Errorf("%d are left: %v; the first: %d of %s, given again: %v", len(left), reasons(left), first.Seq, first.SourceID, first.Again)
	}
	return nil
}

// replayedWhile has a part of the past given again while somebody is killed: all of it has to arrive once more.
func (t *trial) replayedWhile(v victim) {
	since, acked := time.Now().UTC(), t.oracle.Acked()
	past := t.oracle.Source("past", t.nextBoot()).Issue(1000)
	t.must(t.source.post(t.ctx, past), "post what will be the past")
	t.await(time.Minute, "what will be the past has arrived", func() error { return yet(past.Settled()) })
	until := time.Now().UTC()
	t.mayDouble(t.oracle.Acked() - acked + underWay)
	t.interrupted(v, newHolder("past", false), "replay", "out", "--since", since.Format(time.RFC3339Nano), "--until", until.Format(time.RFC3339Nano), "--timeout", "1m")
	t.await(time.Minute, "all of the past has arrived again", func() error {
		least, most := past.Times()
		if least < 2 {
			return fmt.Errorf("%d to %d times", least, most)
		}
		return nil
	})
	if _, most := past.Times(); most > 2 {
		t.errorf("a point of the past has arrived %d times", most)
	}
}

// underWay is how many points of the load may be acknowledged before a time and stored after it, or the other way round, at the begin and
// at the end of a stretch.
const underWay = 2 * letterHosts * letterPoints

// droppedWhile drops all letters while somebody is killed: they are gone then, or can be dropped still.
func (t *trial) droppedWhile(v victim) {
	all, buried := len(t.bury("out", 0)), t.oracle.Count().Buried
	ctx, cancel := context.WithCancel(t.ctx)
	defer cancel()
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		_, _ = t.place.Verb(ctx, "dead", "drop", "--plugin", "out") // it may be cut off
	}()
	t.lessDead(all)
	v.kill()
	cancel()
	<-ended
	if left := len(t.bury("out", 0)); left > 0 {
		t.bite("%s was killed while %d letters were dropped, %d were left then", v.name, all, left)
		t.verb("dead", "drop", "--plugin", "out")
	}
	t.await(time.Minute, "no letter is left", t.noLetters)
	if now := t.oracle.Count().Buried; now != buried {
		t.errorf("%d points are set aside, %d were", now, buried)
	}
}

// lessDead waits until DEAD has less than so many messages, and looks without a break: each lasts a millisecond.
func (t *trial) lessDead(messages int) {
	conn := t.connect(t.ctx)
	defer conn.Close()
	for end := time.Now().Add(time.Minute); time.Now().Before(end); {
		if state, err := conn.StreamInfo(t.ctx, bus.StreamDead); err == nil && state.Messages < uint64(messages) {
			return
		}
	}
	t.fatalf("no letter was dropped within a minute")
}

// setAsideWhile has points set aside while somebody is killed: each is in one letter then.
func (t *trial) setAsideWhile(v victim) {
	const batches, size = 24, 10 // with one that is refused in each; of more at a time not every one is found
	before := t.oracle.Count().Buried
	t.sink.Behave(gourmet{code: http.StatusBadRequest}.behave)
	from := t.oracle.Source("bad", t.nextBoot())
	last := t.lastLetter()
	for range batches {
		t.must(t.source.post(t.ctx, from.Issue(size)), "post points that the sink will refuse")
	}
	t.await(time.Minute, "a point is set aside", func() error { return yet(len(t.bury("out", last)) > 0) })
	made := t.oracle.Count().Buried - before
	v.kill()
	t.mayDouble(batches * size) // what was taken of a batch before the other half was refused
	t.await(2*time.Minute, "the refused points are dead letters", func() error {
		t.bury("out", last)
		if n := t.oracle.Count().Buried - before; n < batches {
			return fmt.Errorf("%d of %d", n, batches)
		}
		return nil
	})
	t.sink.Behave(nil)
	t.healed(time.Now(), 2*time.Minute)
	letters := t.bury("out", last)
	if made < batches {
		t.bite("%s was killed when %d of %d points were set aside", v.name, made, batches)
	}
	if n := inTwo(letters); n > 0 || len(letters) != batches {
		t.errorf("%d letters of %d points, %d of which are in two: %s was killed as they were made", len(letters), batches, n, v.name)
	}
}

// inTwo counts the points that are in more than one letter.
func inTwo(letters []bus.Letter) (n int) {
	seen := map[string]bool{}
	for _, l := range letters {
		b, err := l.Points()
		if err != nil {
			continue
		}
		for line := range strings.Lines(string(b.AppendLines(nil))) {
			if seen[line] {
				n++
			}
			seen[line] = true
		}
	}
	return n
}
