package uplink

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"sync"
	"time"

	"github.com/pacewire/pacewire/internal/atomicfile"
)

// A place is how far a consumer of the uplink has come.
type place struct {
	// Settled is the last sequence here up to which everything is over there, set aside or lost, as the bus here has confirmed.
	Settled uint64 `json:"settled"`

	// Counted is the last sequence here up to which is counted what the limits took before it was given out.
	Counted uint64 `json:"counted,omitzero"`

	// Sent is the highest sequence here that was ever on the way.
	Sent uint64 `json:"sent"`

	// After is a sequence of the stream over there behind which everything is that was on the way and is not settled: it was the
	// stream's last one before any of that was sent. 0: nobody knows.
	After uint64 `json:"after"`
}

// places are those of all consumers, by the name of the stream and the consumer. A file tells them to the next start: what is a little
// old is still right, it only makes the next start ask for more.
type places struct {
	path string
	bus  string // of the fleet: its sequences say nothing of another one's

	mu      sync.Mutex
	all     map[string]place
	away    time.Time
	changed bool
}

// placesFile is the form of the file.
type placesFile struct {
	Bus    string           `json:"bus"`
	Places map[string]place `json:"places"`
	Away   time.Time        `json:"away,omitzero"` // since when the bus of the fleet is away, as somebody was told
}

func newPlaces(path, bus string) *places {
	return &places{path: path, bus: bus, all: map[string]place{}}
}

func (p *places) load() error {
	if p.path == "" {
		return nil
	}
	text, err := os.ReadFile(p.path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	var f placesFile
	if err == nil {
		err = json.Unmarshal(text, &f)
	}
	if err != nil {
		return fmt.Errorf("%s: %w", p.path, err)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.away = f.Away
	for key, was := range f.Places {
		if f.Bus != p.bus {
			was.After = 0
		}
		p.all[key] = was
	}
	return nil
}

// of returns a place; known is false when there is none yet.
func (p *places) of(key string) (was place, known bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	was, known = p.all[key]
	return was, known
}

// change changes a place.
func (p *places) change(key string, f func(*place)) {
	p.mu.Lock()
	defer p.mu.Unlock()
	was, known := p.all[key]
	is := was
	if f(&is); is != was || !known { // that it is at the beginning is known too
		p.all[key], p.changed = is, true
	}
}

// setAway notes since when the bus of the fleet is away; zero: it is there.
func (p *places) setAway(since time.Time) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.away, p.changed = since.Round(0), true // by the clock on the wall: the next process has another one
}

func (p *places) awaySince() time.Time {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.away
}

// drop forgets a place.
func (p *places) drop(key string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.all, key)
	p.changed = true
}

// save writes the file, if it says anything new.
func (p *places) save() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.changed || p.path == "" {
		return nil
	}
	text, err := json.Marshal(placesFile{p.bus, p.all, p.away})
	if err == nil {
		err = atomicfile.Write(p.path, text, 0o600)
	}
	if err != nil {
		return fmt.Errorf("place of the uplink: %w", err)
	}
	p.changed = false
	return nil
}
