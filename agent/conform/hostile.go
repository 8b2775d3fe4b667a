package conform

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io/fs"
	"math/rand/v2"
	"path"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/pacewire/pacewire/bus"
	"github.com/pacewire/pacewire/schemas"
	"github.com/pacewire/pacewire/telemetry"
)

// hostile is the scene of a plugin to which somebody speaks who means it no good.
func hostile(s *stage) {
	if !s.need("hostile_messages", s.begins) {
		return
	}
	s.check("hostile_messages", s.withstands)
	s.check("stdin_eof", s.again(func() error {
		_ = s.proc.Stdin().Close() // the only error is that it has ended
		return s.drainsUnasked("the end of its standard input")
	}))
}

// withstands sends broken requests and answers, and looks whether the plugin is the same afterwards.
func (s *stage) withstands() error {
	requests, err := s.kit.broken("request", func(b []byte) bool { _, _, err := telemetry.DecodeCtlRequest(b); return err != nil })
	if err != nil {
		return err
	}
	acks, err := s.kit.broken("ack", func(b []byte) bool { _, _, err := telemetry.DecodeAck(b); return err != nil })
	if err != nil {
		return err
	}
	before, _ := s.last()
	if err := s.says(requests); err != nil {
		return err
	}
	if err := s.notMeant(); err != nil {
		return err
	}
	n, err := s.answers(acks)
	if err != nil {
		return err
	}
	if err := s.same(before); err != nil {
		return err
	}
	return noted("%d broken requests, %d broken answers", len(requests), n)
}

// broken returns the golden messages that must be refused, and mutations of the good ones of a kind.
func (k *kit) broken(kind string, isBroken func([]byte) bool) ([][]byte, error) {
	var all [][]byte
	bad, err := golden("control/invalid")
	if err != nil {
		return nil, err
	}
	for _, g := range bad {
		if isBroken(g.body) {
			all = append(all, g.body)
		}
	}
	good, err := golden("control/valid")
	if err != nil {
		return nil, err
	}
	for i, g := range good {
		if !strings.HasPrefix(g.name, kind+"-") {
			continue
		}
		dice := rand.New(rand.NewPCG(k.o.Seed, uint64(i)))
		for n := 0; n < k.o.Mutations; {
			if m := mutate(dice, g.body); isBroken(m) {
				all = append(all, m)
				n++
			}
		}
	}
	return all, nil
}

// goldenFile is a file of schemas/testdata.
type goldenFile struct {
	name string
	body []byte
}

// golden reads a folder of messages.
func golden(dir string) ([]goldenFile, error) {
	files := schemas.Testdata()
	entries, err := fs.ReadDir(files, dir)
	if err != nil {
		return nil, err
	}
	var all []goldenFile
	for _, e := range entries {
		if e.IsDir() {
			continue
		}
		body, err := fs.ReadFile(files, path.Join(dir, e.Name()))
		if err != nil {
			return nil, err
		}
		all = append(all, goldenFile{e.Name(), body})
	}
	return all, nil
}

// mutate returns a message with one to four things wrong with it.
func mutate(dice *rand.Rand, good []byte) []byte {
	m := slices.Clone(good)
	for range 1 + dice.IntN(4) {
		at := dice.IntN(len(m) + 1)
		switch dice.IntN(5) {
		case 0: // cut
			m = m[:at]
		case 1: // a stray byte
			m = slices.Insert(m, at, byte(dice.IntN(256)))
		case 2: // a piece twice
			m = slices.Insert(m, at, m[at:min(len(m), at+1+dice.IntN(8))]...)
		case 3: // a piece is missing
			m = slices.Delete(m, at, min(len(m), at+1+dice.IntN(8)))
		case 4: // a bit
			if at < len(m) {
				m[at] ^= 1 << dice.IntN(8)
			}
		}
	}
	return m
}

// verbs that somebody may try.
var verbs = []string{"ping", "beat", "refresh", "drain"}

const burst = 100 // requests at a time: more would be a flood

// says sends the requests to all subjects of the plugin, in turn, as its agent would. None may be answered with a yes, and it has
// to be there after each burst.
func (s *stage) says(requests [][]byte) error {
	for some := range slices.Chunk(requests, burst) {
		answers, err := s.saysAtOnce(some)
		if err != nil {
			return s.hurtBy(some, err)
		}
		for i, answer := range answers {
			if r, _, err := telemetry.DecodeCtlReply(answer); err == nil && r.OK {
				return broken(some[i], "a request that cannot be read is answered with ok: %s", show(answer))
			}
		}
	}
	return nil
}

// saysAtOnce sends some requests side by side, and returns what is answered until the plugin has beaten again.
func (s *stage) saysAtOnce(requests [][]byte) ([][]byte, error) {
	ctx, cancel := context.WithCancel(s.ctx)
	answers := make([][]byte, len(requests))
	var group sync.WaitGroup
	for i, body := range requests {
		group.Go(func() {
			answers[i], _ = s.g.conn.Request(ctx, bus.CtlSubject(hostName, s.name, verbs[i%len(verbs)]), body)
		}) // none is due
	}
	err := s.alive()
	cancel()
	group.Wait()
	return answers, err
}

