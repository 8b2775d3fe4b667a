package plugin

import (
	"os"
	"path/filepath"
	"testing"
)

func TestSuspects(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "deep", "suspects.json")
	guilty, innocent := &delivery{seq: 7, deliveries: 2}, &delivery{seq: 8, deliveries: 2}
	for death := range 3 {
		s := remember(filepath.Dir(path))
		if n := s.deaths(guilty); n != death {
			t.Errorf("after %d deaths it remembers %d", death, n)
		}
		if n := s.deaths(innocent); n > 1 {
			t.Errorf("an innocent batch has %d deaths", n)
		}
		if death > 0 {
			s.begin(innocent)
			s.end(innocent)
		} else {
			s.begin(innocent) // both in hand the first time
		}
		s.begin(guilty) // and the process dies
	}
	s := remember(filepath.Dir(path))
	s.end(guilty)
	if _, err := os.Stat(path); err == nil {
		t.Error("the note is left although nothing is suspected")
	}
}

// TestSuspectsOfSeveralStreams checks that a batch is not suspected for one of the same number in another stream.
func TestSuspectsOfSeveralStreams(t *testing.T) {
	dir := t.TempDir()
	remember(dir).begin(&delivery{stream: "METRICS", seq: 7})
	s := remember(dir)
	if m, e := s.deaths(&delivery{stream: "METRICS", seq: 7}), s.deaths(&delivery{stream: "EVENTS", seq: 7}); m != 1 || e != 0 {
		t.Errorf("%d deaths of the batch and %d of the event, want 1 and 0", m, e)
	}
}

// TestSetAsideIsForgotten checks that a batch that was set aside is suspected no more, so that the note does not grow for ever.
func TestSetAsideIsForgotten(t *testing.T) {
	dir := t.TempDir()
	d := &delivery{stream: "METRICS", seq: 7, deliveries: tries, settler: &fate{}}
	for range tries {
		remember(dir).begin(d)
	}
	s, _ := fakeSession(t, &fakeLink{})
	s.suspect = remember(dir)
	if s.admit(d) {
		t.Fatal("a batch that has killed its plugin is admitted")
	}
	if n := remember(dir).deaths(d); n != 0 {
		t.Errorf("%d deaths are kept of a batch that was set aside", n)
	}
}

// TestTornNote checks that a note that cannot be read is no obstacle.
func TestTornNote(t *testing.T) {
	dir := t.TempDir()
	for _, text := range []string{"", "{", `{"deaths": {"x": "1"}}`, `[]`, `{"in_hand": "x"}`} {
		if err := os.WriteFile(filepath.Join(dir, "suspects.json"), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if s := remember(dir); len(s.seen) != 0 {
			t.Errorf("%s: suspects %v", text, s.seen)
		}
	}
	s := remember("")
	s.begin(&delivery{seq: 1})
	s.end(&delivery{seq: 1})
}
