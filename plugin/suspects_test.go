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

// TestTornNote checks that a note that cannot be read is no obstacle.
func TestTornNote(t *testing.T) {
	dir := t.TempDir()
	for _, text := range []string{"", "{", `{"deaths": {"x": 1}}`, `[]`, `{"in_hand": "x"}`} {
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
