package conform

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"path"
	"slices"
	"time"

	"github.com/pacewire/pacewire/bus"
	"github.com/pacewire/pacewire/telemetry"
)

// A mutant is a batch that chance has made of a good one. It may be good itself: then its code is empty.
type mutant struct {
	badBatch
	id      string
	content telemetry.Content
}

const (
	portion      = 100             // mutants that are given at a time: the dead letters hold all that may come of them
	quickMutants = 2 * time.Second // how long they are given in a short run
)

// survivesMutants gives the plugin mutations of the golden batches that are valid, in a short run as many as there is time for.
func (s *stage) survivesMutants() error {
	all, err := s.mutants()
	if err != nil {
		return err
	}
	before, _ := s.last()
	var sum tally
	for end := time.Now().Add(quickMutants); len(all) > 0; {
		if s.kit.o.Mutations <= quickly && time.Now().After(end) {
			break
		}
		some := all[:min(portion, len(all))]
		all = all[len(some):]
		if err := s.givesMutants(some, &sum); err != nil {
			return err
		}
	}
	if err := s.worksAfter(before); err != nil {
		return err
	}
	return noted("%v", sum)
}

// mutants makes all mutations of all golden batches, in an order that is left to the dice.
func (s *stage) mutants() ([]mutant, error) {
	good, err := goodBatches()
	if err != nil {
		return nil, err
	}
	var all []mutant
	for i, g := range good {
		dice := rand.New(rand.NewPCG(s.kit.o.Seed, uint64(i)))
		content := contentOf(g.name)
		for range s.kit.o.Mutations {
			body := mutate(dice, g.body)
			all = append(all, mutant{badBatch: badBatch{g.name, refusalOf(content, body), body}, content: content})
		}
	}
	dice := rand.New(rand.NewPCG(s.kit.o.Seed, uint64(len(good))))
	dice.Shuffle(len(all), func(i, j int) { all[i], all[j] = all[j], all[i] })
	for i := range all {
		all[i].id = fmt.Sprintf("%s/%s/mutant/%d", bus.Token(hostName), bus.Token(s.sourceOf()), i)
	}
	return all, nil
}

// goodBatches returns the golden batches that are valid, and one in line protocol, of which there is no golden one.
func goodBatches() ([]goldenFile, error) {
	all, err := golden("batch/valid")
	if err != nil {
		return nil, err
	}
	var b telemetry.Batch
	for _, g := range all {
		if g.name != "columns.points.json" {
			continue
		}
		if err := b.Decode(string(contentOf(g.name)), "", g.body, time.Now()); err != nil {
			return nil, fmt.Errorf("golden batch %s: %w", g.name, err)
		}
	}
	return append(all, goldenFile{"columns.lines", b.AppendLines(nil)}), nil
}

// contentOf returns the form of a golden batch, by the name of its file.
func contentOf(name string) telemetry.Content {
	switch path.Ext(name) {
	case ".json":
		return telemetry.ContentJSON
	case ".lines":
		return telemetry.ContentLines
	}
	return telemetry.ContentMsgPack
}

// refusalOf returns the code with which our reader refuses a batch, "" if it does not.
func refusalOf(content telemetry.Content, body []byte) string {
	var b telemetry.Batch
	err := b.Decode(string(content), "", body, time.Now())
	if refused, ok := errors.AsType[*telemetry.DecodeError](err); ok {
		return refused.Code.String()
	}
	return ""
}

// givesMutants stores some, waits until the plugin is done with them, and looks at the dead letters.
func (s *stage) givesMutants(some []mutant, sum *tally) error {
	if err := s.storeMutants(some); err != nil {
		return err
	}
	if err := s.done(); err != nil {
		return s.stuck(err)
	}
	letters := map[string]bus.Letter{}
	err := s.g.conn.Letters(s.ctx, s.name, sum.letter+1, func(l bus.Letter) error {
		letters[l.SourceID], sum.letter = l, l.Seq
		return nil
	})
	if err != nil {
		return skipped("the dead letters cannot be read: %v", err)
	}
	for _, m := range some {
		l := letters[m.id]
		if err := m.fits(l); err != nil {
			return err
		}
		sum.add(m, l)
	}
	return nil
}

