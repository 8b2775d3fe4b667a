package host

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/pacewire/pacewire/bus"
	"github.com/pacewire/pacewire/internal/atomicfile"
)

// How far the readers have come is kept in a file too: a power cut may take a consumer from the bus and end the agent in the same
// moment. What is a little old is still right: some batches come once more.

// placesEvery is how often the file is written, at most.
const placesEvery = 30 * time.Second

// A place is how far a reader has come.
type place struct {
	Settled uint64    `json:"settled"` // up to where, in the stream that was
	Made    time.Time `json:"made"`    // at this time
}

// places are those of all readers, by their consumers.
type places struct {
	path  string
	bus   string           // whose they are: they say nothing of another one
	found map[string]place // of an agent before; nil once each reader has its consumer
	saved map[string]place
	at    time.Time // of the last write
}

// placesFile is the form of the file.
type placesFile struct {
	Bus    string           `json:"bus"`
	Places map[string]place `json:"places"`
}

func newPlaces(dir, bus string) places {
	return places{path: filepath.Join(dir, "places.json"), bus: bus}
}

// busOf says which bus the host part is on: an embedded one is its store, another one its URLs, in any order and without credentials.
func busOf(o Options) string {
	if own, ok := o.InProcess.(interface{ Dir() string }); ok {
		dir := own.Dir()
		if abs, err := filepath.Abs(dir); err == nil {
			dir = abs
		}
		return dir
	}
	all := strings.Split(bus.Redact(o.URL), ",")
	for i, one := range all {
		all[i] = strings.TrimSpace(one)
	}
	slices.Sort(all)
	return strings.Join(slices.Compact(all), ",")
}

// load reads what an agent before has left of this bus. Without it a consumer that is gone begins as a new one does: so it is to on
// a bus that the config names since.
func (p *places) load() error {
	text, err := os.ReadFile(p.path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	var f placesFile
	if err == nil {
		err = json.Unmarshal(text, &f)
	}
	if err != nil {
		return fmt.Errorf("places of the readers: %w", err)
	}
	if f.Bus == p.bus {
		p.found = f.Places
	}
	return nil
}

// save writes the file, if it says anything new.
func (p *places) save(all map[string]place, now time.Time) error {
	same := func(a, b place) bool { return a.Settled == b.Settled && a.Made.Equal(b.Made) }
	if maps.EqualFunc(all, p.saved, same) {
		return nil
	}
	text, err := json.Marshal(placesFile{p.bus, all})
	if err == nil {
		err = os.MkdirAll(filepath.Dir(p.path), 0o700)
	}
	if err == nil {
		err = atomicfile.Write(p.path, text, 0o600)
	}
	if err != nil {
		return fmt.Errorf("places of the readers: %w", err)
	}
	p.saved, p.at = all, now
	return nil
}

// savePlaces writes how far the readers of all plugins have come.
func (h *Host) savePlaces(now time.Time) {
	all := map[string]place{}
	for _, e := range h.entries() {
		for _, in := range e.crew.places(e.read()) {
			if in.From > 0 {
				all[consumerOf(in)] = place{in.From - 1, in.Made}
			}
		}
	}
	if err := h.places.save(all, now); err != nil {
		h.log.Warn("nobody will know where a reader was, should its consumer be lost", "error", err)
	}
}

// foundGone makes consumers anew that were there when an agent before looked last.
func (e *entry) foundGone(ctx context.Context, gone []bus.Input) error {
	for _, in := range gone {
		was, known := e.host.places.found[consumerOf(in)]
		if !known {
			continue
		}
		e.crew.was(consumerOf(in), was)
		if err := e.remakeNow(ctx, in); err != nil {
			return err
		}
	}
	return nil
}

// was notes where a consumer was before.
func (c *crew) was(consumer string, p place) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.unread.note(consumer, look{
		stream: bus.StreamState{Made: p.Made, LastSeq: p.Settled}, reader: bus.ConsumerState{Delivered: p.Settled, AckFloor: p.Settled},
	})
}
