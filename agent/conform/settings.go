package conform

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/pacewire/pacewire/internal/schema"
	"github.com/pacewire/pacewire/telemetry"
)

// settings is the scene of a plugin whose settings change.
func settings(s *stage) {
	if !s.need("hostile_config", s.begins) {
		return
	}
	s.check("hostile_config", s.keepsSettings)
	s.check("config_change", s.again(s.changes))
	s.check("sigterm", s.again(func() error {
		s.proc.Terminate(drainWait + time.Second)
		return s.drainsUnasked("SIGTERM")
	}))
}

// drainsUnasked waits for an end with goodbye.
func (s *stage) drainsUnasked(why string) error {
	if !s.proc.wait(s.ctx, drainWait) {
		return broken(s.lastBody(), "it has not ended %v after %s", drainWait, why)
	}
	return s.goodbye()
}

// changes gives the plugin a new revision while it works.
func (s *stage) changes() error {
	if !s.kit.told().Live {
		return skipped("its manifest does not say live: an agent starts another process for new settings")
	}
	s.mu.Lock()
	s.tags = map[string]string{"conform": "2"}
	s.mu.Unlock()
	rev := s.give(s.kit.o.Config)
	since := time.Now()
	if err := s.inForce(s.ctx, rev); err != nil {
		return err
	}
	if s.kit.kind() != "collector" {
		return s.worksOn()
	}
	if len(s.own()) == 0 {
		return nil // it speaks only when something happens
	}
	if err := s.until(s.ctx, dataWait, "a batch under the new revision, with the tag that this one wants", func() bool { return s.tagged(since) }); err != nil {
		return err
	}
	return s.whole()
}

// tagged reports whether a batch of after since has the tag of the new revision.
func (s *stage) tagged(since time.Time) bool {
	for _, t := range s.own() {
		var b telemetry.Batch
		if !t.Stored.After(since) || b.Decode(t.ContentType, "", t.Body, t.Stored) != nil {
			continue
		}
		for p := range b.Points() {
			if p.Tags["conform"] != "" {
				return true
			}
		}
	}
	return false
}

// worksOn feeds a reader, and waits until it has done with it.
func (s *stage) worksOn() error {
	if _, err := s.feed(3); err != nil {
		return err
	}
	return s.done()
}

// keepsSettings offers settings that make no sense.
func (s *stage) keepsSettings() error {
	nonsense := hostileConfigs(s.kit.told().Schema)
	if len(nonsense) == 0 {
		return skipped("its schema takes any settings")
	}
	if !s.kit.told().Live {
		return skipped("its manifest does not say live: an agent gives settings to new processes only, and checks them before")
	}
	good, _ := s.last()
	for _, c := range nonsense {
		if err := s.declines(good.ConfigRev, c); err != nil {
			return err
		}
	}
	for _, bad := range []string{`[1]`, `"text"`, `7`} {
		if err := s.ignores(good.ConfigRev, bad); err != nil {
			return err
		}
	}
	s.takeBack(good.ConfigRev, s.kit.o.Config)
	return nil
}

// declines offers one, and waits until the plugin tells what is wrong with it.
func (s *stage) declines(rev uint64, config json.RawMessage) error {
	since, asked := time.Now(), time.Time{}
	next := s.give(config)
	taken := func() bool { b, ok := s.last(); return ok && b.ConfigRev == next }
	err := s.until(s.ctx, configWait, fmt.Sprintf("a heartbeat with err, as it was given %s", short(config)), func() bool {
		if time.Since(asked) > 100*time.Millisecond { // the next heartbeat would do, in a second
			asked = time.Now()
			_, _, _ = s.ask(s.ctx, "beat", telemetry.CtlRequest{})
		}
		all := s.all()
		return taken() || slices.ContainsFunc(all, func(b beat) bool { return b.at.After(since) && b.Error != nil && told(b, since) })
	})
	b, _ := s.last()
	switch {
	case err != nil:
		return err
	case b.ConfigRev == next:
		return broken(b.body, "it takes settings that its schema does not allow: %s", short(config))
	case b.ConfigRev != rev:
		return broken(b.body, "cfg_rev is %d: want that of the settings before, %d", b.ConfigRev, rev)
	case b.State != "running" && b.State != "idle":
		return broken(b.body, "state is %q since it was given %s: want it to work on with the settings before", b.State, short(config))
	}
	return nil
}

// told reports whether the error of a heartbeat is of after since. Ages are in ms.
func told(b beat, since time.Time) bool {
	return b.at.Add(-time.Duration(b.Error.AgeMS) * time.Millisecond).After(since.Add(-2 * time.Millisecond))
}

// ignores answers heartbeats by an ACK whose settings are no object.
func (s *stage) ignores(rev uint64, config string) error {
	b, _ := s.last()
	text, err := json.Marshal(telemetry.Ack{Version: telemetry.ProtocolVersion, Server: "conform", Term: 1, Seq: b.Seq + 1, State: telemetry.Accepted,
		NextMS: interval.Milliseconds(), ConfigRev: 1000, Work: &telemetry.Work{Config: json.RawMessage(config)}})
	if err != nil {
		return err
	}
	if err := s.answerWith([][]byte{text}); err != nil {
		return err
	}
	if err := s.alive(); err != nil {
		return broken(text, "after settings that are no object: %v", err)
	}
	if b, _ := s.last(); b.ConfigRev != rev {
		return broken(b.body, "cfg_rev is %d after settings that are no object, %s: want that of before, %d", b.ConfigRev, config, rev)
	}
	return nil
}

// hostileConfigs are settings that a schema does not allow.
func hostileConfigs(text []byte) []json.RawMessage {
	s, err := schema.Parse(text)
	if err != nil {
		return nil
	}
	tries := []string{`{"no_such_setting_of_any_plugin":1}`, `{"deep":` + strings.Repeat(`{"a":`, 10) + "1" + strings.Repeat("}", 11)}
	for _, name := range slices.Sorted(maps.Keys(s.Properties))[:min(4, len(s.Properties))] {
		key, _ := json.Marshal(name)
		for _, value := range []string{`"\u0001 no such value"`, `-9e15`, `[[[]]]`, `{"a":{"b":null}}`} {
			tries = append(tries, fmt.Sprintf(`{%s:%s}`, key, value))
		}
	}
	var all []json.RawMessage
	of := map[string]int{} // property to tries
	for _, one := range tries {
		key, _, _ := strings.Cut(one, ":")
		if of[key] < 2 && !allowed(s, one) {
			of[key]++
			all = append(all, json.RawMessage(one))
		}
	}
	return all
}

func allowed(s *schema.Schema, text string) bool {
	d := json.NewDecoder(bytes.NewReader([]byte(text)))
	d.UseNumber()
	var v any
	return d.Decode(&v) == nil && len(s.Check(v)) == 0
}