// storeMutants stores them side by side.
func (s *stage) storeMutants(some []mutant) error {
	stored := make(chan error, len(some))
	for _, m := range some {
		message := bus.Message{Subject: bus.MetricsSubject(hostName, s.sourceOf()), ID: m.id, ContentType: string(m.content), Body: m.body}
		if err := s.g.out.Send(s.ctx, message, func(err error) { stored <- err }); err != nil {
			return skipped("an input cannot be stored: %v", err)
		}
	}
	for range some {
		if err := <-stored; err != nil {
			return skipped("an input cannot be stored: %v", err)
		}
	}
	return nil
}

// stuck is err with the first batch that is not settled.
func (s *stage) stuck(err error) error {
	var v *verdict
	if !errors.As(err, &v) || v.status != Fail {
		return err
	}
	state, asked := s.g.conn.ConsumerInfo(s.ctx, bus.StreamMetrics, s.name)
	given := s.inputs()
	i := slices.IndexFunc(given, func(t bus.Tapped) bool { return t.Seq > state.AckFloor })
	if asked != nil || i < 0 {
		return err
	}
	return broken(given[i].Body, "%s; the first one is %s, in %s", v.reason, given[i].ID, given[i].ContentType)
}

// fits compares what has become of a mutant with what our reader says of it.
func (m mutant) fits(l bus.Letter) error {
	if m.code != "" {
		due := m.badBatch
		if isRefusal(l.Reason) {
			due.code = l.Reason // which of several faults a reader meets first is its own affair
		}
		return due.fits(l)
	}
	if isRefusal(l.Reason) && !m.mayBeSetAside(l.Reason) {
		return broken(m.body, "a batch made of %s, which can be read, is a dead letter for %s: %s", m.file, l.Reason, l.Error)
	}
	return nil // it was worked on, or refused by a rule of the plugin's own
}

// mayBeSetAside reports whether a mutant that can be read may have a dead letter with that code: who has a sink says too_large of
// what that does not take, and a reader should take all forms, but must take msgpack only.
func (m mutant) mayBeSetAside(code string) bool {
	return code == telemetry.CodeTooLarge.String() || code == telemetry.CodeContentType.String() && m.content != telemetry.ContentMsgPack
}

// isRefusal reports whether a reason is a code with which a reader refuses a batch.
func isRefusal(reason string) bool {
	for c := telemetry.CodeEmpty; c <= telemetry.CodeTagValue; c++ {
		if c.String() == reason {
			return true
		}
	}
	return false
}

// worksAfter gives the plugin good batches, and looks whether it is as it was, and whether what it has made can be read.
func (s *stage) worksAfter(before beat) error {
	if _, err := s.feed(3); err != nil {
		return err
	}
	if err := s.done(); err != nil {
		return err
	}
	if err := s.alive(); err != nil {
		return err
	}
	for _, t := range s.own() {
		if code := refusalOf(telemetry.Content(t.ContentType), t.Body); code != "" {
			return broken(t.Body, "what it has made of a batch, id %s, cannot be read: %s", t.ID, code)
		}
	}
	return s.unchanged(before)
}

// A tally counts what has become of mutants.
type tally struct {
	read, refused, otherwise int
	letter                   uint64 // the last one that was looked at
}

func (t *tally) add(m mutant, l bus.Letter) {
	switch {
	case m.code == "":
		t.read++
		return
	case l.Reason != m.code:
		t.otherwise++
	}
	t.refused++
}

// String is a sentence for who has passed.
func (t tally) String() string {
	text := fmt.Sprintf("%d mutations: %d can be read, %d are refused", t.read+t.refused, t.read, t.refused)
	if t.otherwise > 0 {
		text += fmt.Sprintf(", %d of them with another code than that of Go's reader", t.otherwise)
	}
	return text
}
