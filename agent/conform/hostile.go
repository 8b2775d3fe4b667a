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
	s.check("stdin_eof", func() error {
		if s.proc.ended() { // which was told
			if err := s.begins(); err != nil {
				return err
			}
		}
		_ = s.proc.Stdin().Close() // the only error is that it has ended
		return s.drainsUnasked("the end of its standard input")
	})
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
	if err := errors.Join(s.says(requests), s.refusesToAnswer(requests), s.notMeant()); err != nil {
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

// says sends the requests to all subjects of the plugin, in turn, and looks from time to time whether it answers.
func (s *stage) says(requests [][]byte) error {
	for i, body := range requests {
		if err := s.g.conn.Tell(bus.CtlSubject(hostName, s.name, verbs[i%len(verbs)]), body); err != nil {
			return skipped("%v", err)
		}
		if i%burst == burst-1 || i == len(requests)-1 {
			if err := s.alive(); err != nil {
				return s.hurtBy(requests[max(0, i-burst):i+1], err)
			}
		}
	}
	return nil
}

// hurtBy tells that one of some messages was too much.
func (s *stage) hurtBy(messages [][]byte, err error) error {
	shortest := slices.MinFunc(messages, func(a, b []byte) int { return len(a) - len(b) })
	if s.proc.ended() {
		return broken(shortest, "it ended with %s after one of %d broken messages, such as this%s", s.proc.exit(), len(messages), s.proc.lastWords())
	}
	return broken(shortest, "after %d broken messages, such as this: %v", len(messages), err)
}

// refusesToAnswer sends some of the requests with a subject for the answer: none may be a yes.
func (s *stage) refusesToAnswer(requests [][]byte) error {
	const some, wait = 16, 400 * time.Millisecond
	var group sync.WaitGroup
	faults := make([]error, min(some, len(requests)))
	for i := range faults {
		group.Go(func() {
			ctx, cancel := context.WithTimeout(s.ctx, wait)
			defer cancel()
			reply, err := s.g.conn.Request(ctx, bus.CtlSubject(hostName, s.name, "ping"), requests[i])
			if err != nil {
				return // no answer is due
			}
			if r, _, err := telemetry.DecodeCtlReply(reply); err == nil && r.OK {
				faults[i] = broken(requests[i], "a request that cannot be read is answered with ok: %s", show(reply))
			}
		})
	}
	group.Wait()
	for _, err := range faults {
		if err != nil {
			return err
		}
	}
	return nil
}

// notMeant asks another process of the name to drain.
func (s *stage) notMeant() error {
	body, err := telemetry.EncodeControl(telemetry.CtlRequest{ID: "conform-other", Args: map[string]any{"inst": "another"}}, telemetry.JSON)
	if err != nil {
		return err
	}
	if err := s.g.conn.Tell(bus.CtlSubject(hostName, s.name, "drain"), body); err != nil {
		return skipped("%v", err)
	}
	if err := s.alive(); err != nil {
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
		_ = s.g.conn.Tell(bus.CtlSubject(hostName, s.name, "beat"), s.request("beat")) // away: it beats by itself
		for end := time.Now().Add(interval); left() == n && time.Now().Before(end); {
			pause(s.ctx, 2*time.Millisecond)
		}
		return left() == 0
	})
}

// request is one in the encoding of the plugin.
func (s *stage) request(id string) []byte {
	s.mu.Lock()
	enc := telemetry.MsgPack
	if s.json {
		enc = telemetry.JSON
	}
	s.mu.Unlock()
	body, _ := telemetry.EncodeControl(telemetry.CtlRequest{ID: id}, enc) // it is a good one
	return body
}

// answers answers heartbeats with broken ACKs, as many as there is time for, and returns how many those were.
func (s *stage) answers(acks [][]byte) (n int, err error) {
	rand.New(rand.NewPCG(s.kit.o.Seed, 0)).Shuffle(len(acks), func(i, j int) { acks[i], acks[j] = acks[j], acks[i] })
	const time100 = 3 * time.Second // for 100 mutations
	end := time.Now().Add(time100 * time.Duration(max(100, s.kit.o.Mutations)) / 100)
	for n < len(acks) && time.Now().Before(end) {
		some := acks[n:min(n+10, len(acks))]
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
	return s.alive()
}

// alive waits for a heartbeat, which the plugin is asked for.
func (s *stage) alive() error {
	since := time.Now()
	_ = s.g.conn.Tell(bus.CtlSubject(hostName, s.name, "beat"), s.request("beat")) // away: it beats by itself
	return s.until(s.ctx, helloWait, "a heartbeat", func() bool { b, ok := s.last(); return ok && b.at.After(since) })
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