// hurtBy tells that one of some messages was too much.
func (s *stage) hurtBy(messages [][]byte, err error) error {
	shortest := slices.MinFunc(messages, func(a, b []byte) int { return len(a) - len(b) })
	if s.proc.ended() {
		return broken(shortest, "it ended with %s after one of %d broken messages, such as this%s", s.proc.exit(), len(messages), s.proc.lastWords())
	}
	return broken(shortest, "after %d broken messages, such as this: %v", len(messages), err)
}

// notMeant asks another process of the name to drain.
func (s *stage) notMeant() error {
	body, err := telemetry.EncodeControl(telemetry.CtlRequest{ID: "conform-other", Args: map[string]any{"inst": "another"}}, telemetry.JSON)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(s.ctx, 200*time.Millisecond) // it may answer, and need not
	defer cancel()
	_, _ = s.g.conn.Request(ctx, bus.CtlSubject(hostName, s.name, "drain"), body)
	err = s.alive()
	if b, ok := s.last(); err == nil && ok && b.State == "draining" {
		err = errors.New("its state is draining")
	}
	if err != nil {
		return broken(body, "it obeys a drain that is for the process with inst another: %v", err)
	}
	return nil
}

// answerWith answers the next heartbeats with these messages, and asks for them.
func (s *stage) answerWith(messages [][]byte) error {
	s.mu.Lock()
	s.junk = messages
	s.mu.Unlock()
	left := func() int {
		s.mu.Lock()
		defer s.mu.Unlock()
		return len(s.junk)
	}
	return s.until(s.ctx, helloWait, "a heartbeat after a broken answer", func() bool {
		n := left()
		if n == 0 {
			return true
		}
		_, _, _ = s.ask(s.ctx, "beat", telemetry.CtlRequest{}) // it beats by itself too
		for end := time.Now().Add(interval); left() == n && time.Now().Before(end); {
			pause(s.ctx, time.Millisecond)
		}
		return left() == 0
	})
}

const (
	quickly      = 100             // mutations, at most, with which a run is to be short
	quickAnswers = 3 * time.Second // and how long broken answers may take then
)

// answers answers heartbeats with broken ACKs, in a short run as many as there is time for, and returns how many those were.
func (s *stage) answers(acks [][]byte) (n int, err error) {
	rand.New(rand.NewPCG(s.kit.o.Seed, 0)).Shuffle(len(acks), func(i, j int) { acks[i], acks[j] = acks[j], acks[i] })
	end := time.Now().Add(quickAnswers)
	for some := range slices.Chunk(acks, 10) {
		if s.kit.o.Mutations <= quickly && time.Now().After(end) {
			break
		}
		if err := s.answerWith(slices.Clone(some)); err != nil {
			return n, s.hurtBy(some, err)
		}
		n += len(some)
	}
	return n, nil
}

// same looks whether the plugin is as it was.
func (s *stage) same(before beat) error {
	since := time.Now()
	if err := s.until(s.ctx, helloWait, "two heartbeats after broken messages", func() bool {
		all := s.all()
		return len(all) > 1 && all[len(all)-2].at.After(since)
	}); err != nil {
		return err
	}
	if err := s.unchanged(before); err != nil {
		return err
	}
	return s.alive()
}

// unchanged compares its last heartbeat with one of before.
func (s *stage) unchanged(before beat) error {
	now, _ := s.last()
	switch {
	case now.Inst != before.Inst:
		return broken(now.body, "inst is another after broken messages")
	case now.ConfigRev != before.ConfigRev:
		return broken(now.body, "cfg_rev is %d after broken messages, and was %d", now.ConfigRev, before.ConfigRev)
	case now.State != before.State:
		return broken(now.body, "state is %q after broken messages, and was %q", now.State, before.State)
	case now.IntervalMS != before.IntervalMS:
		return broken(now.body, "int_ms is %d after broken messages, and was %d", now.IntervalMS, before.IntervalMS)
	}
	return nil
}

// alive asks for a heartbeat, and waits for it and for the answer.
func (s *stage) alive() error {
	since := time.Now()
	_, _, asked := s.ask(s.ctx, "beat", telemetry.CtlRequest{})
	if err := s.until(s.ctx, helloWait, "a heartbeat", func() bool { b, ok := s.last(); return ok && b.at.After(since) }); err != nil {
		return err
	}
	return asked
}

// codesOf returns the reasons for which golden batches are refused, by file.
func codesOf() (map[string]string, error) {
	text, err := fs.ReadFile(schemas.Testdata(), "batch/cases.json")
	if err != nil {
		return nil, err
	}
	var cases struct {
		Invalid []struct{ File, Code string }
	}
	if err := json.NewDecoder(bytes.NewReader(text)).Decode(&cases); err != nil {
		return nil, err
	}
	codes := map[string]string{}
	for _, c := range cases.Invalid {
		codes[c.File] = c.Code
	}
	return codes, nil
}
