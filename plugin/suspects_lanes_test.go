package plugin

import (
	"context"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/pacewire/pacewire/telemetry"
)

// lane runs a processor, whose calls are f, on one batch that was given before.
func lane(t *testing.T, s *suspects, seq uint64, f func()) *fate {
	src, fates := gives(1, 1)
	src.ends = true
	src.waiting[0].seq, src.waiting[0].deliveries = seq, 2
	session, _ := fakeSession(t, &fakeLink{inputs: map[string]*fakeSource{"in": src}})
	session.suspect = s
	err := session.Transform(t.Context(), func(context.Context, *telemetry.Batch, *telemetry.Batch) error {
		f()
		return nil
	})
	if err != nil {
		t.Error(err)
	}
	return fates[0]
}

// TestSuspectsOfLanes checks that a batch that kills its plugin takes with it none that another lane works on, though each death comes in
// the middle of a long call with that one.
func TestSuspectsOfLanes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dir := t.TempDir()
		guilty, innocent := &delivery{seq: 100}, &delivery{seq: 101}
		for death := range tries - 1 { // the first one of all was before any suspicion
			s := remember(dir)
			if n := s.deaths(guilty); n != death {
				t.Errorf("the guilty one has %d deaths after %d", n, death)
			}
			if n := s.deaths(innocent); n > 1 {
				t.Errorf("after %d deaths the innocent one has %d", death, n)
			}
			dead, over := make(chan struct{}), make(chan struct{})
			var lanes sync.WaitGroup
			lanes.Go(func() {
				lane(t, s, 100, func() { time.Sleep(5 * time.Millisecond); close(dead); <-over })
			})
			synctest.Wait() // it has begun
			lanes.Go(func() { lane(t, s, 101, func() { time.Sleep(50 * time.Millisecond) }) })
			<-dead
			dir = leftBehind(t, dir)
			close(over)
			lanes.Wait()
		}
		s := remember(dir)
		if _, _, buried := lane(t, s, 100, func() { t.Error("it is worked on once more") }).counts(); buried != 1 {
			t.Error("the guilty one is not set aside")
		}
		if acked, _, buried := lane(t, s, 101, func() {}).counts(); acked != 1 || buried != 0 {
			t.Error("the innocent one is set aside")
		}
	})
}

// leftBehind returns a folder with the note of a process that dies now.
func leftBehind(t *testing.T, dir string) string {
	t.Helper()
	note, err := os.ReadFile(filepath.Join(dir, "suspects.json"))
	if err != nil {
		t.Fatal(err)
	}
	next := t.TempDir()
	if err := os.WriteFile(filepath.Join(next, "suspects.json"), note, 0o600); err != nil {
		t.Fatal(err)
	}
	return next
}
