package conform

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/pacewire/pacewire/bus"
	"github.com/pacewire/pacewire/telemetry"
)

const dataWait = 20 * time.Second // a collector is asked for points each second

// patience is how long points of a collector are awaited. Who has no catalog, and no points either, is one of inventory, or
// speaks only when something happens.
func (s *stage) patience() time.Duration {
	if len(s.kit.told().Catalog) == 0 {
		return dataWait / 3
	}
	return dataWait
}

// results checks what has come of the work on fed batches.
func (s *stage) results(fed []string) {
	if s.kit.kind() == "collector" {
		s.check("data", s.collects, "catalog")
		s.check("catalog", s.fitsCatalog)
		return
	}
	s.check("inputs", s.done, "derived_ids", "catalog")
	s.check("derived_ids", func() error { return s.derives(fed) })
	s.check("catalog", s.fitsCatalog)
}

// own returns what the plugin has stored on its subject.
func (w *ward) own() []bus.Tapped { return w.g.stored(bus.MetricsSubject(hostName, w.name)) }

// collects waits for batches, and looks at each.
func (s *stage) collects() error {
	err := s.until(s.ctx, s.patience(), "two batches on its subject", func() bool { return len(s.own()) >= 2 })
	if err != nil && len(s.own()) == 0 {
		return s.nothingCame(err)
	}
	seen := map[string]bool{}
	for _, t := range s.own() {
		if err := s.sound(t); err != nil {
			return err
		}
		if seen[t.ID] {
			return broken(t.Body, "the id %s is that of another batch too", t.ID)
		}
		seen[t.ID] = true
	}
	return s.whole()
}

// nothingCame tells who has nothing to say from who cannot say it.
func (s *stage) nothingCame(err error) error {
	b, ok := s.last()
	switch {
	case s.proc.ended(), len(s.g.denied(s.user())) > 0:
		return err
	case ok && b.Error != nil:
		return broken(b.body, "it sends nothing, and says %s: %s", b.Error.Code, b.Error.Message)
	case ok && b.State == "idle":
		return skipped("it has nothing to do here, it says: state idle")
	}
	s.kit.mu.Lock()
	s.kit.quiet = true
	s.kit.mu.Unlock()
	return skipped("it has sent nothing: it may speak only when something happens")
}

// sound looks whether a batch has a good id and can be read without loss.
func (s *stage) sound(t bus.Tapped) error {
	if err := goodID(t, s.name); err != nil {
		return err
	}
	var b telemetry.Batch
	if err := b.Decode(t.ContentType, "", t.Body, t.Stored); err != nil {
		return broken(t.Body, "a batch cannot be read: %v", err)
	}
	b.SetHost(hostName)
	for code, n := range b.Drops() {
		if n > 0 {
			return broken(t.Body, "%d values of a batch are left out by who reads it: %v", n, telemetry.Code(code))
		}
	}
	if len(t.Body) > telemetry.MaxFrame {
		return broken(t.Body, "a batch has %d bytes: want at most %d", len(t.Body), telemetry.MaxFrame)
	}
	for p := range b.Points() {
		if claims := p.Tags["host"]; claims != "" && claims != hostName && !s.kit.told().Proxy {
			return broken(t.Body, "a point says that it is about host %q: only who has proxy in its manifest may", claims)
		}
	}
	return nil
}

const leastID = 16 // characters: shorter ones can be guessed, and an id that somebody has used is not stored again

// goodID looks whether a batch has an id that nobody else has.
func goodID(t bus.Tapped, plugin string) error {
	switch {
	case t.ID == "":
		return broken(t.Body, "a batch has no header Nats-Msg-Id: sent again it would be stored twice")
	case len(t.ID) < leastID:
		return broken(t.Body, "the id %q can be guessed: want %s<16 random hex digits>/<n>", t.ID, ownIDs(plugin))
	}
	return nil
}

// ownIDs is what the ids of a plugin begin with that are counted.
func ownIDs(plugin string) string { return bus.Token(hostName) + "/" + bus.Token(plugin) + "/" }

// whole waits until no number is missing: what the stream has refused for a moment comes after what was sent later.
func (s *stage) whole() error {
	var hole error
	_ = s.until(s.ctx, s.patience(), "every number", func() bool {
		hole = s.holes(s.own())
		return hole == nil
	})
	return hole
}

// holes looks whether the numbers of each process go up by one: readers take a hole for a loss. Ids of another form are not counted.
func (w *ward) holes(all []bus.Tapped) error {
	of := map[string][]uint64{}
	for _, t := range all {
		i := strings.LastIndexByte(t.ID, '/')
		if !strings.HasPrefix(t.ID, ownIDs(w.name)) || strings.Count(t.ID, "/") != 3 {
			continue
		}
		if n, err := strconv.ParseUint(t.ID[i+1:], 10, 64); err == nil {
			of[t.ID[:i]] = append(of[t.ID[:i]], n)
		}
	}
	for _, stem := range slices.Sorted(maps.Keys(of)) {
		numbers := of[stem]
		slices.Sort(numbers)
		for i, n := range numbers {
			if n != uint64(i+1) {
				return broken(nil, "batch %s/%d is missing: %d came, the last is number %d", stem, i+1, len(numbers), numbers[len(numbers)-1])
			}
		}
	}
	return nil
}

// fitsCatalog compares what was sent with what the manifest says of it.
func (s *stage) fitsCatalog() error {
	catalog := s.kit.told().Catalog
	sent := s.own()
	switch {
	case len(catalog) == 0:
		return skipped("its catalog is empty")
	case len(sent) == 0:
		return skipped("it has sent nothing")
	}
	for _, t := range sent {
		var b telemetry.Batch
		if b.Decode(t.ContentType, "", t.Body, t.Stored) != nil {
			continue // which is told already
		}
		for g := range b.Groups() {
			if err := listed(catalog, g); err != nil {
				return broken(t.Body, "%v", err)
			}
		}
	}
	return nil
}

// listed looks for the points of a group in the catalog.
func listed(catalog []telemetry.Desc, g *telemetry.Group) error {
	i := slices.IndexFunc(catalog, func(d telemetry.Desc) bool { return d.Series == g.Series })
	if i < 0 {
		return fmt.Errorf("series %s is not in the catalog", g.Series)
	}
	d := catalog[i]
	for _, key := range g.TagKeys(nil) {
		if _, ok := d.Tags[key]; !ok && key != "host" {
			return fmt.Errorf("tag %s of series %s is not in the catalog", key, g.Series)
		}
	}
	for _, c := range g.FieldColumns() {
		if _, ok := d.Fields[c.Name]; !ok {
			return fmt.Errorf("field %s of series %s is not in the catalog", c.Name, g.Series)
		}
		want := d.Types[c.Name]
		if want == "" {
			want = "f"
		}
		if got := string(rune(c.Type())); got != want {
			return fmt.Errorf("field %s of series %s has type %s, the catalog says %s", c.Name, g.Series, got, want)
		}
	}
	return nil
}
